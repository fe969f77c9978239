"""The trained model that stands for a row of the leaderboard."""

from typing import TYPE_CHECKING

from search.errors import OperationFailed
from search.evidence.row import Row
from search.file.spec import SearchSpec
from search.machine.cache_folder import usable_cache
from search.study.trial_storage import TrialStorage
from search.winner.sampling import median_trial
from trainable.storage.folder import StorageError
from trainable.trial import device_of

if TYPE_CHECKING:
    from trainable.network import NetworkModule


def model_of(spec: SearchSpec, row: Row) -> "NetworkModule":
    """With its averaged weights: of the seed whose value is the median one. OperationFailed where it is not kept."""
    from trainable.training.finished import finished_trainer

    if spec.script is not None:
        raise OperationFailed(
            "the search has no model of ours: a script trains it, and has kept it in its own way"
        )
    record, setting = median_trial(row) or row.record, spec.own_setting
    try:
        with usable_cache() as cache:
            images = setting.data.load(cache)
        trainer = finished_trainer(
            TrialStorage(spec.trials).folder(record.number),
            setting.network,
            images.x_NCHW,
            setting.training,
            record.schedule,
            record.seed,
            device_of(spec.resources.gpu),
        )
    except (ValueError, StorageError) as error:
        raise OperationFailed(f"the model of trial {record.number} cannot be written: {error}") from error
    return trainer.averaged()
