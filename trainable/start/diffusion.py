"""The diffusion model that the trials of one seed start from: trained once, kept with the search, read by others."""

import fcntl
import hashlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from spaces import NoiseSchedule
from spaces.noise.lognormal import LogNormal
from trainable.network import Network
from trainable.storage.checkpoint import load_checkpoint, packed, save_checkpoint
from trainable.storage.folder import Folder
from trainable.storage.location import is_bucket, under
from trainable.training.config import TrainingConfig
from trainable.training.step import stream_seed
from trainable.training.trainer import Trainer

# EDM's law, weight and loss, Karras et al. 2022 (arXiv:2206.00364).
SCHEDULE = NoiseSchedule.denoising(LogNormal(p_mean=-1.2, p_std=1.2))
FOLDER = "starts"  # at the location of a search
KEEP_SECONDS = 60.0  # of training that an interruption costs at most
_LOOKS = 0.2  # seconds between two looks at whether another worker is done


def location_of_start(search_location: str, setting: str, seed: int) -> str:
    """Where the model for trials with this seed is kept. setting: name of what it is trained in."""
    which = f"{hashlib.sha256(setting.encode()).hexdigest()[:8]}-" if setting else ""
    return under(search_location, FOLDER, f"{which}{seed:05d}")


class DiffusionTraining:
    """One such model: read where it is kept, else trained, by one worker at a time, and kept.

    steps: to train it. Network, data and the options of the training are those of the trials.
    """

    def __init__(
        self, folder: Folder, make: Callable[[TrainingConfig], Trainer], training: TrainingConfig, steps: int
    ):
        self._folder, self._steps = folder, steps
        self._make = lambda: make(replace(training, total_steps=steps))
        self._turn = _Turn(folder)
        self._trainer: Trainer | None = None
        self._keep_at = time.monotonic() + KEEP_SECONDS

    @classmethod
    def of(
        cls,
        folder: Folder,
        network: Network,
        images_NCHW: Tensor,
        training: TrainingConfig,
        steps: int,
        device: str,
    ) -> "DiffusionTraining":
        """folder: of `location_of_start`."""
        return cls(folder, lambda config: Trainer(network, images_NCHW, config, device), training, steps)

    def weights(
        self, seed: int, micro_batch: int | None = None, pause_seconds: float = math.inf
    ) -> dict[str, Tensor] | None:
        """Averaged weights and buffers, as `Trainer.start_from` takes them; None after about `pause_seconds`.

        Ask again then: it goes on where it was. Raises ValueError where the training diverges.
        """
        until = time.monotonic() + pause_seconds
        while not self._turn.take():
            if time.monotonic() > until or self._turn.is_in_this_process:
                return None
            time.sleep(_LOOKS)
        trainer = self._trainer = self._trainer or self._begun(seed, micro_batch)
        if trainer.step < self._steps:
            loss = trainer.train(self._steps, should_pause=lambda: time.monotonic() > until)
            if not math.isfinite(loss):
                raise ValueError(
                    f"the diffusion model that trials with seed {seed} start from diverged at step {trainer.step}. "
                    "Lower training.learning_rate"
                )
            self._keep(trainer)
        if trainer.step < self._steps:
            return None
        found = trainer.averaged().state_dict()
        weights = {name: tensor.detach().cpu().clone() for name, tensor in found.items()}
        self.close()
        return weights

    def close(self) -> None:
        """Let another worker go on with what is kept."""
        self._trainer = None
        self._turn.give_back()

    def _keep(self, trainer: Trainer) -> None:
        """When it is done, and now and then before."""
        if trainer.step == self._steps or time.monotonic() > self._keep_at:
            tensors, scalars = trainer.state_dict()
            save_checkpoint(self._folder, trainer.step, packed(tensors), {"trainer": scalars})
            self._keep_at = time.monotonic() + KEEP_SECONDS

    def _begun(self, seed: int, micro_batch: int | None) -> Trainer:
        """From what is kept, or from the beginning."""
        trainer = self._make()
        trainer.begin(SCHEDULE, stream_seed("start", seed) % 2**31, micro_batch)
        found = load_checkpoint(self._folder)
        if found is not None:
            trainer.load_state_dict(found[1], found[2]["trainer"])
        return trainer


_HELD: set[Path] = set()  # by trials of this process


class _Turn:
    """Which of the workers that share a folder trains; in a bucket each does, and they come to the same."""

    def __init__(self, folder: Folder):
        self._path = None if is_bucket(folder.location) else Path(folder.location, "lock")
        self._file: int | None = None

    @property
    def is_in_this_process(self) -> bool:
        """Whether it is another trial's here, which does not go on while this one waits."""
        return self._path in _HELD

    def take(self) -> bool:
        """Whether it is this worker's. It ends with `give_back`, or with this process."""
        if self._path is None or self._file is not None:
            return True
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except OSError:  # a file system without locks
            os.close(file)
            self._path = None
            return True
        self._file = file
        _HELD.add(self._path)
        return True

    def give_back(self) -> None:
        if self._file is not None and self._path is not None:
            _HELD.discard(self._path)
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        self.give_back()
