"""Exports in the real packages, metrics against other implementations: collected only when asked for.

At the end stands a table of target x check.

    python -m pytest -m conformance

The packages are pinned; one that is missing or of another version is a failure with a line that says what to
install, never a skip.
"""

import importlib
import importlib.metadata
import importlib.util
import math
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from spaces import KarrasGrid, LoadedSchedule, NoiseSchedule
from spaces.curricula.constant import Constant
from spaces.document.load import Sampling
from spaces.noise.lognormal import LogNormal
from trainable.dataset import DATASETS
from trainable.network import NETWORKS
from trainable.training.config import TrainingConfig
from trainable.training.consistency import NetworkFunction, sample
from trainable.training.flat_parameters import flatten_parameters
from trainable.training.trainer import Trainer

INSTALL = {
    "diffusers": ("0.42.1", "pip install --constraint constraints.txt '.[conformance]'"),
    "torchmetrics": ("1.9.0", "pip install --constraint constraints.txt '.[conformance]'"),
    "prdc": ("0.2", "pip install --constraint constraints.txt '.[conformance]'"),
    "nbclient": ("0.11.0", "pip install --constraint constraints.txt '.[conformance]'"),
    "nbformat": ("5.11.1", "pip install --constraint constraints.txt '.[conformance]'"),
    "datasets": ("5.2.0", "pip install --constraint constraints.txt '.[conformance]'"),
    # Its requirements bring a torchvision for another torch than the CPU's.
    "timm": ("1.0.31", "pip install --no-deps timm==1.0.31"),
    # Its requirements cannot be met beside numpy 2; sampling.py alone needs torchsde and torchdiffeq.
    "k-diffusion": ("0.1.1.post1", "pip install --no-deps k-diffusion==0.1.1.post1"),
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these files out unless `-m` or a path on the command line names them."""
    asked = "conformance" in config.option.markexpr or any("conformance" in arg for arg in config.args)
    return None if asked else True


def _need(package: str) -> None:
    version, command = INSTALL[package]
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != version:
        pytest.fail(f"{package} {version} is needed, found {found}. Run: {command}", pytrace=False)


@pytest.fixture(scope="session")
def diffusers() -> Any:
    _need("diffusers")
    import diffusers

    diffusers.utils.logging.set_verbosity_error()
    return diffusers


@pytest.fixture(scope="session")
def k_diffusion_sampling() -> Any:
    """k_diffusion/sampling.py itself, without its package's __init__: that wants wandb, CLIP and a numpy below 2."""
    _need("k-diffusion")
    for needed in ("torchsde", "torchdiffeq"):
        if not importlib.util.find_spec(needed):
            pytest.fail(f"{needed} is needed. Run: {INSTALL['diffusers'][1]}", pytrace=False)
    package = types.ModuleType("k_diffusion")
    package.__path__ = [str(importlib.metadata.distribution("k-diffusion").locate_file("k_diffusion"))]
    stubs = {"k_diffusion": package}
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        stubs[name] = types.ModuleType(name)  # utils.py imports it for images in files, which no sampler has
    stubs["torchvision.transforms"].functional = stubs["torchvision.transforms.functional"]
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # gone again after the import: diffusers looks for torchvision
        for name, module in stubs.items():
            patch.setitem(sys.modules, name, module)
        sampling = importlib.import_module("k_diffusion.sampling")
        for name in [name for name in sys.modules if name.startswith("k_diffusion.")]:
            del sys.modules[name]
    return sampling


@pytest.fixture(scope="session")
def torchmetrics_fid() -> Any:
    """torchmetrics' FID, which takes any feature network; its package offers it only beside torch-fidelity."""
    _need("torchmetrics")
    return importlib.import_module("torchmetrics.image.fid").FrechetInceptionDistance


@pytest.fixture(scope="session")
def torchmetrics_kid() -> Any:
    """torchmetrics' KID, the same."""
    _need("torchmetrics")
    return importlib.import_module("torchmetrics.image.kid").KernelInceptionDistance


@pytest.fixture(scope="session")
def prdc() -> Any:
    """The package of the authors of density and coverage."""
    _need("prdc")
    return importlib.import_module("prdc")


@pytest.fixture(scope="session")
def nbclient() -> Any:
    """What runs a notebook without a browser."""
    _need("nbclient")
    return importlib.import_module("nbclient")


@pytest.fixture(scope="session")
def nbformat() -> Any:
    """What reads notebooks and checks them."""
    _need("nbformat")
    return importlib.import_module("nbformat")


TIMM_MODELS = {
    "vits14": "vit_small_patch14_dinov2",
    "vitb14": "vit_base_patch14_dinov2",
    "vitl14": "vit_large_patch14_dinov2",
}


class _Hollow(types.ModuleType):
    """A module that has whatever is asked of it, and does nothing."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return mock.MagicMock()


@pytest.fixture(scope="session")
def timm() -> Any:
    """timm without torchvision, which its networks do not need."""
    _need("timm")
    parts = (
        "",
        ".models",
        ".models.feature_extraction",
        ".ops",
        ".ops.misc",
        ".transforms",
        ".transforms.functional",
    )
    with pytest.MonkeyPatch.context() as patch:
        for part in (*parts, ".datasets"):
            patch.setitem(sys.modules, f"torchvision{part}", _Hollow(f"torchvision{part}"))
        return importlib.import_module("timm")


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Hugging Face's library, which looks at nothing but this machine."""
    _need("datasets")
    library = importlib.import_module("datasets")
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    library.disable_progress_bars()
    return library


@dataclass(frozen=True)
class Model:
    """A small consistency model of the digits, and what it was trained with."""

    network: NetworkFunction
    schedule: NoiseSchedule
    sigma_data: float

    def ours(self, z_SBCHW: Tensor, levels: tuple[float, ...]) -> Tensor:
        """Images by our own sampler from given noise."""
        with torch.no_grad():
            return sample(self.network, z_SBCHW, levels, self.schedule.grid.sigma_min, self.sigma_data)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    images = DATASETS.build("digits").load(tmp_path_factory.mktemp("data"))
    config = TrainingConfig(total_steps=400)
    trainer = Trainer(NETWORKS.build("film_mlp"), images.x_NCHW, config)
    schedule = NoiseSchedule(grid=KarrasGrid(), noise=LogNormal(), curriculum=Constant(levels=40))
    trainer.begin(schedule, seed=0)
    assert math.isfinite(trainer.train(400))
    averaged = NETWORKS.build("film_mlp").build(images.image_shape).requires_grad_(False)
    flatten_parameters(averaged, torch.device("cpu")).copy_(trainer.state_dict()[0]["ema_P"])
    return Model(averaged, schedule, config.sigma_data)


def loaded(steps: dict[int, tuple[float, ...]], **grid: float) -> LoadedSchedule:
    """A schedule with these sampling levels."""
    schedule = NoiseSchedule(grid=KarrasGrid(**grid), noise=LogNormal(), curriculum=Constant(levels=40))
    sampling = Sampling(sigma_min=schedule.grid.sigma_min, sigma_max=schedule.grid.sigma_max, steps=steps)
    return LoadedSchedule(schedule=schedule, sampling=sampling)


STEPS = {1: (80.0,), 2: (80.0, 0.821), 3: (80.0, 24.4, 0.661), 5: (80.0, 24.4, 5.84, 0.9, 0.661)}
SCHEDULES = {
    "published levels": loaded(STEPS),
    "low level": loaded({2: (80.0, 0.05)}),
    "latents": loaded({2: (14.6, 1.0), 4: (14.6, 3.9, 0.96, 0.15)}, sigma_min=0.03, sigma_max=14.6),
    "no float32": loaded({2: (80.1, 0.9), 3: (80.1, 0.9, 0.11)}, sigma_min=0.0064, sigma_max=80.1, rho=3.3),
}


@pytest.fixture(params=SCHEDULES)
def schedule(request: pytest.FixtureRequest) -> LoadedSchedule:
    found: LoadedSchedule = SCHEDULES[request.param]
    return found


@pytest.fixture
def published() -> LoadedSchedule:
    return SCHEDULES["published levels"]


# The table. A test is marked with its target and its check; it may record a number, of which the largest is shown.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    report = yield
    marker = item.get_closest_marker("conformance")
    if marker is not None and len(marker.args) == 2:
        report.conformance = marker.args
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    rows: dict[tuple[str, str], list[Any]] = {}
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            if hasattr(report, "conformance"):
                rows.setdefault(report.conformance, []).append(report)
    if not rows:
        return
    write = terminalreporter.write_line
    write("")
    write("| target | check | result | largest difference |")
    write("| --- | --- | --- | --- |")
    for (target, check), reports in sorted(rows.items()):
        failed = sum(report.outcome != "passed" for report in reports)
        result = f"{failed} of {len(reports)} fail" if failed else f"{len(reports)} of {len(reports)}"
        numbers = [
            value for report in reports for key, value in report.user_properties if key == "difference"
        ]
        write(f"| {target} | {check} | {result} | {f'{max(numbers):.1e}' if numbers else ''} |")
