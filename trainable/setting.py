"""In what a schedule is trained and measured: all of a trial but its schedule and its seed."""

from dataclasses import dataclass

from trainable.metric.assets import Assets
from trainable.network import Network
from trainable.start.weights import Start
from trainable.training.config import TrainingConfig


@dataclass(frozen=True, eq=False)
class Setting:
    """What the trials of one setting share. num_samples: images per distance.

    start: None, from random weights. sigma_start: where sampling starts; None: at the highest level that is trained.
    """

    assets: Assets
    network: Network
    training: TrainingConfig
    num_samples: int
    start: Start | None = None
    sigma_start: float | None = None
