"""How often a schedule trains each noise level, over ln sigma, and how many levels it has when.

Axes: B bands of ln sigma.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from search.evidence.row import Row
from spaces import NoiseSchedule

_NUM_POINTS = 120  # of a curve
# Nominal runs: stages have about the same shares as in one of any length. The short one is for many schedules.
_STEPS, _FEW_STEPS = 200, 16


def mean_mass(
    schedule: NoiseSchedule, edges: NDArray[np.float64], steps: int = _STEPS
) -> NDArray[np.float64]:
    """Share of the training between the increasing `edges` of ln sigma, mean over the run; one less than those."""
    stages = schedule.stages(steps)
    lengths = np.diff([*(stage.start_step for stage in stages), steps])
    masses = [length / steps * stage.mass(edges) for stage, length in zip(stages, lengths, strict=True)]
    return np.sum(masses, axis=0)


@lru_cache(maxsize=4096)
def _ends(schedule: NoiseSchedule) -> tuple[float, float]:
    """ln sigma_min and ln sigma_max."""
    return float(np.log(schedule.grid.sigma_min)), float(np.log(schedule.grid.sigma_max))


def range_of(schedules: Sequence[NoiseSchedule]) -> tuple[float, float]:
    """The least ln sigma_min and the largest ln sigma_max."""
    lows, highs = zip(*map(_ends, schedules), strict=True)
    return min(lows), max(highs)


def densities(rows: Sequence[Row]) -> list[dict[str, float | str]]:
    """Points of one curve for each row: label, sigma, density per unit of ln sigma. Each integrates to 1."""
    if not rows:
        return []
    edges = np.linspace(*range_of([row.record.schedule for row in rows]), _NUM_POINTS + 1)
    middles, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    return [
        {"schedule": row.label, "sigma": _short(np.exp(middle)), "density": _short(mass / width)}
        for row in rows
        for middle, mass in zip(middles, mean_mass(row.record.schedule, edges), strict=True)
    ]


def peak(row: Row) -> tuple[float, float]:
    """(sigma below which half of the training happens, sigma where it is the densest)."""
    edges = np.linspace(*_ends(row.record.schedule), _NUM_POINTS + 1)
    mass = mean_mass(row.record.schedule, edges)
    median = np.interp(0.5, np.cumsum(mass) / mass.sum(), edges[1:])
    densest = int(mass.argmax())
    return float(np.exp(median)), float(np.exp((edges[densest] + edges[densest + 1]) / 2))


def level_counts(rows: Sequence[Row], total_steps: int) -> list[dict[str, float | str]]:
    """N(k) of each row as corners of a staircase: schedule, step, levels."""
    points: list[dict[str, float | str]] = []
    for row in rows:
        stages = row.record.schedule.stages(total_steps)
        corners = [(stage.start_step, stage.num_levels) for stage in stages]
        corners.append((total_steps, stages[-1].num_levels))
        points += [
            {"schedule": row.label, "step": step, "levels": levels} for step, levels in _thinned(corners)
        ]
    return points


def _thinned(corners: Sequence[tuple[int, int]], most: int = 400) -> list[tuple[int, int]]:
    """At most so many of them, the first and the last included."""
    if len(corners) <= most:
        return list(corners)
    kept = np.unique(np.linspace(0, len(corners) - 1, most).round().astype(int))
    return [corners[index] for index in kept]


def bands(
    schedules: Mapping[int, NoiseSchedule], num_bands: int
) -> tuple[list[float], dict[int, list[float]]]:
    """(edges of equal bands of ln sigma, as sigma; by trial number the share of the training in each)."""
    edges = np.linspace(*range_of(list(schedules.values())), num_bands + 1)
    shares = {
        number: mean_mass(schedule, edges, _FEW_STEPS).tolist() for number, schedule in schedules.items()
    }
    return np.exp(edges).tolist(), shares


def _short(value: float) -> float:
    """Four digits: a page is to be small."""
    return float(f"{value:.4g}")
