import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from search.export_format import Levels, Rendered
from search.exports._nearest_law import ENOUGH, Trained, refuse_unless_near
from search.exports.flow_training import FlowTraining
from spaces import LoadedSchedule
from spaces.arrays import Array

_POINTS = np.linspace(0, 1, 1001)  # of a distribution that is known by its weights
_MOST = 10.0  # of the logarithm of a shift, or of an option of a Beta: beyond, nobody means it


@dataclass(frozen=True, kw_only=True)
class OneTrainer(FlowTraining):
    """Training settings of OneTrainer for flow models: `timestep_distribution`, `noising_weight`, `noising_bias`, ...

    shift: of the scheduler that samples. Training has its own, `timestep_shift`, which is among the settings.
    """

    shift: float = 3.0

    TARGET: ClassVar[str] = "Nerogar/OneTrainer at commit 23df383: read, not run"

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        trained = Trained.by(loaded)
        settings, variation = _nearest(trained)
        shown = f"`{', '.join(f'{key} {value}' for key, value in settings.items())}`"
        refuse_unless_near(self.title, f"LOGIT_NORMAL, {', '.join(FAMILIES)}", shown, variation, loaded)
        settings |= {
            "min_noising_strength": 0.0,
            "max_noising_strength": 1.0,
            "dynamic_timestep_shifting": False,
        }
        positions = {n: self._positions(levels) for n, levels in steps.items()}
        return Rendered(
            files={
                "onetrainer.json": json.dumps(settings, indent=1) + "\n",
                "sigmas.json": json.dumps({str(n): sigmas for n, sigmas in positions.items()}, indent=1)
                + "\n",
            },
            calls={n: f"pipe(sigmas={sigmas}) of diffusers" for n, sigmas in positions.items()},
            wanted=steps,
            used={n: self._levels(sigmas) for n, sigmas in positions.items()},
            conditions=(
                "a flow model is trained (Flux, Stable Diffusion 3, Qwen-Image, ...): there timestep k of 1000 is "
                "t = (k + 1)/1000 = sigma/(1 + sigma). Of SDXL and the like the same settings are another law",
                f"it is trained with {shown}, entered under Timestep Distribution or as they stand in onetrainer.json",
                "no level is below sigma = 0.001, and the lowest are that far apart",
                "data have the scale that they had in the search: x_t = (1 - t) x + t z is x + sigma z, scaled",
                f"total variation from the schedule's law: {variation:.2g}",
                f"the scheduler that samples has shift {self.shift:g}; OneTrainer's own sampler takes a number of "
                "steps, not levels",
                "a flow is trained, at the levels of the last stage throughout, with OneTrainer's own loss, and "
                "sampled by solving an ODE: the same levels, other images",
            ),
        )


class Family(NamedTuple):
    """A distribution of OneTrainer over x in [0, 1], which a shift s makes t = s x / (1 + (s - 1) x).

    cdf: at x, with options. starts: of the options. settings: noising_weight, noising_bias. shifts: whether the shift
    is fitted too; of SIGMOID it has another meaning there.
    """

    cdf: Callable[[Array, Sequence[float]], Array]
    starts: Sequence[Sequence[float]]
    settings: Callable[[Sequence[float]], tuple[float, float]]
    shifts: bool = True


def _mode(options: Sequence[float]) -> float:
    """The s of HEAVY_TAIL: between -1 and 1.75 its x falls with u."""
    return 0.375 + 1.374 * math.tanh(options[0])


def _heavy_tail(x: Array, options: Sequence[float]) -> Array:
    u = _POINTS
    x_of_u = 1 - u - _mode(options) * (np.cos(np.pi / 2 * u) ** 2 - 1 + u)
    return np.asarray(1 - np.interp(x, x_of_u[::-1], u[::-1]))


def _logistic(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _beta(x: Array, options: Sequence[float]) -> Array:
    if max(map(abs, options)) > _MOST:
        return np.full_like(x, math.nan)
    from scipy.special import betainc  # many times as quick as ours, which is for a look at one law

    return np.asarray(betainc(*map(math.exp, options), x))


def _by_weights(weights: Callable[[Array, Sequence[float]], Array]) -> Callable[..., Array]:
    def cdf(x: Array, options: Sequence[float]) -> Array:
        weight = weights(_POINTS, options)
        below = np.concatenate([[0.0], np.cumsum((weight[1:] + weight[:-1]) / 2)])
        return np.asarray(np.interp(x, _POINTS, below / below[-1]))

    return cdf


# By their names there, the plainest first. LOGIT_NORMAL, which a shift only moves, is by itself.
FAMILIES: Mapping[str, Family] = {
    "UNIFORM": Family(lambda x, _: x, [[]], lambda _: (0.0, 0.0)),
    "COS_MAP": Family(
        lambda x, _: np.asarray(0.5 + 2 / np.pi * np.arctan(2 * x - 1)), [[]], lambda _: (0.0, 0.0)
    ),
    "HEAVY_TAIL": Family(_heavy_tail, [[0.5], [-0.5]], lambda o: (_mode(o), 0.0)),
    "BETA": Family(
        _beta,
        [[0.0, 0.0], [1.0, 1.0]],
        lambda o: (math.exp(o[0]), math.exp(o[1])),
    ),
    "SIGMOID": Family(
        _by_weights(lambda x, o: _logistic(o[0] * (x - o[1] - 0.5))),
        [[5.0, 0.0], [-5.0, 0.0]],
        lambda o: (o[0], o[1]),
        shifts=False,
    ),
    "INVERTED_PARABOLA": Family(
        _by_weights(lambda x, o: np.maximum(2 - o[0] * (x - o[1] - 0.5) ** 2, 0)),
        [[5.0, 0.0], [5.0, -0.3]],
        lambda o: (o[0], o[1]),
        shifts=False,
    ),
}


def _nearest(trained: Trained) -> tuple[dict[str, Any], float]:
    """Settings and total variation: LOGIT_NORMAL where that is near enough, else the nearest of all."""
    normal = trained.normal()
    found = [(_settings("LOGIT_NORMAL", normal.std - 1, normal.mean, 1.0), normal.total_variation)]
    if normal.total_variation > ENOUGH:
        found += [nearest_of(trained, name, family) for name, family in FAMILIES.items()]
    return min(found, key=lambda one: one[1])


def nearest_of(trained: Trained, name: str, family: Family) -> tuple[dict[str, Any], float]:
    def cdf(x_L: Array, options: Sequence[float]) -> Array:
        ln_shift, *own = options if family.shifts else (0.0, *options)
        if abs(ln_shift) > _MOST:
            return np.full_like(x_L, math.nan)
        return family.cdf(_logistic(x_L - ln_shift), own)

    starts = [[trained.mean, *start] if family.shifts else [*start] for start in family.starts]
    options, variation = trained.nearest(cdf, starts)
    ln_shift, *own = options if family.shifts else (0.0, *options)
    return _settings(name, *family.settings(own), math.exp(ln_shift)), variation


def _settings(name: str, weight: float, bias: float, shift: float) -> dict[str, Any]:
    rounded = {
        key: float(f"{value:.6g}")
        for key, value in (("noising_weight", weight), ("noising_bias", bias), ("timestep_shift", shift))
    }
    return {"timestep_distribution": name, **rounded}
