"""Exports loaded into diffusers: the levels that it uses, the images that come out, the traps on the way."""

import importlib
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from search.export_format import FORMATS, MAX_RELATIVE_ERROR, Rendered
from search.exports._karras_index import KarrasIndex
from spaces import KarrasGrid, LoadedSchedule, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.noise.lognormal import LogNormal
from trainable.sampling_levels import ALIGN_YOUR_STEPS

TARGET = "diffusers CMStochasticIterativeScheduler"
OTHERS = "diffusers, other schedulers"
OPENAI = "openai/consistency_models, through diffusers"
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs

LEVELS = [80.0, 24.4, 5.84, 0.9, 0.661]


def exported(schedule: LoadedSchedule, folder: Path, **options: int) -> Rendered:
    assert schedule.sampling is not None
    rendered = FORMATS["diffusers"](**options).derive(schedule, schedule.sampling.steps)
    for name, text in rendered.files.items():
        (folder / name).write_text(text)
    return rendered


def scheduler_of(diffusers: Any, folder: Path) -> tuple[Any, dict[int, dict[str, Any]]]:
    """The scheduler as diffusers loads it, and the arguments to call it with."""
    arguments = json.loads((folder / "call_arguments.json").read_text())
    scheduler = diffusers.CMStochasticIterativeScheduler.from_pretrained(folder)
    return scheduler, {int(n): given for n, given in arguments.items()}


def levels_of(scheduler: Any) -> list[float]:
    """The levels that it evaluates the network at: all but the last, which it only ends at."""
    found: list[float] = scheduler.sigmas[:-1].double().tolist()
    return found


@pytest.mark.conformance(TARGET, "levels read back (relative)")
def test_the_levels_read_back_are_the_documents_and_those_that_the_export_states(
    diffusers: Any, schedule: LoadedSchedule, tmp_path: Path, record_property: Callable[..., None]
) -> None:
    rendered = exported(schedule, tmp_path)
    scheduler, arguments = scheduler_of(diffusers, tmp_path)
    assert set(arguments) == set(rendered.wanted)
    for n, given in arguments.items():
        scheduler.set_timesteps(**given)
        found, wanted = np.array(levels_of(scheduler)), np.array(rendered.wanted[n])
        error = float(np.max(np.abs(found - wanted) / wanted))
        record_property("difference", error)
        assert error <= 1e-5
        assert found == pytest.approx(rendered.used[n], rel=1e-7)
        assert error == pytest.approx(rendered.relative_errors[n], abs=1e-7)
        assert scheduler.init_noise_sigma == wanted[0]


@pytest.mark.conformance(TARGET, "quantisation of small grids as stated, refused above 1 % (relative)")
@pytest.mark.parametrize("grid_points", [40, 201, 1001, 2**16])
def test_the_error_of_a_small_grid_is_the_stated_one(
    diffusers: Any,
    published: LoadedSchedule,
    grid_points: int,
    tmp_path: Path,
    record_property: Callable[..., None],
) -> None:
    rendered = exported(published, tmp_path, grid_points=grid_points)
    scheduler, arguments = scheduler_of(diffusers, tmp_path)
    scheduler.set_timesteps(**arguments[5])
    found = np.array(levels_of(scheduler))
    error = float(np.max(np.abs(found - LEVELS) / LEVELS))
    record_property("difference", error)
    assert error == pytest.approx(rendered.relative_errors[5], abs=1e-7)
    assert (error > MAX_RELATIVE_ERROR) == (grid_points < 1001)


def through(scheduler: Any, arguments: dict[str, Any], model: Any, z_SBCHW: Tensor) -> Tensor:
    """Images by diffusers' scheduler, step by step as its pipeline does, from given noise."""
    scheduler.set_timesteps(**arguments)
    x_BCHW, noise = z_SBCHW[0] * scheduler.init_noise_sigma, [*z_SBCHW[1:], torch.zeros_like(z_SBCHW[0])]
    with torch.no_grad():
        for t, z_BCHW in zip(scheduler.timesteps, noise, strict=True):
            # What the scheduler draws, it draws from this generator; here it is handed the noise instead.
            with pytest.MonkeyPatch.context() as patch:
                module = importlib.import_module(type(scheduler).__module__)
                patch.setattr(module, "randn_tensor", lambda *shape, z=z_BCHW, **kwargs: z)
                scaled = scheduler.scale_model_input(x_BCHW, t)
                F_BCHW = model.network(scaled, (t / 1000).float().expand(len(x_BCHW)))
                x_BCHW = scheduler.step(F_BCHW, t, x_BCHW).prev_sample
    return x_BCHW


