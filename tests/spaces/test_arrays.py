"""A family, a grid and a curriculum are written with arrays or with tensors, and mean the same."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spaces import CURRICULA, GRIDS, NOISE, Curriculum, Grid, KarrasGrid, NoiseDistribution, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.curricula.snr_timestep import SNRTimestep
from spaces.noise.lognormal import LogNormal
from spaces.noise.uniform import Uniform
from spaces.noise_distribution import SigmaLaw


@dataclass(frozen=True, kw_only=True)
class TensorLogNormal(SigmaLaw):
    """ln sigma ~ N(-1.1, 4), in torch."""

    def cdf(self, sigma: Tensor) -> Tensor:
        return torch.special.ndtr((sigma.log() + 1.1) / 2)


@dataclass(frozen=True, kw_only=True)
class TensorUniform(NoiseDistribution):
    """Every interval alike, in torch."""

    def interval_probabilities(self, sigma_N: Tensor) -> Tensor:
        return torch.ones_like(sigma_N[1:]) / (len(sigma_N) - 1)


@dataclass(frozen=True, kw_only=True)
class TensorGrid(Grid):
    """EDM's levels, in torch."""

    def levels_of(self, num_levels: int) -> Tensor:
        ends = (self.sigma_min ** (1 / 7), self.sigma_max ** (1 / 7))
        return torch.linspace(*ends, num_levels, dtype=torch.float64) ** 7


@dataclass(frozen=True, kw_only=True)
class TensorTimestep(SNRTimestep):
    """SNRTimestep, in torch."""

    def reweighted(self, probability_M: Tensor, phase: int) -> Tensor:
        progress = (phase + 0.5) / 32
        return (1 - progress) * torch.ones_like(probability_M) / len(probability_M) + progress * probability_M


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ({"noise": TensorLogNormal()}, {"noise": LogNormal()}),
        ({"noise": TensorUniform()}, {"noise": Uniform()}),
        ({"grid": TensorGrid()}, {"grid": KarrasGrid()}),
        ({"curriculum": TensorTimestep()}, {"curriculum": SNRTimestep()}),
    ],
)
def test_what_is_written_with_tensors_is_the_same_schedule(
    written: dict[str, NoiseDistribution | Grid | Curriculum],
    same: dict[str, NoiseDistribution | Grid | Curriculum],
) -> None:
    plain = {"grid": KarrasGrid(), "noise": LogNormal(), "curriculum": Constant(levels=30)}
    pairs = zip(*(NoiseSchedule(**plain | each).stages(100) for each in (written, same)), strict=True)  # type: ignore[arg-type]
    for one, other in pairs:
        np.testing.assert_allclose(one.levels, other.levels, rtol=1e-12)
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-9, atol=1e-15)
        assert torch.equal(one.sigma_N, torch.from_numpy(one.levels))
        assert torch.equal(one.probability_M, torch.from_numpy(one.probabilities))


@pytest.mark.parametrize("name", list(NOISE))
def test_arrays_and_tensors_are_the_same_numbers(name: str) -> None:
    noise, sigma_N = NOISE[name](), KarrasGrid().sigmas(20)
    np.testing.assert_array_equal(
        noise.interval_probabilities(sigma_N).numpy(), noise.probabilities(sigma_N.numpy())
    )


def test_to_evaluate_every_choice_of_ours_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from dataclasses import replace\n"
        "from spaces import CURRICULA, GRIDS, NOISE, PRESETS\n"
        "from spaces.sparkline import sparkline\n"
        "parts = {'noise': NOISE, 'curriculum': CURRICULA, 'grid': GRIDS}\n"
        "plain = PRESETS['ict'].schedule\n"
        "found = [replace(plain, **{part: cls()}) for part in parts for cls in parts[part].values()]\n"
        "assert all(map(sparkline, [*found, *(preset.schedule for preset in PRESETS.values())]))\n"
        "print(len(found), 'torch' in sys.modules)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=60)
    assert done.stdout.split() == [f"{len(NOISE) + len(CURRICULA) + len(GRIDS)}", "False"], done.stderr
