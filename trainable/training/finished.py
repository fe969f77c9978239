"""The trainer of a finished trial, from its last checkpoint."""

from collections.abc import Mapping, Sequence

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
    sigma_start: float | None = None,
) -> Trainer:
    """As the trial left it, with the average that its last value is of.

    folder, schedule, seed: of the trial, as its `TrialTask` had them; sigma_start: of its `Setting`. Raises ValueError
    if there is no model of the full budget.
    """
    damaged: dict[int, str] = {}
    found = load_checkpoint(folder, damaged.__setitem__)
    if found is None or found[0] != training.total_steps:
        at = "; ".join(["none" if found is None else f"one of step {found[0]}", *damaged.values()])
        raise ValueError(
            f"a checkpoint of step {training.total_steps} is needed in {folder.location}, but there is {at}"
        )
    trainer = Trainer(network, images_NCHW, training, device)
    trainer.sigma_start = sigma_start
    trainer.begin(schedule, seed)
    trainer.load_state_dict(found[1], found[2]["trainer"])
    if training.best_ema:
        trainer.take_average(best_horizon(found[2]["reports"][-1]["metrics"], training.ema_horizons))
    return trainer


def ema_metric(objective: str, horizon: float) -> str:
    """Name of the distance of an average, where there are several."""
    return f"{objective}_ema{horizon:g}"


def best_horizon(metrics: Mapping[str, float], horizons: Sequence[float]) -> float:
    """The one with the least distance in a trial's report, whatever its objective is called."""
    found = {
        horizon: value
        for horizon in horizons
        for name, value in metrics.items()
        if name.endswith(ema_metric("", horizon))
    }
    return min(found, key=lambda horizon: found[horizon])
