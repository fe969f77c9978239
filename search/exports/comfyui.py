import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

import numpy as np

from search.export_format import ExportFormat, Levels, Rendered
from spaces import LoadedSchedule


@dataclass(frozen=True, kw_only=True)
class ComfyUI(ExportFormat):
    """The numbers that ComfyUI's node ManualSigmas takes as one line of text, with the last 0."""

    TARGET: ClassVar[str] = "ComfyUI at commit 065c1df: read, not run"

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        texts = {n: ", ".join(decimal_text(sigma) for sigma in (*levels, 0.0)) for n, levels in steps.items()}
        sigma_min = loaded.schedule.grid.sigma_min
        excess = max(
            (
                1 / math.sqrt(1 - (sigma_min / sigma) ** 2) - 1
                for levels in steps.values()
                for sigma in levels[1:]
            ),
            default=0.0,
        )
        return Rendered(
            files={f"sigmas_nfe{n}.txt": f"{text}\n" for n, text in texts.items()},
            calls={
                n: f"ManualSigmas({text!r}) into SamplerCustom with sampler `lcm`"
                for n, text in texts.items()
            },
            wanted=steps,
            used={n: tuple(float(np.float32(sigma)) for sigma in levels) for n, levels in steps.items()},
            conditions=(
                "the numbers have no exponent: the node reads `1e-05` as the two numbers 1 and -5",
                "the sampler is `lcm`. It adds noise of sigma, consistency sampling of sqrt(sigma^2 - sigma_min^2): "
                f"up to {excess:.1g} too much (relative)",
                "the model is wrapped as a denoiser with sigma_data "
                f"{loaded.sigma_data:g} and a range of levels that "
                "holds these. For a model of the eps kind ComfyUI scales the first noise by sqrt(1 + sigma^2)",
                "c_skip and c_out of ComfyUI's EDM models have no sigma_min: a consistency model needs its own "
                f"(sigma - {sigma_min:g} for sigma)",
            ),
        )


def decimal_text(value: float) -> str:
    """All digits that distinguish the number, without an exponent."""
    return f"{Decimal(repr(value)):f}"
