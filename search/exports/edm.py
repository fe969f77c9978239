import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from search.export_format import ExportFormat, Levels, Rendered
from search.exports._nearest_law import ENOUGH, Trained
from spaces import LoadedSchedule
from spaces.document.format import loss_and_weighting

_RHO = 7.0
_RHO_RANGE = (0.1, 1000.0)


@dataclass(frozen=True, kw_only=True)
class EDM(ExportFormat):
    """Flags of generate.py in NVlabs/edm: `--steps --sigma_min --sigma_max --rho`, and its loss's parameters.

    It takes no levels, only the ends and the rho of a Karras grid: two levels are exact, of three or more
    the rho is chosen that comes nearest.
    """

    DENOISES: ClassVar[bool] = True
    TARGET: ClassVar[str] = "NVlabs/edm at commit 008a4e5: read, not run"
    REMEDY: ClassVar[str] = "Choose other numbers of network evaluations with --nfe, two are exact"

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        rhos = {n: nearest_rho(levels) for n, levels in steps.items() if n > 1}
        flags = {
            n: f"--steps {len(steps[n])} --sigma_min {steps[n][-1]!r} --sigma_max {steps[n][0]!r} --rho {rho!r}"
            for n, rho in rhos.items()
        }
        images = "gives other images than consistency sampling, whose noise is drawn anew at each level"
        if loaded.schedule.loss.DENOISES:
            images = "is what the search has sampled with"
        loss, law = _loss(loaded)
        return Rendered(
            files={
                **{f"flags_nfe{n}.txt": f"{text}\n" for n, text in flags.items()},
                "loss.json": json.dumps(loss, indent=1) + "\n",
            },
            calls={n: f"python generate.py {text} ..." for n, text in flags.items()},
            wanted=steps,
            used={n: karras_levels(steps[n], rho) for n, rho in rhos.items()},
            left_out={n: "generate.py divides by steps - 1" for n in steps if n == 1},
            conditions=(
                "a denoiser is sampled: generate.py solves the ODE of a diffusion model (Heun, 2 steps - 1 network "
                "evaluations; `--solver euler`: one a step). It visits these levels and " + images,
                "the network's own sigma_min and sigma_max hold the levels: generate.py moves the ends there",
                f"the law of the loss: {law}",
                f"the weight of the loss: {_weight(loaded)}",
                "a denoiser is trained at any level of the law, between those of the grid too: of grid and curriculum "
                "the ends alone have a meaning here",
            ),
        )


def _loss(loaded: LoadedSchedule) -> tuple[dict[str, float], str]:
    """The parameters of EDMLoss, with the law of its levels where it can have that; what is to be said of the law."""
    normal = Trained.by(loaded).normal()
    P_mean, P_std = (round(value, 6) for value in (normal.mean, normal.std))
    if normal.total_variation > ENOUGH:
        nearest = f"P_mean {P_mean:g}, P_std {P_std:g}: total variation {normal.total_variation:.2g}"
        return {"sigma_data": loaded.sigma_data}, (
            f"EDMLoss draws a lognormal, so loss.json cannot have {loaded.schedule.describe()}. The nearest is "
            f"{nearest}, where {ENOUGH:g} is allowed; examples/README.md has how it draws any law"
        )
    return {"sigma_data": loaded.sigma_data, "P_mean": P_mean, "P_std": P_std}, (
        f"EDMLoss draws from the whole lognormal, the schedule from the part between its ends (total variation "
        f"{normal.total_variation:.2g})"
    )


def _weight(loaded: LoadedSchedule) -> str:
    """Of a level; a weight with r in its formula is for pairs of levels, which a denoiser has not."""
    weighting = loss_and_weighting(loaded.schedule)[1]
    if weighting["name"] == "edm":
        return "the schedule's, which is EDM's"
    return f"EDM's, not the schedule's {weighting['formula']}"


def karras_levels(levels: Levels, rho: float) -> Levels:
    """As many levels with the same ends, sigma^(1/rho) evenly spaced."""
    high, low, last = levels[0] ** (1 / rho), levels[-1] ** (1 / rho), len(levels) - 1
    return tuple((high + i / last * (low - high)) ** rho for i in range(len(levels)))


def nearest_rho(levels: Levels) -> float:
    """The rho whose grid has the least largest relative error; for two levels any does."""
    if len(levels) == 2:
        return _RHO

    def error(ln_rho: float) -> float:
        found = karras_levels(levels, math.exp(ln_rho))
        return max(abs(f - w) / w for f, w in zip(found, levels, strict=True))

    low, high = (math.log(rho) for rho in _RHO_RANGE)
    for _ in range(12):  # each look at 41 points is 20 times as close as the one before
        points = [low + (high - low) * i / 40 for i in range(41)]
        best = min(range(41), key=lambda i: error(points[i]))
        low, high = points[max(best - 1, 0)], points[min(best + 1, 40)]
    return math.exp(points[best])
