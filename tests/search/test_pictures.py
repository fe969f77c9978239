"""Images of finalists from the same latents: which are compared, made once, kept, missed in words."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from search.evidence.leaderboard import Leaderboard, leaderboard
from search.evidence.row import Row
from search.file.spec import SearchSpec, spec_of
from search.file.yaml12 import Document
from search.record import Purpose, TrialRecord
from search.study.trial_storage import TrialStorage
from search.winner.pictures import are_missing, compared_rows, grids, make_grids
from spaces import PRESETS
from tests.records import OBJECTIVE, record, replicates
from trainable.metric.images import sample_grid_png
from trainable.storage.checkpoint import discard_checkpoints, packed, save_checkpoint
from trainable.training.trainer import Trainer

STEPS = 4


@pytest.fixture
def spec(tmp_path: Path) -> SearchSpec:
    plain = {
        "name": "s",
        "data": "digits",
        "network": {"name": "mlp", "width": 8, "depth": 1},
        "training": {"total_steps": STEPS, "batch_size": 4},
        "stopping": "none",
        "storage": {"path": str(tmp_path)},
    }
    found = spec_of(Document("test", plain, {}))
    found.folder.mkdir()
    return found


@pytest.fixture(scope="module")
def images_NCHW() -> Tensor:
    return torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def trained(spec: SearchSpec, one: TrialRecord, images_NCHW: Tensor) -> Trainer:
    """Train the trial, and keep its model as a worker does."""
    trainer = Trainer(spec.network, images_NCHW, spec.training, "cpu")
    trainer.begin(one.schedule, one.seed)
    trainer.train(STEPS)
    tensors, scalars = trainer.state_dict()
    folder = TrialStorage(spec.trials).folder(one.number)
    save_checkpoint(folder, STEPS, packed(tensors), {"trainer": scalars, "reports": [], "train_seconds": 0.0})
    folder.write("samples.png", sample_grid_png(trainer.sample(64, one.seed), 64))
    return trainer


def rows_of(*records: TrialRecord) -> tuple[Row, ...]:
    return compared_rows(leaderboard("s", OBJECTIVE, records))


ICT = record(0, (STEPS, 9.0), preset="ict", purpose=Purpose.BASELINE)
FOUND = record(1, (STEPS, 5.0), schedule=PRESETS["vp"].schedule)


def test_models_start_from_the_latents_of_the_search(spec: SearchSpec, images_NCHW: Tensor) -> None:
    trainers = {one.number: trained(spec, one, images_NCHW) for one in (ICT, FOUND)}
    rows = rows_of(ICT, FOUND)
    assert [row.record.number for row in rows] == [1, 0]
    assert are_missing(spec, rows)
    make_grids(spec, rows, images_NCHW)
    found = grids(spec, rows)
    assert [len(found[n]) for n in (0, 1, 2)] == [1, 2, 2]
    assert found[0][0].png == sample_grid_png(images_NCHW[:16], 16)
    for row, one, two in zip(rows, found[1], found[2], strict=True):
        trainer = trainers[row.record.number]
        assert one.png == sample_grid_png(trainer.sample(16, spec.seed), 16)
        assert two.png is not None and two.png != one.png
        assert row.label in one.title and "2 steps" in two.title
    assert not are_missing(spec, rows)


def test_what_is_kept_is_not_made_again(spec: SearchSpec, images_NCHW: Tensor) -> None:
    trained(spec, FOUND, images_NCHW)
    rows = rows_of(FOUND)
    make_grids(spec, rows, images_NCHW)
    before = grids(spec, rows)
    discard_checkpoints(TrialStorage(spec.trials).folder(1), keep=0)
    assert not are_missing(spec, rows)
    make_grids(spec, rows, images_NCHW)
    assert grids(spec, rows) == before


def test_where_a_model_is_gone_the_page_can_say_so(spec: SearchSpec, images_NCHW: Tensor) -> None:
    trained(spec, FOUND, images_NCHW)
    folder = TrialStorage(spec.trials).folder(1)
    discard_checkpoints(folder, keep=0)
    rows = rows_of(FOUND)
    make_grids(spec, rows, images_NCHW)
    found = grids(spec, rows)
    assert found[1][0].png == folder.read("samples.png")  # of the same latents
    assert found[2][0].png is None and "its model is not kept" in found[2][0].missing
    assert not are_missing(spec, rows)


def test_a_damaged_model_leaves_its_picture_out(
    spec: SearchSpec, images_NCHW: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    trained(spec, FOUND, images_NCHW)
    path = Path(spec.trials) / "trials" / "00001" / f"{STEPS:09d}.safetensors"
    path.write_bytes(path.read_bytes()[:-20])
    make_grids(spec, rows_of(FOUND), images_NCHW)
    assert "there is no picture of trial 1" in caplog.text
    assert grids(spec, rows_of(FOUND))[2][0].png is None


def test_the_samples_of_another_seed_are_not_the_same_latents(spec: SearchSpec, images_NCHW: Tensor) -> None:
    other = record(1, (STEPS, 5.0), schedule=PRESETS["vp"].schedule, seed=7)
    trained(spec, other, images_NCHW)
    discard_checkpoints(TrialStorage(spec.trials).folder(1), keep=0)
    assert grids(spec, rows_of(other))[1][0].png is None


def test_confirmed_rows_and_the_baseline_are_compared() -> None:
    proposals = [record(n, 5.0 + n) for n in range(1, 10)]
    confirmed = [each for n in (1, 2) for each in replicates(n, [6.0, 7.0], first=10 + 2 * n)]
    rows = rows_of(record(0, 9.0, preset="ict", purpose=Purpose.BASELINE), *proposals, *confirmed)
    assert [row.label for row in rows] == ["trial 1", "trial 2", "ict"]
    many = rows_of(record(0, 90.0, preset="ict", purpose=Purpose.BASELINE), *proposals)
    assert [row.label for row in many] == [*(f"trial {n}" for n in range(1, 6)), "ict"]
    assert compared_rows(Leaderboard(name="s", objective=OBJECTIVE, rows=(), baseline=None)) == ()
