"""Noise levels for sampling in 2, 3, 4 network evaluations: optimised, and measured on other noise.

The first level is sigma_max; searched are the others, over ln sigma. A distance is a function of (levels,
seed), the seed fixing latents and re-noising: on one seed, two sets of levels are compared with
common random numbers. After the ternary search of one level at a time by Song et al. 2023
(arXiv:2303.01469, Section 3); the scan, the golden section and the cycles over levels are ours.

Axes: N levels of a training stage.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from spaces import NoiseSchedule
from trainable.metric.assets import Assets, FrechetMetric
from trainable.network import Network
from trainable.storage.folder import Folder
from trainable.task import WORST_OBJECTIVE
from trainable.training.config import TrainingConfig
from trainable.training.finished import finished_trainer
from trainable.training.step import stream_seed

Levels = tuple[float, ...]  # decreasing, from sigma_max
Distance = Callable[[Levels, int], float]  # (levels, seed of latents and re-noising) -> distance

NUM_HELD_OUT = 4  # seeds that a reported distance is the mean over
MAX_EVALUATIONS = 60  # distances computed in the search for one number of levels
METHOD = (
    "scan and golden section over one ln sigma at a time, in cycles, from the best of the baselines, on one "
    "noise seed; distances are means over held-out seeds"
)

_RANGE = (0.05, 20.0)  # where levels are searched, as far as it lies inside the schedule's
_MIN_RATIO = 1.02  # between neighbouring levels
_SCAN = 6  # points of the first look along a line
_PRECISION = 0.05  # in ln sigma: on the digits the distance does not change measurably within 5 %
_GAIN = 1e-3  # a cycle that improves the distance by less is the last

# Align Your Steps, Sabour et al. 2024 (arXiv:2404.14507): the 10-step list published for Stable Diffusion 1.5,
# here as third-party ports have it.
ALIGN_YOUR_STEPS = (
    *(14.6146, 6.4746, 3.8637, 2.6946, 1.8842, 1.3944),
    *(0.9643, 0.6524, 0.3977, 0.1515, 0.0292),
)


def baselines(num_levels: int, sigma_N: Tensor) -> dict[str, Levels]:
    """Levels for num_levels >= 2 network evaluations that need no search, by name.

    sigma_N: training levels, increasing.
    ict_published: iCT's second level for CIFAR-10, .821, Song & Dhariwal 2023 (arXiv:2310.14189); no more than
    two levels were published. uniform_index: evenly spaced in the index of sigma_N, the last one not at
    sigma_min but one space above. align_your_steps: the published 10 steps, interpolated linearly in ln
    sigma to num_levels steps as its ports do; that the list is stretched (in ln sigma) from its
    own range to sigma_N's is ours, and so is its use for a consistency model.
    """
    low, high = sigma_N[0].item(), sigma_N[-1].item()
    last = len(sigma_N) - 1
    index = [round(last * (1 - i / num_levels)) for i in range(num_levels)]
    ln_aligned = [math.log(sigma) for sigma in ALIGN_YOUR_STEPS]
    stretch = math.log(high / low) / (ln_aligned[0] - ln_aligned[-1])
    aligned = [
        high * math.exp(stretch * (_at(ln_aligned, i / num_levels) - ln_aligned[0]))
        for i in range(1, num_levels)
    ]
    found = {
        "uniform_index": tuple(sigma_N[i].item() for i in index),
        "align_your_steps": (high, *aligned),
    }
    if num_levels == 2:
        found = {"ict_published": (high, 0.821), **found}
    return {name: levels for name, levels in found.items() if _allowed(levels, low)}


def levels_up_to(schedule: NoiseSchedule, total_steps: int, sigma_start: float | None) -> Tensor:
    """The training levels of the last stage, increasing, with sigma_start for the highest; None: as they are."""
    sigma_N = schedule.stages(total_steps)[-1].sigma_N
    if sigma_start is None:
        return sigma_N
    return torch.cat([sigma_N[sigma_N < sigma_start * (1 - 1e-9)], sigma_N.new_tensor([sigma_start])])


def _at(values: Sequence[float], fraction: float) -> float:
    """`values` at a fraction of its length, interpolated linearly."""
    position = fraction * (len(values) - 1)
    left = min(int(position), len(values) - 2)
    return values[left] + (position - left) * (values[left + 1] - values[left])


def _allowed(levels: Levels, sigma_min: float) -> bool:
    return levels[-1] > sigma_min and all(before > after for before, after in itertools.pairwise(levels))


@dataclass(frozen=True)
class Row:
    """Levels and what they are worth.

    distances: on each held-out seed; distance: their mean. search_distance: on the seed of the search, None where
    nothing was searched.
    """

    name: str
    sigmas: Levels
    distance: float
    distances: tuple[float, ...]
    search_distance: float | None = None


@dataclass(frozen=True)
class LevelTable:
    """For each number of network evaluations the levels found, and what they compare to.

    best: by number of levels; 1 is sigma_max alone. baselines: of `baselines`, in the same order.
    """

    best: Mapping[int, Row]
    baselines: Mapping[int, tuple[Row, ...]]
    search_seed: int
    held_out_seeds: tuple[int, ...]
    num_evaluations: int


def measure_levels(
    distance: Distance,
    sigma_N: Tensor,
    num_levels: Sequence[int],
    search_seed: int,
    held_out_seeds: Sequence[int],
    max_evaluations: int = MAX_EVALUATIONS,
    on_progress: Callable[[str], None] = lambda line: None,
) -> LevelTable:
    """Optimise the levels for each of num_levels on search_seed, and measure all on held_out_seeds.

    sigma_N: training levels, increasing. max_evaluations: of the distance, in each search. The levels found are
    never worse on search_seed than the baselines.
    """
    if search_seed in held_out_seeds:
        raise ValueError(f"`held_out_seeds` must not have search_seed={search_seed} among them")
    if any(n < 2 for n in num_levels):
        raise ValueError(f"`num_levels >= 2` must hold, but got {list(num_levels)}")
    counted = _Counted(distance)
    sigma_max = sigma_N[-1].item()

    def row(name: str, levels: Levels, search_distance: float | None = None) -> Row:
        values = tuple(counted(levels, seed) for seed in held_out_seeds)
        return Row(name, levels, math.fsum(values) / len(values), values, search_distance)

    best = {1: row("one_step", (sigma_max,))}
    others: dict[int, tuple[Row, ...]] = {}
    for n in sorted(set(num_levels)):
        known = baselines(n, sigma_N)
        starts = list(known.values())
        if n - 1 in best and n > 2:
            starts.append(_with_one_more(best[n - 1].sigmas, sigma_N))
        levels, value = optimise_levels(
            lambda sigmas: counted(sigmas, search_seed), starts, sigma_N, max_evaluations
        )
        best[n] = row("optimised", levels, value)
        others[n] = tuple(row(name, sigmas) for name, sigmas in known.items())
        on_progress(
            f"{n} network evaluations: {best[n].distance:.4g} on held-out noise, "
            f"{best[1].distance:.4g} with one ({counted.count} distances so far)"
        )
    return LevelTable(best, others, search_seed, tuple(held_out_seeds), counted.count)


class _Counted:
    """The distance, counted; what is not finite is WORST_OBJECTIVE, so that it can be compared and written."""

    def __init__(self, distance: Distance):
        self._distance = distance
        self.count = 0

    def __call__(self, levels: Levels, seed: int) -> float:
        self.count += 1
        value = self._distance(levels, seed)
        return value if math.isfinite(value) else WORST_OBJECTIVE


def optimise_levels(
    distance: Callable[[Levels], float],
    starts: Sequence[Levels],
    sigma_N: Tensor,
    max_evaluations: int = MAX_EVALUATIONS,
) -> tuple[Levels, float]:
    """(levels, distance): the least distance found by coordinate search from the best of `starts`.

    Each level but the first moves between its neighbours, within [.05, 20] as far as that lies inside the
    training levels sigma_N; a start may lie outside. At most max_evaluations calls of distance.
    """
    search = _Search(distance, max_evaluations)
    for levels in starts[:max_evaluations]:
        search.at(levels)
    low, high = _range(sigma_N)
    radius = math.inf
    try:
        while True:
            before = search.value
            for i in range(1, len(search.levels)):
                search.along(i, low, high, radius)
            if not search.value < before * (1 - _GAIN) or len(search.levels) == 2:
                break
            radius = 0.5 if math.isinf(radius) else radius / 2
    except _Spent:
        pass
    return search.levels, search.value


class _Spent(Exception):
    """No evaluations are left."""


class _Search:
    """The best levels so far, and what was tried."""

    def __init__(self, distance: Callable[[Levels], float], max_evaluations: int):
        self._distance = distance
        self._left = max_evaluations
        self._seen: dict[Levels, float] = {}
        self.levels: Levels = ()
        self.value = math.inf

    def at(self, levels: Levels) -> float:
        if levels not in self._seen:
            if self._left == 0:
                raise _Spent
            self._left -= 1
            value = self._seen[levels] = self._distance(levels)
            if value < self.value or not self.levels:
                self.levels, self.value = levels, value
        return self._seen[levels]

    def along(self, i: int, low: float, high: float, radius: float) -> None:
        """Move level i between its neighbours: a scan, then golden section around the best point of it.

        With a finite radius only within so much of where it is, in ln sigma, and without the scan.
        """
        gap = math.log(_MIN_RATIO)
        here = math.log(self.levels[i])
        top = min(math.log(high), math.log(self.levels[i - 1]) - gap)
        bottom = math.log(low)
        if i + 1 < len(self.levels):
            bottom = max(bottom, math.log(self.levels[i + 1]) + gap)
        top, bottom = min(top, here + radius), max(bottom, here - radius)
        if top - bottom < _PRECISION:
            return
        rest = self.levels

        def f(x: float) -> float:
            return self.at((*rest[:i], math.exp(x), *rest[i + 1 :]))

        if math.isinf(radius):
            points = sorted({*_between(bottom, top, _SCAN), min(max(here, bottom), top)})
            middle = min(range(len(points)), key=lambda k: f(points[k]))
            bottom, top = points[max(middle - 1, 0)], points[min(middle + 1, len(points) - 1)]
        _golden_section(f, bottom, top)


def _between(low: float, high: float, count: int) -> Iterator[float]:
    return (low + (high - low) * k / (count - 1) for k in range(count))


def _golden_section(f: Callable[[float], float], low: float, high: float) -> None:
    """Evaluate f towards its minimum in [low, high], until the interval is as small as _PRECISION."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    f_left, f_right = f(left), f(right)
    while high - low > _PRECISION:
        if f_left <= f_right:
            high, right, f_right = right, left, f_left
            left = high - ratio * (high - low)
            f_left = f(left)
        else:
            low, left, f_left = left, right, f_right
            right = low + ratio * (high - low)
            f_right = f(right)


