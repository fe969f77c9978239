"""How many trials of the confirmation are still to come: fewest and most, round by round."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from search.evidence.race import RaceRules
from search.policy.agenda import Agenda
from search.record import SEARCHED, Purpose, State

# Of the finalists that do not lead, the share that a round leaves in the race: fewest and most, as simulated searches
# have it.
_FEWEST_STAY, _MOST_STAY = 0.1, 0.7


@dataclass(frozen=True)
class RaceLeft:
    """Trials that are not begun. now: which slots may take up at once. fewest, most: of each round after that."""

    now: int = 0
    fewest: tuple[float, ...] = ()
    most: tuple[float, ...] = ()

    def turns(self, slots: int) -> tuple[float, float]:
        """How long the rounds after that take, in whole trials one after the other: each follows the last."""
        fewest, most = (
            sum(max(1.0, trials / slots) for trials in rounds if trials)
            for rounds in (self.fewest, self.most)
        )
        return fewest, most


def race_left(agenda: Agenda, *, over: bool) -> RaceLeft:
    """over: whether the finalists are known for good."""
    rules = agenda.plan.race
    if rules is None:
        return RaceLeft()
    if over:
        return _begun(agenda, rules)
    kinds = min(1, rules.top) + min(1, rules.baselines, len(agenda.plan.baselines))
    most = rules.top + min(rules.baselines, len(agenda.plan.baselines))
    fewest = min(most, rules.top + 1)  # baselines that are surely worse are left out
    sizes = [after - before for before, after in itertools.pairwise((0, *rules.rounds))]
    shared = min(agenda.plan.noise_seeds, rules.rounds[0])  # the noise floor's, if its baseline is a finalist
    short = [size * _staying(fewest, kinds, _FEWEST_STAY, index) for index, size in enumerate(sizes)]
    long = [size * _staying(most, kinds, _MOST_STAY, index) for index, size in enumerate(sizes)]
    short[0] = max(0.0, short[0] - shared)
    return RaceLeft(0, _fitting(short, agenda, rules), _fitting(long, agenda, rules))


def _staying(finalists: float, kinds: int, share: float, rounds: int) -> float:
    """How many are in the race after so many rounds: of each kind the leader, and a share of the others."""
    leaders = min(kinds, finalists)
    return leaders + (finalists - leaders) * share**rounds


def _begun(agenda: Agenda, rules: RaceRules) -> RaceLeft:
    """What is left of a race whose finalists are known: of the present round exactly what is missing."""
    standing, records = agenda.standing, agenda.records
    in_race = standing.contenders
    begun: Counter[int] = Counter()
    ended: Counter[int] = Counter()
    for record in records.values():
        if record.replicate_of in in_race and record.is_comparable:
            begun[record.replicate_of] += 1
            ended[record.replicate_of] += record.state is not State.RUNNING
    if not in_race or not (
        standing.missing or standing.ahead or agenda.ledger.is_running(*SEARCHED, Purpose.CONFIRM)
    ):
        return RaceLeft()
    least_ended = min(ended[number] for number in in_race)
    present = next((size for size in rules.rounds if size > least_ended), rules.rounds[-1])
    now = len(standing.missing)
    kinds = len({records[number].purpose is Purpose.BASELINE for number in in_race})
    rest = [size for size in rules.rounds if size > present]
    fewest, most = (
        _later(begun, sorted(in_race), present, rest, kinds, share) for share in (_FEWEST_STAY, _MOST_STAY)
    )
    return RaceLeft(
        now, _fitting([now, *fewest], agenda, rules)[1:], _fitting([now, *most], agenda, rules)[1:]
    )


def _later(
    begun: Counter[int], racing: Sequence[int], present: int, rounds: Sequence[int], kinds: int, share: float
) -> list[float]:
    """Trials of the rounds after the present one, where so large a share stays after each."""
    trials = []
    for index, (before, size) in enumerate(itertools.pairwise((present, *rounds)), start=1):
        # Those that lead are ahead of the others, where free slots have gone on with them.
        each = sorted(max(0, size - max(before, begun[number])) for number in racing)
        staying = _staying(len(each), kinds, share, index)
        whole = sum(each[:kinds])
        others = each[kinds:]
        trials.append(whole + (staying - len(each[:kinds])) * (sum(others) / len(others) if others else 0.0))
    return trials


def _fitting(rounds: Sequence[float], agenda: Agenda, rules: RaceRules) -> tuple[float, ...]:
    """The rounds that the race may have: it ends before one that would exceed its trials."""
    if rules.max_trials is None:
        return tuple(rounds)
    room = rules.max_trials - agenda.ledger.num_started(Purpose.CONFIRM)
    sums = itertools.accumulate(rounds)
    return tuple(trials for trials, so_far in zip(rounds, sums, strict=True) if so_far <= room)
