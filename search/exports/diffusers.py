import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from search.export_format import ExportFormat, Levels, Rendered
from search.exports._karras_index import BOUNDS, GRID_POINTS, RHO, KarrasIndex
from spaces import LoadedSchedule

VERSION = "0.42.1"


@dataclass(frozen=True, kw_only=True)
class Diffusers(ExportFormat):
    """scheduler_config.json of CMStochasticIterativeScheduler and the `timesteps` to call it with (Hugging Face).

    grid_points: num_train_timesteps. The scheduler takes no levels, only integer positions in a Karras grid of so
    many points; the 40 of its default miss levels by up to 22 %.
    """

    grid_points: int = GRID_POINTS

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = BOUNDS
    TARGET: ClassVar[str] = f"diffusers {VERSION}, loaded and sampled with in tests/conformance"
    REMEDY: ClassVar[str] = f"Raise --grid-points (num_train_timesteps; default {GRID_POINTS})"

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        grid = loaded.schedule.grid
        sigma_max = next(iter(steps.values()))[0]  # where sampling starts
        # To a float32 value: the scheduler's last step takes the root of float32(sigma_min)^2 - sigma_min^2, which
        # for a quarter of all other values is negative, and the images are NaN.
        sigma_min = float(np.float32(grid.sigma_min))
        index = KarrasIndex(sigma_min, sigma_max, self.grid_points)
        positions = {n: index.indices(levels) for n, levels in steps.items()}
        config = {
            "_class_name": "CMStochasticIterativeScheduler",
            "_diffusers_version": VERSION,
            "clip_denoised": False,
            "num_train_timesteps": self.grid_points,
            "rho": RHO,
            "s_noise": 1.0,
            "sigma_data": loaded.sigma_data,
            "sigma_max": sigma_max,
            "sigma_min": sigma_min,
        }
        # Decreasing: the scheduler reverses the list before it reads positions from the top.
        arguments = {n: {"num_inference_steps": None, "timesteps": ks[::-1]} for n, ks in positions.items()}
        return Rendered(
            files={
                "scheduler_config.json": json.dumps(config, indent=2) + "\n",
                "call_arguments.json": json.dumps({str(n): a for n, a in arguments.items()}, indent=1) + "\n",
            },
            calls={
                n: f"pipe(num_inference_steps=None, timesteps={a['timesteps']})" for n, a in arguments.items()
            },
            wanted=steps,
            used={n: tuple(float(np.float32(index.sigma(k))) for k in ks) for n, ks in positions.items()},
            conditions=(
                "the arguments are given at each call: save_pretrained keeps the configuration, not the timesteps",
                "the network takes t = 250 ln(sigma), 1000 times the ln(sigma)/4 that it is trained with here",
                "clip_denoised stays false: diffusers' default cuts each denoised image to [-1, 1]",
                "sigma_min stays as it is written, a float32 value: with another one the last of several steps may "
                "give NaN",
            ),
        )
