"""The best value so far against what it cost, and what more of the budget is expected to bring."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from search.evidence.leaderboard import Leaderboard
from search.record import SEARCHED, Purpose, State, TrialRecord, has_diverged, ln
from search.report.found import Found, measured, plotted

_FEWEST = 12  # finished proposals from which more of them can be foretold
_TAIL = 1 / 3  # of these, the best are the tail
MORE = 0.1  # of the budget


@dataclass(frozen=True)
class Outlook:
    """What another tenth of the budget is expected to bring.

    gain: share by which the best value seen falls. chance: that it falls at all.
    """

    gain: float
    chance: float


def best_so_far(found: Found) -> list[dict[str, Any]]:
    """Corners of a staircase: trainings (full ones that were paid for so far), value, trial; with the noise band.

    Values at the full budget of baselines and proposals, each on the seed of the search. low, high: what the noise of
    one seed makes of the value, with 95 %, where it is known.
    """
    points: list[dict[str, Any]] = []
    paid, best = 0, math.inf
    for record in _in_order(found.records):
        paid += record.reports[-1].step if record.reports else 0
        value = record.objective
        if record.state is State.COMPLETE and value is not None and value < best and not has_diverged(value):
            best = value
            points.append(
                {"trainings": paid / found.total_steps, "value": plotted(value), "trial": record.number}
            )
    if points:
        points.append({**points[-1], "trainings": paid / found.total_steps})
    factor = noise_factor(found.board)
    return [
        point | ({} if factor is None else {"low": point["value"] / factor, "high": point["value"] * factor})
        for point in points
    ]


def noise_factor(board: Leaderboard) -> float | None:
    """A value on one seed is within this factor of its schedule's mean with 95 %; None where it is not known."""
    if not board.noise:
        return None
    noise = board.noise[max(board.noise)]
    return math.exp(noise.factor(0.95) * noise.sd)


def _in_order(records: Sequence[TrialRecord]) -> Iterator[TrialRecord]:
    """Baselines and proposals that have ended, in the order in which they did."""
    ended = [r for r in records if r.purpose in SEARCHED and r.state is not State.RUNNING]
    yield from sorted(ended, key=lambda r: (_ended_ms(r), r.number))


def _ended_ms(record: TrialRecord) -> int:
    return record.end_ms or (record.reports[-1].time_ms if record.reports else 0)


def outlook(found: Found) -> Outlook | None:
    """As if proposals were draws from one distribution whose lower tail is exponential in ln(objective).

    Hill 1975 (doi:10.1214/aos/1176343247): the mean excess of the k best under the next one estimates the scale; so
    many more draws lower the expected minimum by scale * ln(1 + MORE). The values are those that were seen: a part of
    what is gained is luck. None where too few have ended.
    """
    values = sorted(
        ln(r.objective)
        for r in found.records
        if r.purpose is Purpose.SEARCH
        and r.state is State.COMPLETE
        and r.objective is not None
        and measured(r)
    )
    if len(values) < _FEWEST:
        return None
    k = max(4, round(_TAIL * len(values)))
    scale = math.fsum(values[k] - value for value in values[:k]) / k
    return Outlook(gain=-math.expm1(-scale * math.log1p(MORE)), chance=MORE / (1 + MORE))


def outlook_text(found: Found) -> str:
    """The outlook in a sentence, beside the noise."""
    expected = outlook(found)
    if expected is None:
        return (
            f"What more trials would bring cannot be told before {_FEWEST} proposals have run to their end."
        )
    factor = noise_factor(found.board)
    noise = "" if factor is None else f": one seed lies within a factor of {factor:.2f} of the mean (95 %)"
    return (
        f"A tenth more of the budget is expected to lower the best value seen by {expected.gain:.1%}, with a chance of "
        f"{expected.chance:.0%} to lower it at all, as if proposals were draws from one distribution. A part of that "
        f"would be luck{noise}."
    )
