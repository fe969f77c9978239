"""Images that models make from the same latents, beside real ones: made once, kept beside the models."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.evidence.leaderboard import Leaderboard
from search.evidence.row import Row
from search.file.spec import SearchSpec
from search.machine.output import write_file
from search.record import State, TrialRecord
from search.study.trial_storage import TrialStorage
from search.winner.sampling import median_trial, read_sampling
from trainable.storage.folder import StorageError
from trainable.task import SAMPLES_FILE

if TYPE_CHECKING:
    from torch import Tensor

    from trainable.training.trainer import Trainer

_log = logging.getLogger(__name__)

REAL_FILE = "real_images.png"  # in the folder of a search
# In the folder of a trial, by number of network evaluations.
_FILES = {1: "same_latents_1.png", 2: "same_latents_2.png"}
_NUM_IMAGES = 16
_MOST_ROWS = 6  # more colours are not told apart
_MOST_BYTES = 120_000  # of a picture: a page holds some twelve


@dataclass(frozen=True)
class Grid:
    """A picture of images. title: what it shows, in words. png: None where there is none; `missing` says why."""

    title: str
    png: bytes | None
    missing: str = ""


def compared_rows(board: Leaderboard) -> tuple[Row, ...]:
    """The schedules that pictures show together: the confirmed ones, the winner and the best baseline among them.

    Where nothing is confirmed, the best of what ran to its end.
    """
    rows = [row for row in board.rows if row.confirmed]
    rows = rows or [row for row in board.rows if row.record.state is State.COMPLETE]
    named = [row for row in (board.winner, board.baseline) if row is not None]
    others = [row for row in rows if row not in named][: _MOST_ROWS - len(named)]
    return tuple(row for row in board.rows if row in named or row in others)


def grids(spec: SearchSpec, rows: Sequence[Row]) -> dict[int, tuple[Grid, ...]]:
    """What is kept: by number of network evaluations a picture of each row; 0: real images."""
    real = _real(spec.folder)
    found = {0: (Grid("real images", real, "no picture of them is kept; a search makes one at its end"),)}
    trials = TrialStorage(spec.trials)
    return found | {n: tuple(_grid(spec, trials, row, n) for row in rows) for n in _numbers(spec)}


def _numbers(spec: SearchSpec) -> tuple[int, ...]:
    """Of `_FILES`. Of diffusion models there is one picture, in as many network evaluations as the search has."""
    return (1,) if spec.space.denoises else tuple(_FILES)


def _real(folder: Path) -> bytes | None:
    try:
        return (folder / REAL_FILE).read_bytes()
    except OSError:
        return None


def _grid(spec: SearchSpec, trials: TrialStorage, row: Row, num_evaluations: int) -> Grid:
    steps = f"{num_evaluations} step{'s' if num_evaluations > 1 else ''}"
    if spec.space.denoises:
        steps = f"{spec.num_evaluations} network evaluations"
    title = f"{row.label}, {steps}, latents of seed {spec.seed}"
    try:
        png = trials.folder(_record(row).number).read(_FILES[num_evaluations])
        if png is None and num_evaluations == 1 and row.record.seed == spec.seed:
            png = trials.folder(row.record.number).read(SAMPLES_FILE)  # of these latents too
    except StorageError as error:
        return Grid(title, None, str(error))
    if png is not None and len(png) > _MOST_BYTES:
        return Grid(title, None, f"the picture is too large for a page ({len(png)} bytes)")
    return Grid(
        title, png, "no picture is kept, since its model is not kept either, or the search is not over"
    )


def _record(row: Row) -> TrialRecord:
    """Whose model shows what the row is worth."""
    return median_trial(row) or row.record


def are_missing(spec: SearchSpec, rows: Sequence[Row]) -> bool:
    """Whether some could be made that are not kept."""
    trials = TrialStorage(spec.trials)
    try:
        return _real(spec.folder) is None or any(_without(spec, trials, rows))
    except StorageError:
        return False


def _without(spec: SearchSpec, trials: TrialStorage, rows: Sequence[Row]) -> Iterator[tuple[Row, list[int]]]:
    for row in rows:
        names = trials.folder(_record(row).number).names()
        numbers = [n for n in _numbers(spec) if _FILES[n] not in names]
        if numbers and any(name.endswith(".safetensors") for name in names):
            yield row, numbers


def make_grids(spec: SearchSpec, rows: Sequence[Row], images_NCHW: "Tensor") -> None:
    """Make what is not kept, of rows whose model is. images_NCHW: of the data set.

    A model that cannot be read or a storage that cannot be written to leaves its picture out, which the log says.
    """
    from trainable.metric.images import sample_grid_png

    trials = TrialStorage(spec.trials)
    if _real(spec.folder) is None:
        write_file(spec.folder / REAL_FILE, sample_grid_png(_shown(images_NCHW), _NUM_IMAGES))
    for row, numbers in _without(spec, trials, rows):
        record = _record(row)
        folder = trials.folder(record.number)
        try:
            trainer = _trainer(spec, trials, record, images_NCHW)
            for n in numbers:
                samples = trainer.sample(_NUM_IMAGES, spec.seed, _further_levels(spec, trials, row, n))
                folder.write(_FILES[n], sample_grid_png(samples, _NUM_IMAGES))
        except (ValueError, StorageError) as error:
            _log.warning("there is no picture of trial %d: %s", record.number, error)


def _shown(images_NCHW: "Tensor") -> "Tensor":
    from trainable.dataset import model_input

    return model_input(images_NCHW[:_NUM_IMAGES])


def _trainer(spec: SearchSpec, trials: TrialStorage, record: TrialRecord, images_NCHW: "Tensor") -> "Trainer":
    from trainable.training.finished import finished_trainer
    from trainable.trial import device_of

    return finished_trainer(
        trials.folder(record.number),
        spec.own_setting.network,
        images_NCHW,
        spec.training,
        record.schedule,
        record.seed,
        device_of(spec.resources.gpu),
        spec.sampling.sigma_start,
    )


def _further_levels(
    spec: SearchSpec, trials: TrialStorage, row: Row, num_evaluations: int
) -> tuple[float, ...]:
    """Below sigma_max: those that were found for this model, else usual ones; of a diffusion model, Heun's."""
    from trainable.sample_quality import levels_for

    schedule, start = row.record.schedule, spec.sampling.sigma_start
    if num_evaluations == 1:
        return schedule.sampled_from(start)[1:]
    measured = read_sampling(trials, row) or {"best": {}}
    if (best := measured["best"].get(str(num_evaluations))) is not None:
        return tuple(best["sigmas"][1:])
    return levels_for(schedule, num_evaluations, spec.training.total_steps, start)[1:]
