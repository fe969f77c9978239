"""When two schedules are one: how far apart training sees them. Axes: S slots of the run, J bins of ln sigma.

Parameters of different families do not compare, densities over ln sigma do. At one step, training sees a law
over pairs (sigma_i, sigma_{i+1}) of neighbouring levels. It is given by two measures over ln sigma: the
probability mass, and the number of intervals, each spread evenly over its interval. The second says how far
apart the two levels of a pair are: their distance in ln sigma is one over its density. It holds N and the grid,
which the first hardly shows: a lognormal law is the same on 20 levels and on 1,280, its training is not.

The distance at one step is the larger of

    |f - f'| / 2              total variation between the probabilities f, f' of the bins
    |h - h'| / max(h, h')     share of the intervals h, h' that are not in common, sums over the bins

and of two schedules its mean over the run. Both lie in 0..1 and both are metrics (the second is Jaccard's for
measures, also called Soergel's or Ruzicka's), so this is one too, on what the bins and slots can tell apart.
What minimises the same in expectation need not train the same: of a law that draws a level twice as often at half the
weight the gradient has the same mean and less noise. So laws are compared without their weights, and two schedules with
other weights or another kind of loss are never one. With pseudo-Huber losses the distance is at least 1 - c/c', c < c'.

For schedules that these do not tell apart there is `total_variation`, without bins and slots: a law that has two
spikes in one bin is another one if they lie elsewhere in it.
"""

import math
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.registry import options_of
from spaces.schedule import NoiseSchedule
from spaces.stage import Stage

Features = NDArray[np.float32]

# Of 1 % of the draws, or of the intervals. Ours: far below what the seeds of a trial let us see.
TOLERANCE = 0.01

# Stands for a pseudo-Huber constant that the schedule leaves to the training: no c that a schedule may have is near.
_OF_THE_TRAINING = math.exp(60)
_NUM_SLOTS = 32
# Fine where schedules live, coarse out to the widest grid there is.
_EDGES = np.log(
    np.concatenate([np.geomspace(1e-6, 1e-3, 9)[:-1], np.geomspace(1e-3, 200, 113), [1e3, 1e4, 1e6]])
)
_NUM_BINS = len(_EDGES) - 1


@lru_cache(maxsize=512)  # 31 kB each
def features(schedule: NoiseSchedule, total_steps: int) -> Features:
    """The two measures in each slot of the run, as one row of numbers that `distances` compares.

    Rows of the same total_steps compare; keep them, they cost some milliseconds each. Read-only.
    A family that adapts in training is equal to itself only, whatever its start.
    """
    stages = schedule.stages(total_steps)
    starts = np.array([stage.start_step for stage in stages] + [total_steps]) / total_steps
    slots = np.arange(_NUM_SLOTS + 1) / _NUM_SLOTS
    inside = np.minimum(slots[1:, None], starts[1:]) - np.maximum(slots[:-1, None], starts[:-1])
    share = inside.clip(min=0) * _NUM_SLOTS
    measures = np.empty((len(stages), 2, _NUM_BINS))
    for row, stage in zip(measures, stages, strict=True):
        row[0] = stage.mass(_EDGES)
        row[1] = schedule.intervals(stage, _EDGES)
    noise = schedule.noise
    kind = zlib.crc32(repr((type(noise), noise)).encode()) if noise.ADAPTIVE else int(noise.weighs_loss)
    if schedule.unusual:
        kind = zlib.crc32(f"{kind} {_kind_of(schedule)!r}".encode())
    huber_c = schedule.loss.huber_c_of(_OF_THE_TRAINING)
    tail = (math.nan if huber_c is None else math.log(huber_c), kind)
    found = np.append(np.einsum("st,tmj->smj", share, measures), tail).astype(np.float32)
    found.setflags(write=False)
    return found


def _kind_of(schedule: NoiseSchedule) -> tuple[Any, ...]:
    """What two schedules have in common, or are not near: of gap, weight and loss all but the numbers compared."""
    loss = options_of(schedule.loss)
    if schedule.loss.huber_c_of(_OF_THE_TRAINING) is not None:
        loss.pop("huber_c", None)
    weight = (type(schedule.weight), options_of(schedule.weight))
    return schedule.gap.CONTINUOUS, weight, (type(schedule.loss), loss)


def distances(one: Features, others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Between `features` and each row of others, (rows,): 0 for the same training, at most 1."""
    return np.array([_distance(one, other) for other in others])  # a row at a time stays in the cache


def _distance(one: Features, other: Features) -> float:
    if one[-1] != other[-1]:
        return 1.0
    log_ratio = abs(float(one[-2]) - float(other[-2]))  # nan where the loss has no such constant
    here, there = one[:-2].reshape(_NUM_SLOTS, 2, _NUM_BINS), other[:-2].reshape(_NUM_SLOTS, 2, _NUM_BINS)
    apart_S2 = np.abs(here - there).sum(axis=2)
    union_S = np.maximum(here[:, 1], there[:, 1]).sum(axis=1)
    apart = float(np.maximum(apart_S2[:, 0] / 2, apart_S2[:, 1] / union_S).mean())
    return max(apart, -math.expm1(-log_ratio)) if log_ratio > 0 else apart


def sketch(found: Features) -> NDArray[np.float32]:
    """A few numbers, (16,), of `features`: half the sum of their absolute differences never exceeds the distance.

    They are the probabilities of wide bins over the whole run, and sums hide differences but make none.
    """
    mass_J = found[:-2].reshape(_NUM_SLOTS, 2, _NUM_BINS)[:, 0].mean(axis=0)
    return np.add.reduceat(mass_J, np.arange(0, _NUM_BINS, 8))


def distance(one: NoiseSchedule, other: NoiseSchedule, total_steps: int) -> float:
    """Between two schedules with the same budget: 0 for the same training, at most 1."""
    return _distance(features(one, total_steps), features(other, total_steps))


def equal(one: NoiseSchedule, other: NoiseSchedule, total_steps: int, tolerance: float = TOLERANCE) -> bool:
    """Whether they train the same, however they are written: `distance` and `total_variation` <= tolerance."""
    if one.noise != other.noise and (one.noise.ADAPTIVE or other.noise.ADAPTIVE):
        return False  # `features` has a checksum of it only, and of these:
    if _kind_of(one) != _kind_of(other):
        return False
    return (
        distance(one, other, total_steps) <= tolerance
        and total_variation(one, other, total_steps) <= tolerance
    )


def total_variation(one: NoiseSchedule, other: NoiseSchedule, total_steps: int) -> float:
    """Between the probabilities over ln sigma, each spread evenly over its interval: mean over the run, exact.

    On the same levels that is half the sum of the differences of the interval probabilities.
    """
    stages, others = one.stages(total_steps), other.stages(total_steps)
    starts = sorted({stage.start_step for stage in (*stages, *others)})
    known: dict[tuple[int, int], float] = {}  # stages share their arrays
    apart, i, j = 0.0, 0, 0
    for start, end in zip(starts, [*starts[1:], total_steps], strict=True):
        i += i + 1 < len(stages) and stages[i + 1].start_step == start
        j += j + 1 < len(others) and others[j + 1].start_step == start
        key = id(stages[i].probabilities), id(others[j].probabilities)
        if key not in known:
            known[key] = _total_variation(stages[i], others[j])
        apart += (end - start) * known[key]
    return apart / total_steps


def _total_variation(one: Stage, other: Stage) -> float:
    edges = np.union1d(*(np.log(stage.levels) for stage in (one, other)))
    return float(np.abs(one.mass(edges) - other.mass(edges)).sum() / 2)
