from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainable.gpu.gpu_slice import take_slice
from trainable.trial_trainer import Slice, TrialTrainer

if TYPE_CHECKING:
    from trainable.setting import Setting
    from trainable.stack.worker import StackWorker
    from trainable.trial import TrialWorker


@dataclass(frozen=True, kw_only=True)
class Consistency(TrialTrainer):
    """A small consistency model in our own loop. Song & Dhariwal 2023 (arXiv:2310.14189), improved training."""

    def worker(self, setting: "Setting", share: Slice) -> "TrialWorker":
        from trainable.trial import TrialWorker

        return TrialWorker(setting, take_slice(share.gpus, share.card))

    def stack_worker(self, settings: Mapping[str, "Setting"], share: Slice, size: int) -> "StackWorker":
        from trainable.stack.worker import StackWorker

        return StackWorker(settings, take_slice(share.gpus, share.card), size=size, card=share.card)

    def whole_pass(self, setting: "Setting") -> int:
        return setting.training.whole_pass
