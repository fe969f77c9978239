"""Exports in k-diffusion's own samplers: the levels that they visit, the images, the final zero."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from search.export_format import FORMATS
from spaces import LoadedSchedule
from trainable.training.consistency import consistency_function

TARGET = "k-diffusion"


def exported(schedule: LoadedSchedule) -> tuple[dict[int, Tensor], dict[int, tuple[float, ...]]]:
    """The tensors of the export, and the document's levels."""
    assert schedule.sampling is not None
    rendered = FORMATS["k_diffusion"]().derive(schedule, schedule.sampling.steps)
    lists = json.loads(rendered.files["sigmas.json"])
    return {int(n): torch.tensor(sigmas) for n, sigmas in lists.items()}, dict(schedule.sampling.steps)


class Denoiser:
    """A consistency model as k-diffusion calls a model, with the levels it was asked at."""

    def __init__(self, model: Any):
        self.model = model
        self.levels: list[float] = []

    def __call__(self, x_BCHW: Tensor, sigma_B: Tensor) -> Tensor:
        self.levels.append(sigma_B[0].item())
        grid = self.model.schedule.grid
        with torch.no_grad():
            return consistency_function(
                self.model.network, x_BCHW, sigma_B.double(), grid.sigma_min, self.model.sigma_data
            )


@pytest.mark.conformance(TARGET, "levels visited by its samplers (relative)")
@pytest.mark.parametrize(
    "sampler", ["sample_euler", "sample_euler_ancestral", "sample_lms", "sample_dpmpp_2m"]
)
def test_its_samplers_visit_the_documents_levels(
    k_diffusion_sampling: Any,
    schedule: LoadedSchedule,
    model: Any,
    sampler: str,
    record_property: Callable[..., None],
) -> None:
    tensors, wanted = exported(schedule)
    for n, sigmas in tensors.items():
        assert sigmas.dtype == torch.float32
        denoiser = Denoiser(model)
        x_BCHW = torch.zeros(2, 1, 8, 8)
        found = getattr(k_diffusion_sampling, sampler)(denoiser, x_BCHW, sigmas, disable=True)
        assert found.isfinite().all()
        assert len(denoiser.levels) == n
        difference = max(abs(a - b) / b for a, b in zip(denoiser.levels, wanted[n], strict=True))
        record_property("difference", difference)
        assert difference <= 1e-6


@pytest.mark.conformance(TARGET, "images of sample_euler_ancestral(eta=1e6) equal our sampler's (absolute)")
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_images_equal_our_own_samplers(
    k_diffusion_sampling: Any,
    published: LoadedSchedule,
    model: Any,
    n: int,
    record_property: Callable[..., None],
) -> None:
    tensors, wanted = exported(published)
    z_SBCHW = torch.randn((n, 32, 1, 8, 8), generator=torch.Generator().manual_seed(n))
    noise = iter(z_SBCHW[1:])
    theirs = k_diffusion_sampling.sample_euler_ancestral(
        Denoiser(model),
        z_SBCHW[0] * tensors[n][0],
        tensors[n],
        eta=1e6,
        noise_sampler=lambda sigma, sigma_next: next(noise),
        disable=True,
    )
    assert next(noise, None) is None
    difference = (theirs - model.ours(z_SBCHW, wanted[n])).abs().max().item()
    record_property("difference", difference)
    assert difference <= 1e-4


@pytest.mark.conformance(TARGET, "trap: without the final 0 the last level is not denoised")
def test_without_the_final_zero_images_keep_the_noise_of_the_last_level(
    k_diffusion_sampling: Any, published: LoadedSchedule, model: Any
) -> None:
    tensors, _ = exported(published)
    denoiser = Denoiser(model)
    x_BCHW = 80 * torch.randn((32, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    whole = k_diffusion_sampling.sample_euler(denoiser, x_BCHW, tensors[2], disable=True)
    assert denoiser.levels == tensors[2][:-1].tolist()
    denoiser.levels.clear()
    cut = k_diffusion_sampling.sample_euler(denoiser, x_BCHW, tensors[2][:-1], disable=True)
    assert denoiser.levels == [80.0]
    assert (cut - whole).std() > 0.3


@pytest.mark.conformance(TARGET, "its own Karras levels are our grid's (relative)")
def test_its_karras_grid_is_ours(
    k_diffusion_sampling: Any, published: LoadedSchedule, record_property: Callable[..., None]
) -> None:
    theirs = k_diffusion_sampling.get_sigmas_karras(20, 0.002, 80.0, 7.0)
    ours = published.schedule.grid.sigmas(20).flip(0)
    assert theirs[-1] == 0
    difference = ((theirs[:-1].double() - ours).abs() / ours).max().item()
    record_property("difference", difference)
    assert difference <= 1e-5
