"""The noise levels of a schedule in a training loop of one's own, drawn on the device. This file needs torch alone.

    s = ScheduleSampler.load("best_schedule.json")
    t, r, weight = s.draw(batch_size, step, generator=g, device="cuda")  # consistency: student, teacher, weight
    sigma = s.draw_sigma(batch_size, step, generator=g, device="cuda")   # denoising: one level
    sigmas = s.quantiles(step, 1000)                                     # for a trainer that draws by itself

What is drawn follows from step and generator alone: give the step that a training goes on from, and it goes on alike.
A training of another length K gives `step * s.total_steps // K`.

Nothing waits for the device, but for the first draw on it. In a CUDA graph: `s.enter(step, device)` before the capture
and before each replay puts the levels of the step in place, and the captured draw takes what is there. A generator of
one's own is to be registered with the graph.

Axes: B images, N levels, M pairs of levels, C columns of a table.
"""

import bisect
import itertools
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Device = str | torch.device
FORMATS = ("noise-schedule/1", "noise-schedule/2")


class ScheduleSampler:
    """The schedule of a document `noise-schedule/1` or `/2`, stage by stage.

    total_steps: the optimiser steps that its curriculum is made for. sampling_levels: those to sample a trained model
    at, by number of network evaluations, decreasing.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        """From a document's content. ValueError, in one line, where it is not one."""
        if not isinstance(document, Mapping) or document.get("format") not in FORMATS:
            raise ValueError(f"a schedule with the format {' or '.join(FORMATS)} is needed")
        try:
            training, schedule = document["training"], document["schedule"]
            self.total_steps = int(training["total_steps"])
            self.sigma_min, self.sigma_max = (
                float(schedule["grid"][key]) for key in ("sigma_min", "sigma_max")
            )
            sampling, stages = document.get("sampling") or {}, list(training["stages"])
            levels = sampling.get("steps") or {"1": [self.sigma_max]}
            self.sampling_levels = {int(n): tuple(map(float, sigmas)) for n, sigmas in levels.items()}
            self._starts = [int(stage["start_step"]) for stage in stages]
            by_importance = _is_by_importance(document)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the schedule has no such part, or one of another kind: {error}") from None
        if self._starts[:1] != [0] or any(a >= b for a, b in itertools.pairwise(self._starts)):
            raise ValueError("training.stages must begin at step 0 and be in the order of their start_step")
        if not 0 < self.sigma_min < self.sigma_max < math.inf:
            raise ValueError("schedule.grid must have 0 < sigma_min < sigma_max")
        pairs = [_pairs(stage, f"training.stages[{i}]", by_importance) for i, stage in enumerate(stages)]
        ends = self.sigma_min, self.sigma_max
        self._pairs = _Table([torch.stack([_drawable(p.cumsum(0)), t, r, w]) for t, r, p, w in pairs])
        self._density = _Table([_density(t, r, p, *ends) for t, r, p, _ in pairs])

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "ScheduleSampler":
        """From a JSON file. ValueError, in one line, where it cannot be read or is no schedule."""
        try:
            with open(path, encoding="utf-8") as file:
                return cls(json.load(file))
        except (OSError, ValueError, RecursionError) as error:
            what = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise ValueError(f"{os.fspath(path)}: {what}") from None

    def draw(
        self,
        batch_size: int,
        step: int,
        *,
        generator: torch.Generator | None = None,
        device: Device = "cpu",
        stratified: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Noise levels t_B of the student, r_B < t_B of the teacher, and weight_B of the loss of each image; float32.

        step: the optimiser step, from 0. stratified: one draw in each of batch_size equal shares of the probability, in
        random order, so that the levels of a batch are spread as the law is.
        """
        rows_CM = self._pairs.enter(self._stage(step), _resolved(device))
        u_B = uniform(batch_size, generator, rows_CM.device, stratified)
        t_B, r_B, weight_B = _gathered(rows_CM, u_B).float()
        return t_B, r_B, weight_B

    def draw_sigma(
        self,
        batch_size: int,
        step: int,
        *,
        generator: torch.Generator | None = None,
        device: Device = "cpu",
        stratified: bool = False,
    ) -> Tensor:
        """One noise level for each image, sigma_B, float32: the law itself, evenly in ln sigma between its levels."""
        rows_CM = self._density.enter(self._stage(step), _resolved(device))
        u_B = uniform(batch_size, generator, rows_CM.device, stratified)
        return _sigma(rows_CM, u_B).float()

    def quantiles(self, step: int, num: int) -> Tensor:
        """The quantiles (j + .5) / num, j = 0, 1, ..., of what `draw_sigma` draws; float64, increasing, on the CPU."""
        _check_count("num", num)
        u = (torch.arange(num, dtype=torch.float64, device="cpu") + 0.5) / num
        return _sigma(self._density.stages[self._stage(step)], u)

    def enter(self, step: int, device: Device = "cpu") -> None:
        """Put the levels of the step in place on the device, where a captured draw reads them."""
        for table in (self._pairs, self._density):
            table.enter(self._stage(step), _resolved(device))

    def _stage(self, step: int) -> int:
        if not isinstance(step, int):
            raise ValueError(f"`step` must be an int of Python, but is of type {type(step).__name__}")
        if not 0 <= step < self.total_steps:
            raise ValueError(
                f"`0 <= step < {self.total_steps}` must hold, but got step={step}. In a training of K steps "
                "give step * s.total_steps // K"
            )
        return bisect.bisect_right(self._starts, step) - 1


class _Table:
    """What is drawn in each stage; on a device the rows of one stage at a time, always at the same place.

    stages: (C, M) each, float64; column 0 has the u below which a row is drawn.
    """

    def __init__(self, stages: Sequence[Tensor]) -> None:
        self.stages = stages
        self._placed: dict[torch.device, tuple[list[Tensor], Tensor]] = {}
        self._entered: dict[torch.device, int] = {}

    @torch.inference_mode(False)  # else the place could not be written to outside of it
    def enter(self, stage: int, device: torch.device) -> Tensor:
        """The rows of a stage, padded to the longest; the same memory each time."""
        if self._entered.get(device) == stage:
            return self._placed[device][1]
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            raise ValueError("call enter(step, device) before the capture: within it the stage cannot change")
        if device not in self._placed:
            most = max(rows_CM.shape[1] for rows_CM in self.stages)
            place_CM = torch.empty(len(self.stages[0]), most, dtype=torch.float64, device=device)
            self._placed[device] = [rows_CM.to(device) for rows_CM in self.stages], place_CM
        stages, place_CM = self._placed[device]
        num_rows = stages[stage].shape[1]
        place_CM[:, :num_rows].copy_(stages[stage])
        place_CM[:, num_rows:].fill_(math.inf)  # never drawn
        self._entered[device] = stage
        return place_CM


def _is_by_importance(document: Mapping[str, Any]) -> bool:
    """Whether the weight of version 1 has 1 / (M p) in it; without a weighting the law says so."""
    weighting = document["training"].get("weighting")
    if weighting is None:
        return bool(document["schedule"]["noise"].get("importance_weights", False))
    return bool(weighting["name"] == "inverse_gap_importance")


def _pairs(stage: Mapping[str, Any], where: str, by_importance: bool) -> tuple[Tensor, ...]:
    """t_M, r_M, probability_M, weight_M of a stage, float64."""
    if "t" in stage:  # version 2
        t, r, p, weight = (_numbers(stage, key, where) for key in ("t", "r", "probabilities", "weights"))
    else:
        sigma, p = (_numbers(stage, key, where) for key in ("sigmas", "interval_probabilities"))
        t, r = sigma[1:], sigma[:-1]
        weight = 1 / (t - r)
    if not len(t) == len(r) == len(p) == len(weight):
        raise ValueError(f"{where} must have both levels, a probability and a weight of each pair")
    # A denoiser's target is the image: r is 0 throughout.
    rules = (r > 0).all() or not r.any(), (r < t).all(), (t[1:] > t[:-1]).all(), (weight > 0).all()
    if not all(map(bool, rules)):
        raise ValueError(f"{where} must have increasing levels, 0 < r < t and weights above 0")
    if bool((p < 0).any()) or abs(p.sum().item() - 1) > 1e-6:
        raise ValueError(f"{where} must have probabilities whose sum is 1")
    if by_importance and "t" not in stage:
        weight = weight / (len(p) * p + (p <= 0))
    return t, r, p, weight


def _numbers(stage: Mapping[str, Any], key: str, where: str) -> Tensor:
    try:
        values = torch.tensor(stage[key], dtype=torch.float64, device="cpu")
    except (ArithmeticError, KeyError, TypeError, ValueError, RuntimeError):
        values = torch.empty(0)
    if values.ndim != 1 or not len(values) or not bool(values.isfinite().all()):
        raise ValueError(f"{where}.{key} must be a list of numbers")
    return values


def _drawable(cdf_M: Tensor) -> Tensor:
    """Normalised, and inf from the last row of positive probability on: no rounding draws another one."""
    cdf_M = cdf_M / cdf_M[-1]
    return cdf_M.masked_fill(cdf_M >= 1, math.inf)


def _density(t_M: Tensor, r_M: Tensor, p_M: Tensor, sigma_min: float, sigma_max: float) -> Tensor:
    """Rows of the law over ln sigma, linear in u: the u where a row ends and begins, its ln sigma there, the slope.

    Of neighbours on a grid, each interval has its probability. Else the levels are quantiles of the law.
    """
    cdf_M = p_M.cumsum(0)
    p_M, cdf_M = p_M / cdf_M[-1], cdf_M / cdf_M[-1]
    if torch.equal(r_M[1:], t_M[:-1]):
        u_N = torch.cat([cdf_M.new_zeros(1), cdf_M])
        sigma_N = torch.cat([r_M[:1], t_M])
    else:
        u_N = torch.cat([cdf_M.new_zeros(1), cdf_M - p_M / 2, cdf_M.new_ones(1)])
        sigma_N = torch.cat([t_M.new_tensor([sigma_min]), t_M, t_M.new_tensor([sigma_max])])
    ln_sigma_N = sigma_N.log()
    share = u_N.diff()
    slope = torch.where(share > 0, ln_sigma_N.diff() / share, 0.0)
    return torch.stack([_drawable(u_N[1:]), u_N[:-1], ln_sigma_N[:-1], slope])


def uniform(
    batch_size: int, generator: torch.Generator | None, device: torch.device, stratified: bool
) -> Tensor:
    """u_B in [0, 1], float64, so that no level of a small probability is lost."""
    _check_count("batch_size", batch_size)
    if generator is not None and generator.device.type != device.type:
        raise ValueError(
            f"`generator` must be one of {device.type}, where is drawn, but is of {generator.device}"
        )

    def draw() -> Tensor:
        return torch.rand(batch_size, generator=generator, dtype=torch.float64, device=device)

    u_B = draw()
    return (u_B + draw().argsort()) / batch_size if stratified else u_B


def _gathered(rows_CM: Tensor, u_B: Tensor) -> Tensor:
    """(C - 1, B): the columns after the first, of the row that each u draws."""
    index_B = torch.searchsorted(rows_CM[0], u_B, right=True)
    return rows_CM[1:].index_select(1, index_B)


def _sigma(rows_CM: Tensor, u_B: Tensor) -> Tensor:
    """sigma_B, float64, from rows of `_density`."""
    below_B, ln_sigma_B, slope_B = _gathered(rows_CM, u_B)
    return (ln_sigma_B + (u_B - below_B) * slope_B).exp()


def _check_count(name: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"`{name}` must be an int of at least 1, but got {value!r:.60}")


def _resolved(device: Device) -> torch.device:
    """With its index: "cuda" is the current one."""
    if torch.device(device).type == "mps":
        raise ValueError("the tables are float64, which mps has not: draw on the cpu")
    return torch.empty(0, device=device).device
