"""What a trial's step and evaluation take of a card that is made up: so much at all, so much for each image."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor

import trainable.gpu.memory_probe
from spaces import PRESETS
from trainable.gpu.gpu_slice import CONTEXT_BYTES, Card
from trainable.gpu.memory_probe import MemoryProbe, Peak, measure
from trainable.metric.assets import Assets
from trainable.networks.film_mlp import FilmMlp
from trainable.optimizer_strategies.gradient_noise_scale import GradientNoiseScale
from trainable.training.config import TrainingConfig
from trainable.training.trainer import Trainer

MIB = 2**20
CONFIG = TrainingConfig(total_steps=100, batch_size=128)


class MadeUpCard(Card):
    """Tensors take `fixed` MiB, a step 10 more for each image at once, an evaluation 1 for each of a part of 500."""

    device = "cpu"
    TOTAL = 8192 * MIB

    def __init__(self, fixed: int = 100):
        self.fixed, self._limit, self._peak = fixed, self.TOTAL, 0
        self.released = 0

    def is_there(self) -> bool:
        return True

    def name(self) -> str:
        return "Made-Up 8"

    def total_bytes(self) -> int:
        return self.TOTAL

    def limit(self, fraction: float) -> None:
        self._limit = round(fraction * self.TOTAL)

    def restart_peak(self) -> None:
        self._peak = 0

    def peak_bytes(self) -> int:
        return self._peak

    def release(self) -> None:
        self.released += 1

    def take(self, mib: int) -> None:
        self._peak = max(self._peak, (self.fixed + mib) * MIB)
        if self._peak > self._limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> MadeUpCard:
    card = MadeUpCard()

    class Watched(Trainer):
        def train(self, *args: object) -> float:  # type: ignore[override]
            card.take(10 * self.micro_batch)
            return super().train(*args)  # type: ignore[arg-type]

        def sample(self, *args: object, **kwargs: object) -> Tensor:  # type: ignore[override]
            card.take(self.part_of(500))
            return super().sample(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(trainable.gpu.memory_probe, "Trainer", Watched)
    return card


def probe(
    assets: Assets,
    card: Card,
    share: float,
    config: TrainingConfig = CONFIG,
    micro_batch: int | None = None,
    known: MemoryProbe | None = None,
) -> MemoryProbe:
    return measure(
        assets=assets,
        network=FilmMlp(width=8, depth=1),
        training=config,
        num_samples=50,
        schedule=PRESETS["ict"].schedule,
        micro_batch=micro_batch,
        share=share,
        card=card,
        known=known,
    )


def test_a_slice_that_is_enough_is_measured_once(digits_assets: Assets, card: MadeUpCard) -> None:
    found = probe(digits_assets, card, 0.5)
    assert found.fits
    assert found.peaks == (Peak(micro_batch=128, step=1380 * MIB, evaluation=600 * MIB),)
    assert (found.card, found.total_bytes) == ("Made-Up 8", card.TOTAL)
    assert found.usable_bytes == card.TOTAL // 2 - CONTEXT_BYTES
    assert card.released == 1


def test_what_is_known_of_such_a_card_is_not_measured_again(digits_assets: Assets, card: MadeUpCard) -> None:
    known = probe(digits_assets, card, 0.5)
    assert MemoryProbe.from_dict(json.loads(json.dumps(asdict(known)))) == known
    assert probe(digits_assets, card, 0.5, known=known) is known
    assert card.released == 1
    for other in (replace(known, card="Made-Up 9"), replace(known, total_bytes=1)):
        assert probe(digits_assets, card, 0.5, known=other) == known
    assert card.released == 3


def test_one_that_is_too_small_is_measured_where_it_is_enough_and_once_below(
    digits_assets: Assets, card: MadeUpCard
) -> None:
    found = probe(digits_assets, card, 0.2)  # 870 MiB
    assert not found.fits
    assert found.wanted == 128
    assert [(peak.micro_batch, peak.step // MIB) for peak in found.peaks] == [(64, 740), (32, 420)]
    assert card.released == 3


def test_one_image_that_fits_is_told_alone(digits_assets: Assets, card: MadeUpCard) -> None:
    card.fixed = 855
    found = probe(digits_assets, card, 0.2)
    assert [peak.micro_batch for peak in found.peaks] == [1]


def test_nothing_that_fits_is_an_answer_too(digits_assets: Assets, card: MadeUpCard) -> None:
    card.fixed = 2000
    found = probe(digits_assets, card, 0.2)
    assert (found.fits, found.peaks) == (False, ())


def test_what_is_wanted_is_the_micro_batch_of_the_search_or_a_half_of_the_batch(
    digits_assets: Assets, card: MadeUpCard
) -> None:
    assert probe(digits_assets, card, 0.5, micro_batch=16).wanted == 16
    halves = replace(CONFIG, optimizer_strategy=GradientNoiseScale())
    assert probe(digits_assets, card, 0.5, halves).peaks[0].micro_batch == 64


def test_without_a_card_nothing_is_tried(digits_assets: Assets) -> None:
    class NoCard(Card):
        def is_there(self) -> bool:
            return False

    assert probe(digits_assets, NoCard(), 0.5).card is None


def test_other_errors_are_not_about_memory(digits_assets: Assets, card: MadeUpCard) -> None:
    with pytest.raises(ValueError, match="leaves nothing beside"):
        probe(digits_assets, card, 1 / 48)
    bad = replace(digits_assets, images_NCHW=digits_assets.images_NCHW[:, :, :3])
    with pytest.raises(RuntimeError, match=r"shape|size"):
        probe(bad, card, 0.5)
