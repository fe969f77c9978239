"""Trials that start from a diffusion model, trained once for each seed, or from a file of weights."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from spaces import PRESETS
from trainable.network import Network
from trainable.networks.film_mlp import FilmMlp
from trainable.networks.mlp import Mlp
from trainable.start.diffusion import DiffusionTraining, location_of_start
from trainable.start.weights import DiffusionStart, FileStart, checksum_of, weights_for
from trainable.storage.location import open_folder
from trainable.task import TrialTask
from trainable.trial import TrialWorker

ICT = PRESETS["ict"].schedule
SHAPE = (1, 8, 8)
TINY = FilmMlp(width=16, depth=1)
Make = Callable[..., TrialWorker]


def started(worker: Make, start: Any, **training: Any) -> TrialWorker:
    made = worker(**training)
    return TrialWorker(replace(made.setting, start=start), clock=lambda: 1e9)


def task(folder: Path, number: int = 0, seed: int = 1) -> TrialTask:
    trial = folder / "trials" / f"{number:05d}"
    rungs, schedule = (60, 120), ICT.to_dict()
    return TrialTask(
        number=number,
        schedule=schedule,
        seed=seed,
        rungs=rungs,
        folder=str(trial),
        search_location=str(folder),
    )


def values(worker: TrialWorker, given: TrialTask, pause_seconds: float = 1e9) -> list[float]:
    worker.begin(given)
    while (progress := worker.advance(pause_seconds)).outcome is None:
        pass
    return [report["objective"] for report in progress.reports]


def training_of(worker: TrialWorker, location: Path | str, steps: int = 50) -> DiffusionTraining:
    setting = worker.setting
    images_NCHW = setting.assets.images_NCHW
    folder = open_folder(str(location))
    return DiffusionTraining.of(folder, setting.network, images_NCHW, setting.training, steps, "cpu")


def test_a_start_is_trained_once_for_each_seed_kept_and_read(
    worker: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = DiffusionStart(steps=50)
    first = values(started(worker, start), task(tmp_path))
    plain = values(worker(), task(tmp_path / "plain"))
    assert first != plain
    kept = sorted(path.name for path in (tmp_path / "starts" / "00001").iterdir())
    assert kept == ["000000050.json", "000000050.safetensors", "lock"]
    before = (tmp_path / "starts" / "00001" / kept[1]).read_bytes()
    # Another trial on the seed reads it; one on another seed has its own.
    again = values(started(worker, start), task(tmp_path, number=1))
    assert again == first
    assert (tmp_path / "starts" / "00001" / kept[1]).read_bytes() == before
    assert values(started(worker, start), task(tmp_path, number=2, seed=2)) != first
    assert (tmp_path / "starts" / "00002" / kept[1]).read_bytes() != before
    # Without what is kept, it is trained to the same.
    assert values(started(worker, start), task(tmp_path / "elsewhere")) == first
    assert location_of_start("s3://b/x", "", 3) == "s3://b/x/starts/00003"
    assert location_of_start("/x", "mlp", 3) != location_of_start("/x", "", 3)


def test_a_trial_begins_with_the_averaged_weights_of_its_diffusion_model(
    worker: Make, tmp_path: Path
) -> None:
    weights = training_of(worker(), tmp_path / "model").weights(1)
    assert weights is not None
    given = values(started(worker, FileStart(weights)), task(tmp_path / "file"))
    assert given == values(started(worker, DiffusionStart(steps=50)), task(tmp_path / "diffusion"))


def test_a_start_that_pauses_or_is_interrupted_goes_on(
    worker: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through = training_of(worker(), tmp_path / "a").weights(1)
    paused = training_of(worker(), tmp_path / "b")
    looks = 0
    while (found := paused.weights(1, pause_seconds=0.0)) is None:
        looks += 1
    assert looks > 10
    monkeypatch.setattr("trainable.start.diffusion.KEEP_SECONDS", 0.0)
    ended = training_of(worker(), tmp_path / "c")
    for _ in range(7):
        assert ended.weights(1, pause_seconds=0.0) is None
    ended.close()  # as where its process is ended
    resumed = training_of(worker(), tmp_path / "c").weights(1)
    assert through is not None and resumed is not None
    for name, tensor in through.items():
        assert torch.equal(tensor, found[name]) and torch.equal(tensor, resumed[name])


def test_one_worker_trains_while_the_others_wait(worker: Make, tmp_path: Path) -> None:
    one, other = (training_of(worker(), tmp_path / "start") for _ in range(2))
    assert one.weights(1, pause_seconds=0.0) is None
    assert other.weights(1, pause_seconds=0.0) is None
    assert [path.name for path in (tmp_path / "start").iterdir()] == ["lock"]
    made = one.weights(1)
    read = other.weights(1)
    assert made is not None and read is not None
    assert all(torch.equal(made[name], read[name]) for name in made)


def test_a_start_that_diverges_says_so(worker: Make, tmp_path: Path) -> None:
    made = training_of(worker(learning_rate=10.0, lr_decay_start=1.0), tmp_path / "start", steps=3000)
    with pytest.raises(
        ValueError, match=r"trials with seed 7 start from diverged at step \d+\. Lower training"
    ):
        made.weights(7)


# --- a file of weights -------------------------------------------------------------------------------------


def state_of(network: Network) -> dict[str, torch.Tensor]:
    module = network.build(SHAPE)
    module.reset_parameters(torch.Generator().manual_seed(5))
    return dict(module.state_dict())


def test_trials_start_from_a_file(worker: Make, tmp_path: Path) -> None:
    state = state_of(TINY)
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt")
    found = [weights_for(tmp_path / name, TINY, SHAPE) for name in ("w.safetensors", "w.pt")]
    for start in found:
        assert all(torch.equal(start.tensors[name], state[name]) for name in state)
    trials = [values(started(worker, start), task(tmp_path / str(i))) for i, start in enumerate(found)]
    assert trials[0] == trials[1] != values(worker(), task(tmp_path / "plain"))
    assert checksum_of(tmp_path / "w.pt") != checksum_of(tmp_path / "w.safetensors")
    half = {name: tensor.half() for name, tensor in state.items()}
    torch.save(half, tmp_path / "half.pth")
    found = [weights_for(tmp_path / "half.pth", TINY, SHAPE)]
    assert all(tensor.dtype == torch.float32 for tensor in found[0].tensors.values())


class Malice:
    """Would run a command if it were unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemError('executed')",))