@pytest.mark.conformance(TARGET, "images of a trained digits model equal our sampler's (absolute)")
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_images_equal_our_own_samplers(
    diffusers: Any,
    published: LoadedSchedule,
    model: Any,
    n: int,
    tmp_path: Path,
    record_property: Callable[..., None],
) -> None:
    rendered = exported(published, tmp_path)
    scheduler, arguments = scheduler_of(diffusers, tmp_path)
    z_SBCHW = torch.randn((n, 32, 1, 8, 8), generator=torch.Generator().manual_seed(n))
    theirs = through(scheduler, arguments[n], model, z_SBCHW)
    ours = model.ours(z_SBCHW, rendered.wanted[n])
    difference = (theirs - ours).abs().max().item()
    record_property("difference", difference)
    assert difference <= 1e-4
    assert ours.std() > 0.3  # images, not a constant


@pytest.mark.conformance(TARGET, "images of its own pipeline equal our sampler's (absolute)")
def test_the_pipeline_gives_our_images(
    diffusers: Any,
    published: LoadedSchedule,
    model: Any,
    tmp_path: Path,
    record_property: Callable[..., None],
) -> None:
    """ConsistencyModelPipeline with our network as its UNet: c_noise is the timestep it passes, by 1000."""
    rendered = exported(published, tmp_path)
    scheduler, arguments = scheduler_of(diffusers, tmp_path)

    class Network(torch.nn.Module):
        config = SimpleNamespace(sample_size=8, in_channels=1, num_class_embeds=None)
        device, dtype = torch.device("cpu"), torch.float32

        def forward(self, x_BCHW: Tensor, t: Tensor, **_: Any) -> tuple[Tensor]:
            return (model.network(x_BCHW, (t / 1000).float().expand(len(x_BCHW))),)

    pipeline = diffusers.ConsistencyModelPipeline(Network(), scheduler)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(7)
    images = pipeline(batch_size=16, generator=generator, output_type="pt", **arguments[3]).images
    generator.manual_seed(7)
    z_SBCHW = torch.stack([torch.randn((16, 1, 8, 8), generator=generator) for _ in range(3)])
    ours = (model.ours(z_SBCHW, rendered.wanted[3]) / 2 + 0.5).clamp(0, 1)
    difference = (images - ours).abs().max().item()
    record_property("difference", difference)
    assert difference <= 1e-4


# Traps: what makes the export look as it does. They hold for the pinned version.


@pytest.mark.conformance(TARGET, "trap: takes no `sigmas`")
def test_it_takes_no_levels(diffusers: Any) -> None:
    with pytest.raises(TypeError, match="sigmas"):
        diffusers.CMStochasticIterativeScheduler().set_timesteps(sigmas=LEVELS)


@pytest.mark.conformance(TARGET, "trap: increasing timesteps are refused")
def test_timesteps_must_decrease(diffusers: Any) -> None:
    with pytest.raises(ValueError, match="descending"):
        diffusers.CMStochasticIterativeScheduler().set_timesteps(timesteps=[0, 22])


@pytest.mark.conformance(TARGET, "trap: save_pretrained drops the timesteps")
def test_saving_keeps_no_timesteps(diffusers: Any, published: LoadedSchedule, tmp_path: Path) -> None:
    exported(published, tmp_path)
    scheduler, arguments = scheduler_of(diffusers, tmp_path)
    scheduler.set_timesteps(**arguments[2])
    assert len(scheduler.timesteps) == 2
    scheduler.save_pretrained(tmp_path / "saved")
    again = diffusers.CMStochasticIterativeScheduler.from_pretrained(tmp_path / "saved")
    assert len(again.timesteps) == 2**20
    again.set_timesteps(**arguments[2])
    assert torch.equal(again.sigmas, scheduler.sigmas)


