"""The trainer of a finished trial, from its last checkpoint."""

from torch import Tensor

from spaces import NoiseSchedule
from trainable.network import Network
from trainable.storage.checkpoint import load_checkpoint
from trainable.storage.folder import Folder
from trainable.training.config import TrainingConfig
from trainable.training.trainer import Trainer


def finished_trainer(
    folder: Folder,
    network: Network,
    images_NCHW: Tensor,
    training: TrainingConfig,
    schedule: NoiseSchedule,
    seed: int,
    device: str = "cpu",
) -> Trainer:
    """As the trial left it. folder, schedule, seed: of the trial, as its `TrialTask` had them.

    Raises ValueError if there is no model of the full budget.
    """
    damaged: dict[int, str] = {}
    found = load_checkpoint(folder, damaged.__setitem__)
    if found is None or found[0] != training.total_steps:
        at = "; ".join(["none" if found is None else f"one of step {found[0]}", *damaged.values()])
        raise ValueError(
            f"a checkpoint of step {training.total_steps} is needed in {folder.location}, but there is {at}"
        )
    trainer = Trainer(network, images_NCHW, training, device)
    trainer.begin(schedule, seed)
    trainer.load_state_dict(found[1], found[2]["trainer"])
    return trainer
