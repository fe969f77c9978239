"""The shortlist: which of the best proposals do well in other settings too.

What a search finds may be what its own setting is kind to. So its best proposals are trained once in each other setting
before the confirmation, on the seed of the search. After each setting the better half goes on, by the geometric mean of
all values so far; the best of those that are left are confirmed. Fresh seeds judge them then, in all settings: being
chosen here makes no claim larger.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from search.evidence.holding import HoldRules
from search.record import Purpose, State, TrialRecord, ln


class Entry(NamedTuple):
    """A trial to be started: the schedule of `record` on the seed of the search, in a setting."""

    record: TrialRecord
    setting: str


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A proposal of the shortlist. values: by other setting, inf where it failed; of those that it came to."""

    record: TrialRecord
    values: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Geometric mean of its values, that in the search included."""
        assert self.record.objective is not None
        values = [self.record.objective, *self.values.values()]
        return math.exp(math.fsum(map(ln, values)) / len(values))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; null for inf."""
        values = {setting: _finite(value) for setting, value in self.values.items()}
        return {"number": self.record.number, "values": values, "mean": _finite(self.mean)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def shortlist(records: Iterable[TrialRecord], rules: HoldRules, top: int) -> list[Listed]:
    """Best first: those that went on to more settings before the others. top: how many are to be confirmed."""
    return _Tried.of(records, rules, top).in_order()


def next_entries(records: Iterable[TrialRecord], rules: HoldRules, top: int) -> list[Entry]:
    """What is to be trained now, when the search is over. top: how many are to be confirmed."""
    return _Tried.of(records, rules, top).missing()


def most_entries(rules: HoldRules, top: int, finished: float = math.inf) -> dict[str, int]:
    """By setting, how many are trained there at most. finished: proposals that have run to their ends."""
    sizes, racing = {}, math.floor(min(max(rules.shortlist, top), finished)) if rules.shortlist else 0
    for setting in rules.settings:
        sizes[setting] = racing
        racing = _num_staying(racing, top)
    return sizes


def _num_staying(racing: int, top: int) -> int:
    return min(racing, max(top, math.ceil(racing / 2)))


@dataclass(frozen=True)
class _Tried:
    """settings: in the order in which they are tried. best: the proposals that begin. trials: by number and setting."""

    settings: Sequence[str]
    best: Sequence[TrialRecord]
    trials: Mapping[tuple[int | None, str], TrialRecord]
    top: int

    @classmethod
    def of(cls, records: Iterable[TrialRecord], rules: HoldRules, top: int) -> "_Tried":
        if not rules.shortlist:
            return cls([], [], {}, top)
        records = list(records)
        trials = {(r.replicate_of, r.setting): r for r in records if r.purpose is Purpose.SHORTLIST}
        searched = {r.number: r for r in records if r.purpose is Purpose.SEARCH}
        is_confirmed = any(r.purpose is Purpose.CONFIRM and r.replicate_of in searched for r in records)
        begun = {setting for _, setting in trials}
        # A setting that was asked for after the confirmation chooses nobody.
        settings = [setting for setting in rules.settings if setting in begun or not is_confirmed]
        finished = (r for r in searched.values() if r.state is State.COMPLETE and r.objective is not None)
        in_order = sorted(finished, key=lambda r: (r.objective, r.number))
        return cls(settings, in_order[: max(rules.shortlist, top)], trials, top)

    def missing(self) -> list[Entry]:
        for setting, racing in self._rounds():
            if not self._is_over(setting, racing):
                return [Entry(r, setting) for r in racing if (r.number, setting) not in self.trials]
        return []

    def in_order(self) -> list[Listed]:
        num_settings = dict.fromkeys((record.number for record in self.best), 0)
        for setting, racing in self._rounds():
            if self._is_over(setting, racing):
                for record in racing:
                    num_settings[record.number] += 1
        listed = [self._listed(record, num_settings[record.number]) for record in self.best]
        return sorted(listed, key=lambda one: (-len(one.values), one.mean, one.record.number))

    def _rounds(self) -> Iterator[tuple[str, Sequence[TrialRecord]]]:
        """Setting by setting those that are trained there, up to the first that is not over."""
        racing: Sequence[TrialRecord] = self.best
        for nth, setting in enumerate(self.settings, start=1):
            yield setting, racing
            if not self._is_over(setting, racing):
                return
            in_order = sorted(racing, key=lambda r: (self._listed(r, nth).mean, r.number))
            racing = in_order[: _num_staying(len(racing), self.top)]

    def _is_over(self, setting: str, racing: Iterable[TrialRecord]) -> bool:
        trials = [self.trials.get((record.number, setting)) for record in racing]
        return all(trial is not None and trial.state is not State.RUNNING for trial in trials)

    def _listed(self, record: TrialRecord, num_settings: int) -> Listed:
        """As it stands after the first settings."""
        return Listed(record=record, values={s: self._value(record, s) for s in self.settings[:num_settings]})

    def _value(self, record: TrialRecord, setting: str) -> float:
        trial = self.trials[record.number, setting]
        return math.inf if trial.state is State.FAILED or trial.objective is None else trial.objective
