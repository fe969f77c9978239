"""What is trained: a narrow law that wins in `film_mlp`, laws that repair it in part, and the baseline."""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from bench.transfer.schedules import kept
from bench.transfer.settings import TRAINING
from bench.why.closing_norm import ClosingNorm
from spaces import PRESETS, NoiseSchedule
from spaces.noise.tabulated import Tabulated
from trainable.network import Network
from trainable.networks.film_mlp import FilmMlp
from trainable.networks.mlp import Mlp
from trainable.networks.small_unet import SmallUnet
from trainable.training.config import TrainingConfig

FLOORS = (0.01, 0.02, 0.05, 0.1, 0.2)
EXTRA = 0.05  # the share of draws that a repaired law has below LOW, or above HIGH
LOW, HIGH = 0.3, 5.0
_BIN = 0.125  # width in ln sigma of the table that a repaired law is written down in


@dataclass(frozen=True)
class Setting:
    """A network and a length. Training is that of searches/digits.yaml."""

    name: str
    text: str
    network: Network
    total_steps: int = 2000

    @property
    def training(self) -> TrainingConfig:
        """With the length of this setting."""
        return TrainingConfig(**{**TRAINING, "total_steps": self.total_steps})


FILM_MLP = Setting("film_mlp", "film_mlp", FilmMlp())
FILM_MLP_LONG = Setting("film_mlp_8000", "film_mlp, 8,000 steps", FilmMlp(), 8000)
FAST_WAVES = Setting("fast_waves", "film_mlp, fast waves", FilmMlp(noise_band=(0.0625, 4.0)))
NORMED_MLP = Setting("mlp_normed", "mlp with a closing norm", ClosingNorm(inner=Mlp()))
MLP = Setting("mlp", "mlp", Mlp())
SMALL_UNET = Setting("small_unet", "small_unet", SmallUnet())
SETTINGS = (FILM_MLP, FILM_MLP_LONG, FAST_WAVES, NORMED_MLP, MLP, SMALL_UNET)


def _narrow() -> NoiseSchedule:
    """The best recorded schedule of `film_mlp` whose law is Laplace's; without a floor."""
    return next(chosen.schedule for chosen in kept() if chosen.origin == "recorded, best 4")


def _repaired(schedule: NoiseSchedule, low: float, high: float) -> NoiseSchedule:
    """The same with EXTRA of all draws spread evenly over ln sigma from low to high."""
    grid = schedule.grid
    count = math.ceil(math.log(grid.sigma_max / grid.sigma_min) / _BIN)
    edges = np.linspace(math.log(grid.sigma_min), math.log(grid.sigma_max), count + 1)
    mass_J = schedule.stage_with(4097).mass(edges)
    inside_J = np.diff(np.clip(edges, math.log(low), math.log(high)))
    weights_J = (1 - EXTRA) * mass_J / mass_J.sum() + EXTRA * inside_J / inside_J.sum()
    # The outermost edges are the grid's own ends, which the logarithm rounds.
    sigmas = (grid.sigma_min, *np.exp(edges[1:-1]).tolist(), grid.sigma_max)
    return replace(schedule, noise=Tabulated(weights=tuple(weights_J.tolist()), sigmas=sigmas))


def laws() -> dict[str, NoiseSchedule]:
    """By name, in the order of the page."""
    narrow = _narrow()
    return {
        "ict": PRESETS["ict"].schedule,
        "narrow": narrow,
        "hang_gu_laplace": PRESETS["hang_gu_laplace"].schedule,
        "narrow_low": _repaired(narrow, narrow.grid.sigma_min, LOW),
        "narrow_high": _repaired(narrow, HIGH, narrow.grid.sigma_max),
        **{f"narrow_floor_{floor:g}": replace(narrow, uniform_floor=floor) for floor in FLOORS},
    }


@dataclass(frozen=True)
class Run:
    """One training."""

    setting: Setting
    law: str
    seed: int
    schedule: NoiseSchedule = field(compare=False)

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from the others."""
        return self.setting.name, self.law, self.seed


def wanted() -> list[Run]:
    """All runs in the order of the work."""
    of = laws()
    some = ("ict", "narrow", "hang_gu_laplace", "narrow_floor_0.05")
    plan = [
        *((setting, law, 0) for setting in (FILM_MLP, MLP, SMALL_UNET) for law in of),
        *((setting, law, 0) for setting in (NORMED_MLP, FILM_MLP_LONG, FAST_WAVES) for law in some),
        *((MLP, law, 1) for law in (*some, "narrow_floor_0.1")),
    ]
    return [Run(setting, law, seed, of[law]) for setting, law, seed in plan]
