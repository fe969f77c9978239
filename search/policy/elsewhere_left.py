"""How long the trials in other settings still take (`holds_at`), those of the shortlist included."""

import math
from collections.abc import Mapping, Sequence

from search.evidence.holding import HoldRules
from search.evidence.shortlist import most_entries
from search.policy.agenda import Agenda
from search.record import Purpose


def elsewhere_left(agenda: Agenda, open_steps: Mapping[int, int]) -> tuple[float, float]:
    """Seconds, least and most. open_steps: of the trials that run, the steps that each has done.

    The pace in a setting is known only when trials have run there: until then there is no most.
    """
    holds = agenda.plan.holds
    if holds is None or agenda.finished:
        return 0.0, 0.0
    parts = [_in_setting(agenda, holds, setting, open_steps) for setting in holds.settings]
    return sum(least for least, _ in parts), sum(most for _, most in parts)


def _in_setting(
    agenda: Agenda, holds: HoldRules, setting: str, open_steps: Mapping[int, int]
) -> tuple[float, float]:
    there = [r for r in agenda.records.values() if r.setting == setting]
    to_go = [_steps_to_go(agenda, r.number, open_steps) for r in there if r.number in agenda.ledger.running]
    held = sum(r.purpose is Purpose.HOLD for r in there)
    fewest = _num_wanted(agenda, setting) if held else 2 * holds.rounds[0]
    most = max(fewest, holds.most_trials - held) if to_go or fewest else 0
    least_listed, most_listed = _num_to_list(agenda, holds, setting)
    fewest, most = fewest + least_listed, most + most_listed
    spent = agenda.spending.elsewhere.get(setting)
    if spent is None or not spent.steps:
        return 0.0, math.inf if most or to_go else 0.0
    each = spent.trials / spent.steps
    return each * _together(agenda, setting, to_go, fewest), each * _together(agenda, setting, to_go, most)


def _num_to_list(agenda: Agenda, holds: HoldRules, setting: str) -> tuple[int, int]:
    """Trials of the shortlist that are not begun, at least and at most."""
    race = agenda.plan.race
    if race is None or agenda.knows_finalists:
        return 0, 0
    begun = sum(r.purpose is Purpose.SHORTLIST and r.setting == setting for r in agenda.records.values())
    now = 0 if agenda.may_propose() else sum(e.setting == setting for e in agenda.ledger.wanted_on_shortlist)
    return now, max(now, most_entries(holds, race.top)[setting] - begun)


def _num_wanted(agenda: Agenda, setting: str) -> int:
    return sum(found.setting == setting for found in agenda.ledger.wanted_in_settings)


def _steps_to_go(agenda: Agenda, number: int, open_steps: Mapping[int, int]) -> int:
    record = agenda.records[number]
    measured = record.reports[-1].step if record.reports else 0
    return agenda.plan.total_steps_in(record.setting) - open_steps.get(number, measured)


def _together(agenda: Agenda, setting: str, to_go: Sequence[int], num_new: int) -> float:
    """Steps one after the other, when all slots share these trials."""
    whole = agenda.plan.total_steps_in(setting)
    longest = max([whole] * (num_new > 0) + list(to_go), default=0)
    return max(longest, (sum(to_go) + num_new * whole) / agenda.plan.max_concurrent)
