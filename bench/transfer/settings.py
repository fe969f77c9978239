"""The settings that schedules are trained in: cheap ones, which a search could use, and those they stand for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search.file.spec import SearchSpec, spec_of
from search.file.yaml12 import Document
from trainable.extractor import EXTRACTORS, Extractor

# As in searches/digits.yaml.
TRAINING: Mapping[str, Any] = {"batch_size": 128, "lr_decay_start": 0.0, "lr_final_fraction": 0.05}
NUM_RUNGS = 4  # steps at which a trial is measured, evenly spaced
SEEDS = (0, 1)
# Of two network evaluations: iCT's for CIFAR-10, Song & Dhariwal 2023 (arXiv:2310.14189).
SECOND_LEVEL = 0.821

# A classifier of another build than the objective's, for each data set, and the pixels themselves.
OTHER_FEATURES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "digits": (
        {
            "name": "strided_cnn",
            "width": 32,
            "epochs": 40,
            "learning_rate": 0.01,
            "min_accuracy": 0.95,
        },
        {"name": "pixels"},
    ),
    "fashion_mnist": (
        {
            "name": "strided_cnn",
            "width": 16,
            "epochs": 4,
            "batch_size": 128,
            "learning_rate": 0.003,
            "min_accuracy": 0.83,
        },
        {"name": "pixels"},
    ),
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A network, a budget and a data set.

    name: of its table. text: as the page calls it. seconds: CPU seconds of one trial, about: what the order of the
    work goes by. is_target: whether it stands for the real thing; the others are proxies.
    """

    name: str
    text: str
    seconds: float
    network: Mapping[str, Any]
    total_steps: int = 2000
    data: str = "digits"
    training: Mapping[str, Any] = field(default_factory=dict)
    is_target: bool = False

    @property
    def spec(self) -> SearchSpec:
        """The search whose trials are trained."""
        training = {**TRAINING, **self.training, "total_steps": self.total_steps}
        search = {"name": self.name, "data": self.data, "network": dict(self.network), "training": training}
        return spec_of(Document(self.name, search, {}))

    @property
    def steps(self) -> tuple[int, ...]:
        """At which a trial is measured; the last is the full budget."""
        return tuple(round(self.total_steps * i / NUM_RUNGS) for i in range(1, NUM_RUNGS + 1))

    @property
    def other_features(self) -> tuple[Extractor, ...]:
        """Feature networks besides the objective's."""
        return tuple(EXTRACTORS.build(options) for options in OTHER_FEATURES[self.data])


_FILM_MLP = {"name": "film_mlp"}
_FAST_WAVES = {"name": "film_mlp", "width": 128, "depth": 3, "noise_band": [0.04, 2.5]}
_SMALL_UNET = {"name": "small_unet"}

SETTINGS = (
    Setting(name="film_mlp_2000", text="film_mlp 96x2, 2,000 steps", seconds=6, network=_FILM_MLP),
    Setting(name="mlp_2000", text="mlp 256x2, 2,000 steps", seconds=8, network={"name": "mlp"}),
    Setting(
        name="fast_waves_1000",
        text="film_mlp 128x3 with fast waves, 1,000 steps",
        seconds=5,
        network=_FAST_WAVES,
        total_steps=1000,
    ),
    Setting(
        name="film_mlp_8000",
        text="film_mlp 96x2, 8,000 steps",
        seconds=20,
        network=_FILM_MLP,
        total_steps=8000,
        is_target=True,
    ),
    Setting(
        name="small_unet_500",
        text="small_unet, 500 steps",
        seconds=9,
        network=_SMALL_UNET,
        total_steps=500,
    ),
    Setting(name="small_unet_2000", text="small_unet, 2,000 steps", seconds=36, network=_SMALL_UNET),
    Setting(
        name="unet_16_32_2000",
        text="U-Net 16, 32, 2,000 steps",
        seconds=110,
        network={"name": "unet", "channels": [16, 32]},
        is_target=True,
    ),
    Setting(
        name="fashion_film_mlp_2000",
        text="Fashion-MNIST, film_mlp 256x3, 2,000 steps",
        seconds=40,
        network={"name": "film_mlp", "width": 256, "depth": 3},
        data="fashion_mnist",
    ),
    Setting(
        name="fashion_small_unet_1000",
        text="Fashion-MNIST, small_unet 16, 32, 32, 1,000 steps of 64 images",
        seconds=85,
        network={**_SMALL_UNET, "channels": [16, 32, 32]},
        total_steps=1000,
        data="fashion_mnist",
        training={"batch_size": 64},
        is_target=True,
    ),
)
