import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from search.export_format import ExportFormat, Levels, Rendered
from search.exports._nearest_law import Normal, Trained, refuse_unless_near
from spaces import LoadedSchedule


@dataclass(frozen=True, kw_only=True)
class FlowTraining(ExportFormat):
    """Flags for training flow models with diffusers or kohya's sd-scripts: `--weighting_scheme logit_normal ...`.

    shift: --discrete_flow_shift of kohya's scripts, `shift` of the scheduler in diffusers. A lognormal over sigma is a
    logit-normal over t = sigma / (1 + sigma), and a shift moves its mean.
    """

    shift: float = 3.0

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"shift": (0.01, 100.0)}
    DENOISES: ClassVar[bool] = True
    TARGET: ClassVar[str] = (
        "the training scripts of diffusers 0.42.1 and kohya-ss/sd-scripts at commit 0087a46: read, not run; their draw "
        "is made with diffusers in tests/conformance"
    )

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        normal = Trained.by(loaded).normal()
        flags = self._flags(normal)
        refuse_unless_near(
            self.title,
            "a logit-normal",
            f"`{flags}` with shift {self.shift:g}",
            normal.total_variation,
            loaded,
        )
        positions = {n: self._positions(levels) for n, levels in steps.items()}
        return Rendered(
            files={
                "flags_diffusers.txt": f"{flags}\n",
                "flags_kohya.txt": f"--timestep_sampling sigma --discrete_flow_shift {self.shift!r} {flags}\n",
                "sigmas.json": json.dumps({str(n): sigmas for n, sigmas in positions.items()}, indent=1)
                + "\n",
            },
            calls={n: f"pipe(sigmas={sigmas})" for n, sigmas in positions.items()},
            wanted=steps,
            used={n: self._levels(sigmas) for n, sigmas in positions.items()},
            conditions=(
                f"it is trained with {flags}",
                f"the scheduler has shift {self.shift:g} in training and in sampling. With `use_dynamic_shifting`, as "
                "for Flux, diffusers trains without one: --shift 1",
                "--logit_mean counts from the noise: the scripts take timesteps[u * 1000], which fall. So it is "
                "ln(shift) - mean of ln sigma, not that mean",
                f"1000 timesteps are fine enough: no level is below sigma = {self.shift / 999:.2g}, and the lowest are "
                "that far apart",
                "data have the scale that they had in the search: x_t = (1 - t) x + t z is x + sigma z, scaled",
                f"total variation from the schedule's law: {normal.total_variation:.2g}, most of it outside "
                f"{loaded.schedule.grid.sigma_min:g} to {loaded.schedule.grid.sigma_max:g}",
                "a flow is trained, at the levels of the last stage throughout, with the scripts' own loss, and "
                "sampled by solving an ODE: the same levels, other images",
            ),
        )

    def _flags(self, normal: Normal) -> str:
        mean = math.log(self.shift) - normal.mean
        return f"--weighting_scheme logit_normal --logit_mean {mean:.6g} --logit_std {normal.std:.6g}"

    def _positions(self, levels: Levels) -> list[float]:
        """t / (shift - (shift - 1) t), which the scheduler shifts to t = sigma / (1 + sigma)."""
        return [level / (level + self.shift) for level in levels]

    def _levels(self, positions: list[float]) -> Levels:
        """What the scheduler makes of them, in float32."""
        used = []
        for position in np.array(positions, dtype=np.float32):
            t = np.float32(self.shift) * position / (1 + (np.float32(self.shift) - 1) * position)
            used.append(float(t) / (1 - float(t)))
        return tuple(used)
