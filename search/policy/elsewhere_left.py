"""How long the trials in other settings still take (`holds_at`), those of the shortlist included."""

import math
from collections.abc import Mapping

from search.evidence.holding import HoldRules
from search.evidence.race import RaceRules
from search.evidence.shortlist import most_entries
from search.policy.agenda import Agenda
from search.policy.pace_elsewhere import Ratio, pace_in
from search.policy.span import Span, together
from search.record import Purpose

# Of the rounds after the first, how many seeds a setting is expected to take.
_EXPECTED_ROUNDS = 0.5


def elsewhere_left(
    agenda: Agenda,
    open_steps: Mapping[int, int],
    own: float,
    ratios: Mapping[str, Ratio],
    finishing: Span,
) -> Span:
    """Seconds in all settings.

    open_steps: of the trials that run, the steps that each has done. own: slot seconds of a step in the search's own
    setting. ratios: by setting, what was timed there. finishing: proposals that run to their ends, those that have
    included.
    """
    holds, race = agenda.plan.holds, agenda.plan.race
    if holds is None or race is None or agenda.finished:
        return Span()
    left = _Left(agenda, holds, race, open_steps, finishing)
    spans, down, up = [], 0.0, 0.0
    for setting in holds.settings:
        pace = pace_in(agenda, setting, own, ratios.get(setting, Ratio()))
        for steps in (left.shortlist(setting), left.held(setting)):
            span = Span(*(pace.seconds * each for each in steps))
            spans.append(span)
            down += span.expected * (1 - 1 / pace.factor)
            up += span.expected * (pace.factor - 1)
    # Where one pace is another than expected, so are all: what is known of them was found alike.
    return together([*spans, Span(-down, 0.0, up)])


class _Left:
    """Steps one after the other, when all slots share the trials."""

    def __init__(
        self,
        agenda: Agenda,
        holds: HoldRules,
        race: RaceRules,
        open_steps: Mapping[int, int],
        finishing: Span,
    ):
        self._agenda, self._holds, self._race = agenda, holds, race
        self._open_steps, self._finishing = open_steps, finishing

    def shortlist(self, setting: str) -> Span:
        """All of it in one setting has ended before the next begins."""
        new = [0.0] * 3 if self._agenda.knows_finalists else self._new_on_shortlist(setting)
        return Span(*(self._turns(setting, Purpose.SHORTLIST, count) for count in new))

    def _new_on_shortlist(self, setting: str) -> list[float]:
        agenda, top = self._agenda, self._race.top
        begun = self._count(setting, Purpose.SHORTLIST)
        now = 0
        if not agenda.may_propose():
            now = sum(entry.setting == setting for entry in agenda.ledger.wanted_on_shortlist)
        return [
            max(now, most_entries(self._holds, top, finished)[setting] - begun)
            for finished in self._finishing
        ]

    def held(self, setting: str) -> Span:
        """Those of the finalists. Slots that one setting leaves empty take trials of the next."""
        is_last = setting == list(self._holds.settings)[-1]
        return Span(
            *(self._turns(setting, Purpose.HOLD, count, ends=is_last) for count in self._new_held(setting))
        )

    def _new_held(self, setting: str) -> tuple[float, float, float]:
        holds, agenda = self._holds, self._agenda
        held = self._count(setting, Purpose.HOLD)
        proposals, baselines = (
            min(holds.top, self._race.top),
            min(holds.baselines, len(agenda.plan.baselines)),
        )
        most = max(0, (proposals + baselines) * holds.rounds[-1] + holds.spread - held)
        if not held:  # all baselines but one may be left out after their first seed
            fewest = (proposals + 1) * holds.rounds[0] + max(0, baselines - 1) + holds.spread
        else:
            fewest = sum(found.setting == setting for found in agenda.ledger.wanted_in_settings)
            if not fewest and not self._to_go(setting, Purpose.HOLD):
                most = 0
        fewest = min(fewest, most)
        return fewest, fewest + _EXPECTED_ROUNDS * (most - fewest), most

    def _count(self, setting: str, purpose: Purpose) -> int:
        return sum(r.setting == setting and r.purpose is purpose for r in self._agenda.records.values())

    def _to_go(self, setting: str, purpose: Purpose) -> list[int]:
        """Of the trials that run there, the steps that each still has."""
        records, whole = self._agenda.records, self._agenda.plan.total_steps_in(setting)
        running = (records[number] for number in sorted(self._agenda.ledger.running))
        return [
            whole - self._open_steps.get(r.number, r.reports[-1].step if r.reports else 0)
            for r in running
            if r.setting == setting and r.purpose is purpose
        ]

    def _turns(self, setting: str, purpose: Purpose, new: float, *, ends: bool = True) -> float:
        """Of so many new trials and those that run. ends: whether all have ended before anything else begins."""
        whole, slots = self._agenda.plan.total_steps_in(setting), self._agenda.plan.max_concurrent
        running = self._to_go(setting, purpose)
        if not running and ends:
            return whole * math.ceil(new / slots)
        shared = (sum(running) + new * whole) / slots
        longest = max([whole] * (new > 0) + running, default=0)
        return max(longest, shared + (1 - 1 / slots) * longest / 2) if ends else shared
