import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from search.export_format import ExportFormat, Levels, Rendered
from spaces import LoadedSchedule


@dataclass(frozen=True, kw_only=True)
class KDiffusion(ExportFormat):
    """Decreasing levels that end in 0, as every sampler of k-diffusion takes them (github.com/crowsonkb)."""

    TARGET: ClassVar[str] = "k-diffusion 0.1.1.post1, its samplers run in tests/conformance"

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        lists = {n: [*levels, 0.0] for n, levels in steps.items()}
        return Rendered(
            files={
                "sigmas.json": json.dumps({str(n): sigmas for n, sigmas in lists.items()}, indent=1) + "\n"
            },
            calls={n: f"sigmas = torch.tensor({sigmas}); x = z * sigmas[0]" for n, sigmas in lists.items()},
            wanted=steps,
            used={n: tuple(float(np.float32(sigma)) for sigma in levels) for n, levels in steps.items()},
            conditions=(
                "the tensor is float32 and keeps its last 0: without it a sampler ends at the last level, noisy",
                "the model is a denoiser of (x, sigma): c_skip x + c_out F(c_in x, ln(sigma)/4) with the scalings of "
                "consistency models, where c_skip and c_out have sigma - sigma_min for sigma "
                f"(sigma_min {loaded.schedule.grid.sigma_min:g})",
                "the sampler replaces x by the denoised image and adds noise of the next level: k-diffusion has none "
                "that does (ComfyUI's `lcm` does). Its own are solvers for diffusion models: they visit the same "
                "levels and give other images",
            ),
        )