def _range(sigma_N: Tensor) -> tuple[float, float]:
    low, high = sigma_N[0].item() * _MIN_RATIO, sigma_N[-1].item() / _MIN_RATIO
    inside = max(low, _RANGE[0]), min(high, _RANGE[1])
    return inside if inside[0] * 2 < inside[1] else (low, high)


def _with_one_more(levels: Levels, sigma_N: Tensor) -> Levels:
    """One level more, in the middle of the widest gap in ln sigma, the one down to the search's end included."""
    ends = (*levels, min(_range(sigma_N)[0], levels[-1] / _MIN_RATIO**2))
    gaps = [math.log(before / after) for before, after in itertools.pairwise(ends)]
    widest = gaps.index(max(gaps))
    middle = math.sqrt(ends[widest] * ends[widest + 1])
    return (*levels[: widest + 1], middle, *levels[widest + 1 :])


def measure_trial(
    folder: Folder,
    *,
    assets: Assets,
    network: Network,
    training: TrainingConfig,
    schedule: NoiseSchedule,
    seed: int,
    num_samples: int,
    num_levels: Sequence[int],
    device: str = "cpu",
    sigma_start: float | None = None,
    on_progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """`measure_levels` of a finished trial's model, as plain data for JSON.

    folder, schedule, seed: of the trial, as its `TrialTask` had them; the others as its `TrialWorker`. The
    noise is that of no other sampling of the search. Raises ValueError if there is no model of the full budget.
    """
    if schedule.loss.DENOISES:
        raise ValueError(
            "it is of a diffusion model, whose levels are those of Heun's method and not searched"
        )
    trainer = finished_trainer(
        folder, network, assets.images_NCHW, training, schedule, seed, device, sigma_start
    )
    metric = FrechetMetric(assets, num_samples, device)
    # 31 bits: every reader of JSON keeps them.
    search_seed, *held_out_seeds = (
        stream_seed("sampling levels", seed, i) % 2**31 for i in range(1 + NUM_HELD_OUT)
    )

    def distance(levels: Levels, noise_seed: int) -> float:
        return metric(trainer.sample(num_samples, noise_seed, levels[1:]))

    table = measure_levels(
        distance,
        levels_up_to(schedule, training.total_steps, sigma_start),
        num_levels,
        search_seed,
        held_out_seeds,
        on_progress=on_progress,
    )
    return {
        "objective": assets.objective,
        "num_samples": num_samples,
        "extractor_sha256": assets.extractor_sha256,
        "data_sha256": assets.data_sha256,
        "method": METHOD,
        "search_seed": table.search_seed,
        "held_out_seeds": list(table.held_out_seeds),
        "num_evaluations": table.num_evaluations,
        "best": {str(n): _plain(row) for n, row in table.best.items()},
        "baselines": {str(n): [_plain(row) for row in rows] for n, rows in table.baselines.items()},
        "metrics": {f"{assets.objective}_nfe{n}": row.distance for n, row in table.best.items()},
    }


def _plain(row: Row) -> dict[str, Any]:
    return asdict(row) | {"sigmas": list(row.sigmas), "distances": list(row.distances)}
