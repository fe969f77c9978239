"""diffusers' UNet2DModel as a network, and the winner's pipeline as ConsistencyModelPipeline loads it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from search.contracts._promise import Promise
from search.contracts.networks import PROMISES, batch, drawn
from search.export_format import FORMATS
from search.machine.checkout import ROOT
from search.running.search import Search
from search.winner.model import model_of
from spaces import LoadedSchedule
from trainable.network import NETWORKS, NetworkModule
from trainable.training.config import TrainingConfig
from trainable.training.consistency import sample
from trainable.training.trainer import Trainer

TARGET = "diffusers ConsistencyModelPipeline"
SMALL = {"name": "diffusers_unet", "channels": [8, 16], "groups": 4, "dropout": 0.1, "attention": True}
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # theirs
    pytest.mark.usefixtures("diffusers"),
]


@pytest.mark.conformance(TARGET, "UNet2DModel keeps what our networks keep")
@pytest.mark.parametrize("promise", PROMISES)
def test_it_keeps_what_networks_keep(promise: Promise) -> None:
    promise("diffusers_unet")


@pytest.mark.conformance(TARGET, "UNet2DModel keeps what our networks keep")
def test_training_starts_from_zero_output_and_sizes_are_refused_in_one_line() -> None:
    network = NETWORKS.build(SMALL)
    assert not drawn(network, 0, (3, 16, 16))(*batch((3, 16, 16))).any()
    assert NETWORKS.build(NETWORKS.describe(network)) == network
    for shape in ((1, 8, 16), (1, 7, 7)):
        with pytest.raises(ValueError, match="takes square images that can be halved 1 times"):
            network.build(shape)
    with pytest.raises(ValueError, match="`channels` must be 1 to 6 multiples of groups=8"):
        NETWORKS.build({"name": "diffusers_unet", "channels": [12]})


def trained(schedule: LoadedSchedule) -> Trainer:
    images = torch.rand((64, 3, 16, 16), generator=torch.Generator().manual_seed(3)) * 2 - 1
    trainer = Trainer(NETWORKS.build(SMALL), images, TrainingConfig(total_steps=60, batch_size=16))
    trainer.begin(schedule.schedule, seed=0)
    trainer.train(60)
    return trainer


@pytest.mark.conformance(TARGET, "images of the loaded winner equal our sampler's (absolute)")
def test_the_folder_loads_unchanged_and_gives_our_images(
    diffusers: Any,
    published: LoadedSchedule,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[..., None],
) -> None:
    assert published.sampling is not None
    target = FORMATS["diffusers_pipeline"]()
    trainer = trained(published)
    rendered = target.derive(published, published.sampling.steps)
    files = {name: text.encode() for name, text in rendered.files.items()}
    for name, content in {**files, **target.model_files(trainer.averaged())}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    pipeline = diffusers.ConsistencyModelPipeline.from_pretrained(tmp_path)
    pipeline.set_progress_bar_config(disable=True)
    calls = json.loads((tmp_path / "call_arguments.json").read_text())
    scheduler = "diffusers.schedulers.scheduling_consistency_models.randn_tensor"
    for n, levels in rendered.used.items():
        z_SBCHW = torch.randn((n, 8, 3, 16, 16), generator=torch.Generator().manual_seed(n))
        left = iter(z_SBCHW[1:])
        monkeypatch.setattr(scheduler, lambda *args, left=left, **options: next(left, torch.zeros(())))
        (theirs,) = pipeline(
            batch_size=8, latents=z_SBCHW[0], output_type="pt", return_dict=False, **calls[str(n)]
        )
        difference = float((theirs - ours(trainer.averaged(), z_SBCHW, levels)).abs().max())
        record_property("difference", difference)
        assert difference <= 1e-4


SEARCH = """
name: piped
data: digits
network: {name: diffusers_unet, channels: [8, 16], groups: 4}
training: {total_steps: 30, batch_size: 16}
objective: {extractor: pixels, num_samples: 50}
space: {noise: {lognormal: }, curriculum: {constant: }}
stopping: none
noise_floor: {seeds: 0}
confirm: {top: 1, baselines: 1, rounds: [2]}
budget: {max_trials: 2}
measures: []
storage: {path: runs}
"""


@pytest.mark.conformance(TARGET, "images of the loaded winner equal our sampler's (absolute)")
def test_the_winner_of_a_search_is_written_by_the_verb(
    diffusers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[..., None]
) -> None:
    (tmp_path / "piped.yaml").write_text(SEARCH)
    monkeypatch.chdir(tmp_path)
    for words in (["run", "piped.yaml"], ["export", "piped", "--format", "diffusers-pipeline"]):
        done = subprocess.run(
            [sys.executable, "-m", "search", *words],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    pipeline = diffusers.ConsistencyModelPipeline.from_pretrained("best_schedule_diffusers_pipeline")
    pipeline.set_progress_bar_config(disable=True)
    calls = json.loads(Path("best_schedule_diffusers_pipeline", "call_arguments.json").read_text())
    z_SBCHW = torch.randn((1, 8, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    # It takes `latents` of RGB only; of others it draws them, as we do from the same generator.
    generator = torch.Generator().manual_seed(1)
    (theirs,) = pipeline(batch_size=8, generator=generator, output_type="pt", return_dict=False, **calls["1"])
    search = Search.open("piped")
    row = search.board().winner
    assert row is not None
    (levels,) = FORMATS["diffusers_pipeline"]().render(search.document()).used.values()
    difference = float((theirs - ours(model_of(search.spec, row), z_SBCHW, levels)).abs().max())
    record_property("difference", difference)
    assert difference <= 1e-4


def ours(module: NetworkModule, z_SBCHW: Tensor, levels: tuple[float, ...]) -> Tensor:
    """Our images at these levels, as the pipeline gives images: from 0 to 1."""
    with torch.no_grad():
        x_BCHW = sample(module, z_SBCHW, levels, 0.002, 0.5)
    return (x_BCHW / 2 + 0.5).clamp(0, 1)
