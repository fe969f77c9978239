import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from search.export_format import ExportFormat, Levels, Rendered
from spaces import LoadedSchedule

_CONSISTENCY = (
    "eta is as large as that: sample_euler_ancestral then denoises all the way and draws the noise of the "
    "next level anew, which is consistency sampling but for noise of sigma instead of "
    "sqrt(sigma^2 - sigma_min^2). Other samplers visit the same levels, solve an ODE or SDE of diffusion "
    "models, and give other images",
)
_DIFFUSION = (
    "the model is a denoiser of (x, sigma): c_skip x + c_out F(c_in x, ln(sigma)/4) with EDM's scalings, as its "
    "layers.Denoiser has them",
)


@dataclass(frozen=True, kw_only=True)
class KDiffusion(ExportFormat):
    """Decreasing levels that end in 0, as every sampler of k-diffusion takes them (github.com/crowsonkb)."""

    DENOISES: ClassVar[bool] = True
    TARGET: ClassVar[str] = "k-diffusion 0.1.1.post1, its samplers run in tests/conformance"

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        lists = {n: [*levels, 0.0] for n, levels in steps.items()}
        conditions: tuple[str, ...] = _DIFFUSION
        if loaded.schedule.loss.DENOISES:
            sampler = "sample_heun(model, z * sigmas[0], sigmas)"
        else:
            sampler = "sample_euler_ancestral(model, z * sigmas[0], sigmas, eta=1e6)"
            conditions = (
                "the model is a denoiser of (x, sigma): c_skip x + c_out F(c_in x, ln(sigma)/4) with the scalings of "
                "consistency models, where c_skip and c_out have sigma - sigma_min for sigma "
                f"(sigma_min {loaded.schedule.grid.sigma_min:g})",
                *_CONSISTENCY,
            )
        return Rendered(
            files={
                "sigmas.json": json.dumps({str(n): sigmas for n, sigmas in lists.items()}, indent=1) + "\n"
            },
            calls={n: f"sigmas = torch.tensor({sigmas}); {sampler}" for n, sigmas in lists.items()},
            wanted=steps,
            used={n: tuple(float(np.float32(sigma)) for sigma in levels) for n, levels in steps.items()},
            conditions=(
                "the tensor is float32 and keeps its last 0: without it a sampler ends at the last level, noisy",
                *conditions,
            ),
        )
