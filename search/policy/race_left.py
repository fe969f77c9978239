"""How many trials of the confirmation are still to come: fewest and most, round by round."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from search.evidence.race import RaceRules
from search.policy.agenda import Agenda
from search.policy.span import Span
from search.record import SEARCHED, Purpose, State

# Of the finalists that do not lead, the share that a round leaves in the race: least, expected, most, as simulated
# searches have it.
_STAY = (0.0, 0.12, 0.5)


@dataclass(frozen=True)
class RaceLeft:
    """Trials that are not begun. now: which slots may take up at once. rounds: of each round after that, at least, as
    expected, at most."""

    now: int = 0
    rounds: tuple[Sequence[float], ...] = ()

    def turns(self, slots: int) -> Span:
        """How long the rounds after that take, in whole trials one after the other: each follows the last.

        In the last turn of a round slots stand empty, unless they go ahead with the next.
        """
        found = [
            sum(
                max(1.0, trials / slots) + (math.ceil(trials / slots) - trials / slots) * empty
                for trials in rounds
                if trials
            )
            for rounds, empty in zip(self.rounds, (0.0, 0.5, 1.0), strict=False)
        ]
        return Span(*found)


def race_left(agenda: Agenda, *, over: bool) -> RaceLeft:
    """over: whether the finalists are known for good."""
    rules = agenda.plan.race
    if rules is None:
        return RaceLeft()
    if over:
        return _begun(agenda, rules)
    kinds = min(1, rules.top) + min(1, rules.baselines, len(agenda.plan.baselines))
    sizes = [after - before for before, after in itertools.pairwise((0, *rules.rounds))]
    found = []
    for start, share in zip(_starts(agenda, rules), _STAY, strict=True):
        trials = [size * _staying(start.finalists, kinds, share, index) for index, size in enumerate(sizes)]
        trials[0] = max(0.0, trials[0] - start.done)
        found.append(_fitting(trials, agenda, rules))
    return RaceLeft(0, tuple(found))


class _Start(NamedTuple):
    """Finalists, and what the noise floor has trained of one of them."""

    finalists: float
    done: float


def _starts(agenda: Agenda, rules: RaceRules) -> tuple[_Start, _Start, _Start]:
    """Of the shortest race, of the expected, of the longest: baselines that are surely worse are left out."""
    baselines, ledger = list(agenda.plan.baselines), agenda.ledger
    floor = min(agenda.plan.noise_seeds, rules.rounds[0])
    if agenda.next_baseline() is None and not ledger.is_running(Purpose.BASELINE, Purpose.NOISE):
        presets = {ledger.records[number].preset for number in agenda.standing.finalists} - {None}
        known = _Start(rules.top + len(presets), floor if baselines and baselines[0] in presets else 0)
        return known, known, known
    most = rules.top + min(rules.baselines, len(baselines))
    fewest = min(most, rules.top + 1)
    return _Start(fewest, floor), _Start((fewest + most) / 2, floor / 2), _Start(most, 0)


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
    later = (_later(begun, sorted(in_race), present, rest, kinds, share) for share in _STAY)
    return RaceLeft(now, tuple(_fitting([now, *rounds], agenda, rules)[1:] for rounds in later))


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
