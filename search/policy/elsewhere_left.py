"""How long the trials in other settings still take (`holds_at`)."""

import math
from collections.abc import Mapping, Sequence

from search.evidence.holding import HoldRules
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
    begun = [r for r in agenda.records.values() if r.purpose is Purpose.HOLD and r.setting == setting]
    to_go = [_steps_to_go(agenda, r.number, open_steps) for r in begun if r.number in agenda.ledger.running]
    fewest = max(0, 2 * holds.rounds[0] - len(begun)) if not begun else _num_wanted(agenda, setting)
    most = max(fewest, holds.most_trials - len(begun)) if to_go or fewest else 0
    spent = agenda.spending.elsewhere.get(setting)
    if spent is None or not spent.steps:
        return 0.0, math.inf if most or to_go else 0.0
    each = spent.trials / spent.steps
    return each * _together(agenda, setting, to_go, fewest), each * _together(agenda, setting, to_go, most)


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