def files(folder: Path) -> dict[str, tuple[Path, str]]:
    """File by what is wrong with it, and what is said."""
    state = state_of(TINY)
    first = next(iter(state))
    (folder / "code.pt").write_bytes(pickle.dumps({"w": Malice()}))
    torch.save({"w": Malice()}, folder / "zip.pt")
    (folder / "text.safetensors").write_text("no weights")
    (folder / "cut.safetensors").write_bytes(safetensors.torch.save(state)[:-10])
    torch.save([1, 2], folder / "list.pt")
    torch.save({"epoch": 3, "model": state}, folder / "nested.pt")
    torch.save(state_of(Mlp()), folder / "mlp.pt")
    torch.save(state_of(FilmMlp(width=32, depth=1)), folder / "wide.pt")
    torch.save(state | {"more": torch.zeros(1)}, folder / "more.pt")
    torch.save(state | {first: torch.full_like(state[first], torch.nan)}, folder / "nan.pt")
    (folder / "w.onnx").write_bytes(b"")
    holds = "is no file of weights, or holds what only code could read"
    return {
        "code": (folder / "code.pt", holds),
        "code in a zip": (folder / "zip.pt", holds),
        "text": (folder / "text.safetensors", holds),
        "cut": (folder / "cut.safetensors", holds),
        "a list": (folder / "list.pt", "holds no state_dict"),
        "nested": (folder / "nested.pt", "holds no state_dict"),
        "another network": (folder / "mlp.pt", "is of another network than film_mlp: it has no"),
        "wider": (folder / "wide.pt", "has the shape"),
        "more": (folder / "more.pt", "is of another network than film_mlp, which has no more"),
        "not finite": (folder / "nan.pt", "has NaN or infinity in"),
        "another kind": (folder / "w.onnx", "must be a file .safetensors, .pt, .pth"),
        "none": (folder / "none.pt", "cannot be read: No such file or directory"),
    }


def test_a_file_of_other_weights_is_one_line_and_nothing_is_executed(tmp_path: Path) -> None:
    for what, (path, message) in files(tmp_path).items():
        with pytest.raises(ValueError) as caught:
            weights_for(path, TINY, SHAPE)
        line = str(caught.value)
        assert message in line and line.isprintable() and len(line) < 300, (what, line)


def test_names_may_lack_the_prefix_that_all_have(tmp_path: Path) -> None:
    code = "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    code += "        self.a = torch.nn.Linear(3, 3)\n"
    (tmp_path / "net.py").write_text(code)
    from trainable.networks.own import Own

    network = Own(file=str(tmp_path / "net.py"), class_="Net")
    state = {name.removeprefix("own."): tensor for name, tensor in network.build(SHAPE).state_dict().items()}
    assert set(state) == {"a.weight", "a.bias"}
    torch.save(state, tmp_path / "w.pt")
    found = weights_for(tmp_path / "w.pt", network, SHAPE)
    assert isinstance(found, FileStart) and set(found.tensors) == {"own.a.weight", "own.a.bias"}
