"""A small convolutional classifier whose last hidden layer gives the features.

Trained with a generator of its own and on one thread: the same machine gives the same bits,
whatever else draws random numbers and however many threads there are. Axes: B images, C channels,
H height, W width, D features, K classes.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spaces.registry import name_of
from trainable.dataset import Images, model_input
from trainable.extractor import Extractor, Suits, Weights
from trainable.metric.cache import cached

logger = logging.getLogger(__name__)

NUM_FEATURES = 64
HELD_OUT = 5  # one in so many images is kept from training where the data set has no test split


class ClassifierModule(nn.Module):
    """(B, C, H, W) -> features (B, 64); `scores` makes class scores of those."""

    scores: nn.Linear


class ClassifierNetwork(ClassifierModule):
    """Two 3x3 convolutions, each halving the image, a hidden layer of 64 features, class scores."""

    def __init__(self, image_shape: tuple[int, int, int], width: int, num_classes: int):
        super().__init__()
        channels, height, image_width = image_shape
        flat = 2 * width * ((height + 3) // 4) * ((image_width + 3) // 4)
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * width)
        # No normalisation and no label smoothing here: on digits either made the distance less
        # sensitive, by half for a Gaussian fitted to the pixels, in units of the noise floor.
        self.hidden = nn.Linear(flat, NUM_FEATURES)
        self.scores = nn.Linear(NUM_FEATURES, num_classes)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features (B, 64)."""
        x_BCHW = F.max_pool2d(F.relu(self.norm1(self.conv1(x_BCHW))), 2, ceil_mode=True)
        x_BCHW = F.max_pool2d(F.relu(self.norm2(self.conv2(x_BCHW))), 2, ceil_mode=True)
        return F.relu(self.hidden(x_BCHW.flatten(1)))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order: several threads would split the weight gradients differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, kw_only=True)
class Classifier(Extractor):
    """Base of the classifiers: a concrete one names its data set and sets defaults for it."""

    width: int = 16
    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 3e-3
    min_accuracy: float = 0.9  # on held-out images; a worse network measures nothing and is refused

    SEED: ClassVar[int] = 0
    # Built from an image's shape, `width` and the number of classes; its `scores` take its features.

    def __post_init__(self) -> None:
        for name in ("width", "epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name} > 0` must hold, but got {name}={getattr(self, name)}")
        if not 0 <= self.min_accuracy <= 1:
            raise ValueError(f"`0 <= min_accuracy <= 1` must hold, but got min_accuracy={self.min_accuracy}")

    def module(self, image_shape: tuple[int, int, int], num_classes: int) -> ClassifierModule:
        """The network to train; its weights do not matter."""
        return ClassifierNetwork(image_shape, self.width, num_classes)

    def network(self, image_shape: tuple[int, int, int], state: dict[str, Tensor]) -> nn.Module:
        with torch.device("meta"):  # no memory, no random numbers: all comes from `state`
            net = self.module(image_shape, len(state["scores.bias"]))
        net.load_state_dict(state, assign=True)
        return net.eval().requires_grad_(False)

    def suits(self, image_shape: tuple[int, int, int], has_labels: bool) -> Suits:
        if has_labels:
            return Suits(True, "learns from the labels that there are")
        return Suits(False, "learns from labels, but there are none")

    def weights(self, images: Images, cache_dir: Path) -> Weights:
        name = name_of(self)
        if self.DATA is not None and images.name != self.DATA:
            raise ValueError(
                f"Feature network '{name}' is for data set '{self.DATA}', but the data set is "
                f"'{images.name}'. Use small_cnn (any labelled data set) or pixels (any)."
            )
        self.check_suits(images.image_shape, images.y_N is not None)
        # The threshold decides whether the network is used, not what it is.
        options = {key: value for key, value in asdict(self).items() if key != "min_accuracy"}
        key = {"format": 1, "options": options, "seed": self.SEED, "data_sha256": images.sha256}
        entry = cached(cache_dir / "extractors", name, key, lambda: self._train(images))
        accuracy = float(entry.info["accuracy"])
        if accuracy < self.min_accuracy:
            raise ValueError(
                f"Feature network '{name}' must reach accuracy {self.min_accuracy:g} on held-out images "
                f"of '{images.name}', but reached {accuracy:.4f}. Raise `epochs` or `width`."
            )
        return Weights(entry.tensors, entry.sha256, accuracy)

    def _train(self, images: Images) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Cross-entropy, AdamW, one-cycle learning rate. On the CPU, so that it repeats exactly."""
        assert images.y_N is not None
        generator = torch.Generator().manual_seed(self.SEED)
        x_NCHW, y_N, test_x_NCHW, test_y_N = images.x_NCHW, images.y_N, images.test_x_NCHW, images.test_y_N
        learnt_N = torch.arange(
            len(x_NCHW)
        )  # numbers, not copies: the images may be more than the memory holds
        if test_x_NCHW is None or test_y_N is None:
            order_N = torch.randperm(len(x_NCHW), generator=generator)
            num_held_out = -(-len(x_NCHW) // HELD_OUT)
            held_out, learnt_N = order_N[:num_held_out], order_N[num_held_out:]
            test_x_NCHW, test_y_N = x_NCHW[held_out], y_N[held_out]
        if len(learnt_N) < self.batch_size:
            raise ValueError(
                f"`batch_size <= {len(learnt_N)}`, the number of images to train on, must hold, but got "
                f"batch_size={self.batch_size}"
            )
        num_classes = int(images.y_N.max()) + 1
        with torch.device("meta"):
            net = self.module(images.image_shape, num_classes)
        net.to_empty(device="cpu")
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        steps_per_epoch = len(learnt_N) // self.batch_size
        optimizer = torch.optim.AdamW(net.parameters(), lr=self.learning_rate, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.learning_rate, total_steps=self.epochs * steps_per_epoch
        )
        logger.info("Training feature network '%s' on %d images", name_of(self), len(learnt_N))
        start = time.perf_counter()
        with _one_thread():
            net.train()
            for _ in range(self.epochs):
                order_N = learnt_N[torch.randperm(len(learnt_N), generator=generator)]
                for step in range(steps_per_epoch):
                    batch = order_N[step * self.batch_size : (step + 1) * self.batch_size]
                    scores_BK = net.scores(net(model_input(x_NCHW[batch])))
                    loss = F.cross_entropy(scores_BK, y_N[batch])
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    optimizer.step()
                    schedule.step()
            net.eval()
            with torch.inference_mode():
                num_right = sum(
                    int((net.scores(net(model_input(x_BCHW))).argmax(dim=1) == y_B).sum())
                    for x_BCHW, y_B in zip(test_x_NCHW.split(500), test_y_N.split(500), strict=True)
                )
        info = {
            "accuracy": num_right / len(test_y_N),
            "held_out_images": len(test_y_N),
            "train_seconds": round(time.perf_counter() - start, 2),
            "torch": torch.__version__,
        }
        return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}, info
