"""The trials of a search as its policy looks them up."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from search.evidence import audit, holding, race
from search.evidence.noise import SeedNoise, noise_at_rungs
from search.evidence.shortlist import Entry, next_entries
from search.policy.plan import Plan
from search.record import Purpose, State, TrialRecord
from search.stopping_rule import Rung


class Ledger:
    """All trials by number, with what is known of them together.

    Its indexes are kept with every record, because looking through all of them at each result is quadratic in a search.
    """

    def __init__(self, plan: Plan):
        self._plan = plan
        self.records: dict[int, TrialRecord] = {}
        self.running: set[int] = set()
        self.num_condemned = 0
        self.num_audited = 0
        self._started: Counter[Purpose] = Counter()
        self._presets: dict[str, int] = {}
        self._at_rung: defaultdict[int, dict[int, float]] = defaultdict(dict)  # step -> number -> objective
        self._noise: Mapping[int, SeedNoise] | None = None  # None: to be computed again
        self._standing: race.Standing | None = None  # likewise
        self._wanted: tuple[holding.Wanted, ...] | None = None  # likewise
        self._entries: Sequence[Entry] | None = None  # likewise

    def keep(self, record: TrialRecord) -> None:
        """The record as it is now."""
        before = self.records.get(record.number)
        if before is None:
            self._started[record.purpose] += 1
            if record.purpose is Purpose.BASELINE and record.preset is not None:
                self._presets[record.preset] = record.number
        self.records[record.number] = record
        if record.state is State.RUNNING:
            self.running.add(record.number)
        else:
            self.running.discard(record.number)
        self._count_condemned(before, record)
        self._standing = self._wanted = self._entries = None
        if record.replicate_of is None:
            self._compare(record)
        else:  # on another seed: it is not compared at rungs
            self._noise = None

    def _count_condemned(self, before: TrialRecord | None, record: TrialRecord) -> None:
        if record.purpose is not Purpose.SEARCH:
            return
        self.num_audited += _is_audited(record) - (before is not None and _is_audited(before))
        self.num_condemned += _is_condemned(record) - (before is not None and _is_condemned(before))

    def _compare(self, record: TrialRecord) -> None:
        for report in record.reports:
            # What a condemned trial does later would make the rungs above look worse than they are.
            if record.condemned_at is None or report.step <= record.condemned_at:
                self._at_rung[report.step][record.number] = report.objective

    def num_started(self, *purposes: Purpose) -> int:
        """How many trials were started for these purposes."""
        return sum(self._started[purpose] for purpose in purposes)

    def is_running(self, *purposes: Purpose) -> bool:
        """Whether a trial for one of these purposes is open."""
        return any(self.records[number].purpose in purposes for number in self.running)

    def baseline(self, preset: str) -> TrialRecord | None:
        """The trial of a literature preset, None before it is started."""
        number = self._presets.get(preset)
        return None if number is None else self.records[number]

    def replicate_seeds(self, number: int) -> set[int]:
        """The seeds on which a trial's schedule was trained again."""
        return {r.seed for r in self.records.values() if r.replicate_of == number and r.is_comparable}

    def rung(self, step: int) -> Rung:
        """What a stopping rule may know at a rung."""
        noise = self.noise.get(step)
        return Rung(
            step=step,
            values=self._at_rung[step],
            earlier={rung: self._at_rung[rung] for rung in self._plan.rungs if rung < step},
            noise=noise.sd if noise is not None else None,
        )

    @property
    def noise(self) -> Mapping[int, SeedNoise]:
        """Step -> the noise between seeds there, as far as it is measured."""
        if self._noise is None:
            self._noise = noise_at_rungs(self.records.values())
        return self._noise

    @property
    def standing(self) -> race.Standing:
        """How the confirmation stands."""
        if self._standing is None:
            self._standing = self._plan.standing(self.records.values())
        return self._standing

    @property
    def wanted_on_shortlist(self) -> Sequence[Entry]:
        """Of the shortlist, what is to be trained now."""
        race_rules, holds = self._plan.race, self._plan.holds
        if race_rules is None or holds is None:
            return []
        if self._entries is None:
            self._entries = next_entries(self.records.values(), holds, race_rules.top)
        return self._entries

    @property
    def wanted_in_settings(self) -> tuple[holding.Wanted, ...]:
        """What is to be trained in other settings now, the most urgent first."""
        assert self._plan.holds is not None
        if self._wanted is None:
            records, seeds = self.records.values(), self._plan.fresh_seeds
            self._wanted = holding.wanted(records, self.standing, self._plan.holds, seeds)
        return self._wanted


def _is_audited(record: TrialRecord) -> bool:
    return record.condemned_at is not None


def _is_condemned(record: TrialRecord) -> bool:
    return _is_audited(record) or audit.was_condemned(record)