@pytest.mark.conformance(TARGET, "trap: its default cuts images to [-1, 1]")
def test_clipping_is_on_by_default_and_off_in_the_export(
    diffusers: Any, published: LoadedSchedule, model: Any, tmp_path: Path
) -> None:
    exported(published, tmp_path)
    scheduler, arguments = scheduler_of(diffusers, tmp_path)
    z_SBCHW = torch.randn((1, 64, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    assert through(scheduler, arguments[1], model, z_SBCHW).abs().max() > 1
    default = diffusers.CMStochasticIterativeScheduler()
    assert default.config.clip_denoised
    cut = through(default, {"timesteps": [0]}, model, z_SBCHW)
    assert cut.abs().max() == 1


@pytest.mark.conformance(TARGET, "trap: NaN images where sigma_min is no float32")
@pytest.mark.parametrize("sigma_min", [0.0064, 0.004811564625729678, 0.0017401643903529492])
def test_a_sigma_min_that_is_no_float32_gives_nan_and_the_exported_one_does_not(
    diffusers: Any, sigma_min: float
) -> None:
    """The noise of the last of several steps is sqrt(float32(sigma_min)^2 - sigma_min^2) z."""

    def last_step(sigma_min: float) -> Tensor:
        scheduler = diffusers.CMStochasticIterativeScheduler(sigma_min=sigma_min)
        scheduler.set_timesteps(timesteps=[22, 0])
        x_BCHW = torch.zeros(1, 1, 8, 8)
        for t in scheduler.timesteps:
            scheduler.scale_model_input(x_BCHW, t)
            x_BCHW = scheduler.step(x_BCHW, t, x_BCHW, generator=torch.Generator().manual_seed(0)).prev_sample
        return x_BCHW

    assert last_step(sigma_min).isnan().all()
    assert last_step(float(np.float32(sigma_min))).isfinite().all()


@pytest.mark.conformance(OPENAI, "levels of `--ts 0,22,39` at 40 points (relative)")
def test_openais_positions_are_diffusers_timesteps(
    diffusers: Any, record_property: Callable[..., None]
) -> None:
    """OpenAI's published call, whose levels by its formula are those that diffusers uses for [22, 0]."""
    scheduler = diffusers.CMStochasticIterativeScheduler()
    scheduler.set_timesteps(timesteps=[22, 0])
    index = KarrasIndex(0.002, 80.0, 40)
    ours = [index.sigma(k) for k in (0, 22, 39)]
    assert ours == pytest.approx([80.0, 1.382, 0.002], rel=1e-3)
    theirs = scheduler.sigmas.double().tolist()
    difference = max(abs(a - b) / b for a, b in zip(theirs, ours, strict=True))
    record_property("difference", difference)
    assert difference <= 1e-6


@pytest.mark.conformance(OPENAI, "exported `--ts` read as diffusers timesteps (relative)")
def test_exported_openai_flags_visit_the_documents_levels(
    diffusers: Any, schedule: LoadedSchedule, record_property: Callable[..., None]
) -> None:
    assert schedule.sampling is not None
    rendered = FORMATS["openai_cm"]().derive(schedule, schedule.sampling.steps)
    for n, wanted in rendered.wanted.items():
        words = rendered.files[f"flags_nfe{n}.txt"].split()
        flags = dict(zip(words[::2], words[1::2], strict=True))
        *ks, end = map(int, flags["--ts"].split(","))
        scheduler = diffusers.CMStochasticIterativeScheduler(
            num_train_timesteps=int(flags["--steps"]),
            sigma_min=float(flags["--sigma_min"]),
            sigma_max=float(flags["--sigma_max"]),
        )
        assert end == scheduler.config.num_train_timesteps - 1
        scheduler.set_timesteps(timesteps=ks[::-1])
        difference = max(abs(a - b) / b for a, b in zip(levels_of(scheduler), wanted, strict=True))
        record_property("difference", difference)
        assert difference <= 1e-5


@pytest.mark.conformance(OTHERS, "trap: EulerDiscrete drops its last step without a final 0")
def test_euler_needs_the_final_zero(diffusers: Any) -> None:
    scheduler = diffusers.EulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=[*LEVELS, 0.0])
    assert scheduler.sigmas.tolist() == pytest.approx([*LEVELS, 0.0])
    assert len(scheduler.timesteps) == 5
    scheduler.set_timesteps(sigmas=LEVELS)
    assert len(scheduler.timesteps) == 4
    assert scheduler.sigmas[-1] == pytest.approx(0.661)


@pytest.mark.conformance(OTHERS, "trap: EDMEuler takes a list for nothing and a tensor for a ramp")
def test_edm_euler_is_no_target(diffusers: Any) -> None:
    scheduler = diffusers.EDMEulerScheduler()
    with pytest.raises(AttributeError, match="'to'"):
        scheduler.set_timesteps(sigmas=LEVELS)
    scheduler.set_timesteps(sigmas=torch.tensor(LEVELS))
    assert scheduler.sigmas[0] < -1e14


@pytest.mark.conformance(
    OTHERS, "trap: FlowMatchEuler appends a 0 and shifts; s / (shift - (shift-1) s) undoes it"
)
@pytest.mark.parametrize("shift", [1.0, 3.0, 6.5])
def test_flow_matching_shifts_levels_and_the_inverse_undoes_it(diffusers: Any, shift: float) -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    levels = [1.0, 0.75, 0.5]
    scheduler.set_timesteps(sigmas=[*levels, 0.0])
    assert scheduler.sigmas[-2:].tolist() == [0.0, 0.0]
    scheduler.set_timesteps(sigmas=levels)
    assert scheduler.sigmas.tolist() == pytest.approx(
        [shift * s / (1 + (shift - 1) * s) for s in levels] + [0]
    )
    scheduler.set_timesteps(sigmas=[s / (shift - (shift - 1) * s) for s in levels])
    assert scheduler.sigmas.tolist() == pytest.approx([*levels, 0.0], rel=1e-6)


@pytest.mark.conformance(OTHERS, "trap: LCM, TCD, DPM-Solver and Heun take no `sigmas`")
@pytest.mark.parametrize(
    "name", ["LCMScheduler", "TCDScheduler", "DPMSolverMultistepScheduler", "HeunDiscreteScheduler"]
)
def test_these_schedulers_take_no_levels(diffusers: Any, name: str) -> None:
    with pytest.raises(TypeError, match="sigmas"):
        getattr(diffusers, name)().set_timesteps(sigmas=LEVELS)


@pytest.mark.conformance(OTHERS, "trap: LCM and TCD take whole timesteps 0 to 999, decreasing")
@pytest.mark.parametrize("name", ["LCMScheduler", "TCDScheduler"])
def test_lcm_and_tcd_take_whole_decreasing_timesteps(diffusers: Any, name: str) -> None:
    scheduler = getattr(diffusers, name)()
    scheduler.set_timesteps(timesteps=[999.9, 3])
    assert scheduler.timesteps.tolist() == [999, 3]
    for timesteps, message in (([3, 999], "descending"), ([1000, 3], "must start before")):
        with pytest.raises(ValueError, match=message):
            scheduler.set_timesteps(timesteps=timesteps)


@pytest.mark.conformance("Align Your Steps", "our list is diffusers' to the digits that it prints (relative)")
def test_the_align_your_steps_list_is_the_published_one(
    diffusers: Any, record_property: Callable[..., None]
) -> None:
    """diffusers rounds to three decimals and ends in 0 where the ports of the list have .0292."""
    theirs = diffusers.schedulers.AysSchedules["StableDiffusionSigmas"][:-1]
    difference = max(abs(a - b) / b for a, b in zip(ALIGN_YOUR_STEPS[:-1], theirs, strict=True))
    record_property("difference", difference)
    assert difference <= 5e-3


@pytest.mark.conformance(
    OTHERS, "flags of flow-training, drawn as its training scripts do: mean and std of ln sigma (absolute)"
)
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_flags_of_flow_training_draw_the_lognormal(
    diffusers: Any, shift: float, record_property: Callable[..., None]
) -> None:
    """As train_dreambooth_lora_sd3.py and kohya's flux_train.py: u, timesteps[u * 1000], the scheduler's sigma."""
    noise = LogNormal(p_mean=-0.4, p_std=0.7)
    schedule = NoiseSchedule(grid=KarrasGrid(), noise=noise, curriculum=Constant(levels=40))
    rendered = FORMATS["flow_training"](shift=shift).derive(LoadedSchedule(schedule=schedule), {1: (80.0,)})
    words = shlex.split(rendered.files["flags_diffusers.txt"])
    flags = dict(zip(words[::2], words[1::2], strict=True))
    training_utils = importlib.import_module("diffusers.training_utils")
    u = training_utils.compute_density_for_timestep_sampling(
        weighting_scheme=flags["--weighting_scheme"],
        batch_size=100_000,
        logit_mean=float(flags["--logit_mean"]),
        logit_std=float(flags["--logit_std"]),
        generator=torch.Generator().manual_seed(0),
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    t = scheduler.timesteps[(u * scheduler.config.num_train_timesteps).long()] / 1000
    ln_sigma = (t / (1 - t)).log()
    off = max(abs(ln_sigma.mean().item() - noise.p_mean), abs(ln_sigma.std().item() - noise.p_std))
    record_property("difference", off)
    assert off < 0.015  # 6 standard errors of the mean, and half a timestep
