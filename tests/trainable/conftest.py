"""What the tests of `trainable` share: small data sets, the digits' assets, a loopback web server."""

import gzip
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

import trainable.training.trainer
from tests.pictures import write_pictures
from trainable.data._idx import TEST, TRAIN
from trainable.dataset import DATASETS
from trainable.extractor import EXTRACTORS
from trainable.metric.assets import Assets, prepare
from trainable.network import NETWORKS
from trainable.setting import Setting
from trainable.training.config import TrainingConfig
from trainable.training.consistency import LevelTables
from trainable.training.step import Batch, TrainingState, training_step
from trainable.trial import TrialWorker


def idx_bytes(tensor: Tensor) -> bytes:
    header = bytes((0, 0, 8, tensor.ndim)) + b"".join(n.to_bytes(4, "big") for n in tensor.shape)
    return gzip.compress(header + tensor.numpy().tobytes(), mtime=0)


def write_idx_files(folder: Path, num_train: int, num_test: int, side: int = 8) -> None:
    """Three classes that a small network learns at once: a bright row, at a height of the class's own."""
    generator = torch.Generator().manual_seed(7)
    folder.mkdir(parents=True, exist_ok=True)
    for (images_name, labels_name), n in ((TRAIN, num_train), (TEST, num_test)):
        y_N = torch.arange(n) % 3
        x_NHW = torch.randint(0, 100, (n, side, side), generator=generator, dtype=torch.uint8)
        x_NHW[torch.arange(n), 2 * y_N] += 155
        (folder / images_name).write_bytes(idx_bytes(x_NHW))
        (folder / labels_name).write_bytes(idx_bytes(y_N.to(torch.uint8)))


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """A folder with the four files of an MNIST-like data set: 200 + 50 images of 8x8, 3 classes."""
    folder = tmp_path / "idx"
    write_idx_files(folder, num_train=200, num_test=50)
    return folder


class TableStandIn(list[dict[str, Any]]):
    """What this program uses of a table of the library `datasets`: rows, the kinds of its columns, a fingerprint."""

    def __init__(self, features: dict[str, Any], rows: list[dict[str, Any]]):
        super().__init__(rows)
        self.features, self._fingerprint = features, "fingerprint"

    def cast_column(self, column: str, kind: Any) -> "TableStandIn":
        assert isinstance(kind, ImageStandIn) and not kind.decode
        return self

    def __getitem__(self, key: Any) -> Any:
        return [row[key] for row in self] if isinstance(key, str) else super().__getitem__(key)


@dataclass
class ImageStandIn:
    decode: bool = True


class LabelStandIn:
    pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Stands in for the library `datasets`: {"table": what it loads, or an error, "asked": by which arguments}."""
    write_pictures(tmp_path / "hub")
    paths = sorted((tmp_path / "hub").rglob("*.png"))
    rows: list[dict[str, Any]] = [
        {"image": {"bytes": path.read_bytes(), "path": None}, "label": int(path.parent.name[-1])}
        for path in paths
    ]
    found: dict[str, Any] = {"asked": []}
    found["table"] = TableStandIn({"image": ImageStandIn(), "label": LabelStandIn()}, rows)

    def load(*args: Any, **options: Any) -> Any:
        found["asked"].append((args, options))
        if isinstance(found["table"], Exception):
            raise found["table"]
        return found["table"]

    module = ModuleType("datasets")
    quiet = SimpleNamespace(logging=SimpleNamespace(set_verbosity_error=lambda: None))
    for name, value in {
        "Image": ImageStandIn,
        "ClassLabel": LabelStandIn,
        "load_dataset": load,
        "load_from_disk": load,
        "disable_progress_bars": lambda: None,
        "utils": quiet,
    }.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "datasets", module)
    return found


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache folder for the whole session, so that a network is trained once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def digits_assets(cache_dir: Path) -> Assets:
    """The digits with their feature network, trained here (a few seconds)."""
    return prepare(DATASETS.build("digits"), EXTRACTORS.build("digits_cnn"), cache_dir)


@pytest.fixture
def worker(digits_assets: Assets) -> Callable[..., TrialWorker]:
    """`worker(**options of the training)` makes a worker of small trials of the digits."""

    def make(**training: object) -> TrialWorker:
        config = TrainingConfig(**{"total_steps": 120, "batch_size": 16, **training})  # type: ignore[arg-type]
        network = NETWORKS.build({"name": "film_mlp", "width": 16, "depth": 1})
        return TrialWorker(Setting(digits_assets, network, config, num_samples=200), clock=lambda: 1e9)

    return make


@dataclass(frozen=True)
class Step:
    """What a trainer gave `training_step`: its own tensors, so they show what is in them now."""

    state: TrainingState
    batch: Batch
    levels: LevelTables


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """The steps of all trainers, in the order in which they are done."""
    done: list[Step] = []

    def watched(network, state: TrainingState, batch: Batch, levels: LevelTables, *rest) -> None:
        done.append(Step(state, batch, levels))
        training_step(network, state, batch, levels, *rest)

    monkeypatch.setattr(trainable.training.trainer, "training_step", watched)
    return done


@pytest.fixture
def passes() -> Iterator[Callable[[type[nn.Module]], list[int]]]:
    """`passes(kind)`: how many images went through networks of that class together, pass by pass."""
    seen: list[tuple[nn.Module, int]] = []
    hook = register_module_forward_hook(lambda module, given, _: seen.append((module, len(given[0]))))
    yield lambda kind: [num for module, num in seen if isinstance(module, kind)]
    hook.remove()


Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """A web server on loopback: request number i gets `answers[i]`, later ones the last of them."""

    def __init__(self, answers: list[Answer]):
        self.answers = answers
        self.ranges: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.ranges.append(self.headers.get("Range"))
                server.answers[min(len(server.ranges), len(server.answers)) - 1](self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/file.bin"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """`serve(answer, ...)` starts a Server; all are closed at the end."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers: list[Server] = []

    def start(*answers: Answer) -> Server:
        servers.append(Server(list(answers)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
