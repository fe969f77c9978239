"""How much GPU memory a trial needs, measured on the slice that it will get: one training step and one evaluation."""

import math
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spaces import NoiseSchedule
from trainable.gpu.gpu_slice import Card, is_out_of_memory, take_slice, usable_bytes
from trainable.metric.assets import BATCH_SIZE, Assets, FrechetMetric
from trainable.network import Network
from trainable.training.config import TrainingConfig
from trainable.training.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The most bytes that tensors held at once, with `micro_batch` images at once, in a step and in an evaluation."""

    micro_batch: int
    step: int
    evaluation: int


@dataclass(frozen=True, kw_only=True)
class MemoryProbe:
    """What was found on one card.

    card: its name, None where torch sees none. usable_bytes: what tensors may take of it. wanted: images at once as the
    search asks for. peaks: first of as many images as the memory was enough for, halved from `wanted` on; where those
    are fewer, a second one of half as many, to tell what an image costs. None: not even one image fits.
    """

    node: str
    card: str | None
    total_bytes: int
    usable_bytes: int
    wanted: int
    peaks: tuple[Peak, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "MemoryProbe":
        """Of `dataclasses.asdict`, also by way of JSON."""
        return cls(**{**values, "peaks": tuple(Peak(**peak) for peak in values["peaks"])})

    @property
    def fits(self) -> bool:
        return bool(self.peaks) and self.peaks[0].micro_batch == self.wanted


def measure(
    *,
    assets: Assets,
    network: Network,
    training: TrainingConfig,
    num_samples: int,
    schedule: NoiseSchedule,
    micro_batch: int | None,
    share: float,
    card: Card,
    known: MemoryProbe | None = None,
) -> MemoryProbe:
    """Take `share` of the card in this process, train a step of `schedule`, draw samples, get their features.

    known: what this gave before, on whatever card: returned as it is where the card is as that one was. Raises what is
    not about memory, and ValueError for a share that the CUDA context alone fills.
    """
    node = socket.gethostname()
    if not card.is_there():
        return MemoryProbe(node=node, card=None, total_bytes=0, usable_bytes=0, wanted=0, peaks=())
    total = card.total_bytes()
    if known is not None and (known.card, known.total_bytes) == (card.name(), total):
        return known
    device = take_slice(share, card)
    wanted = min(micro_batch or training.whole_pass, training.whole_pass)

    def step_and_evaluation(images: int) -> Peak:
        card.restart_peak()
        trainer = Trainer(network, assets.images_NCHW, training, device)
        metric = FrechetMetric(assets, num_samples, device)
        trainer.begin(schedule, 0, images)
        trainer.train(1)
        step = card.peak_bytes()
        card.restart_peak()
        metric.features(trainer.sample(num_samples, seed=0), trainer.part_of(BATCH_SIZE))
        return Peak(micro_batch=images, step=step, evaluation=card.peak_bytes())

    return MemoryProbe(
        node=node,
        card=card.name(),
        total_bytes=total,
        usable_bytes=usable_bytes(total, share),
        wanted=wanted,
        peaks=tuple(_peaks(step_and_evaluation, wanted, card)),
    )


def _peaks(work: Callable[[int], Peak], wanted: int, card: Card) -> list[Peak]:
    """One is enough if it is of as many images as are wanted; else two, which make a straight line."""
    peaks: list[Peak] = []
    for images in _halved(wanted):
        try:
            peaks.append(work(images))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        finally:
            card.release()
        if len(peaks) == 2 or (peaks and images == wanted):
            break
    return peaks


def _halved(number: int) -> Iterator[int]:
    """number, half of it, ... down to 1; rounded up."""
    while number > 1:
        yield number
        number = math.ceil(number / 2)
    yield 1
