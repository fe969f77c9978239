"""A small convolutional classifier whose last hidden layer gives the features: the network and its training.

Trained with a generator of its own and on one thread: the same machine gives the same bits,
whatever else draws random numbers and however many threads there are. Axes: B images, C channels,
H height, W width, D features, K classes.
"""

import logging
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainable.dataset import Images, model_input
from trainable.metric.cache import Made
from trainable.threads import on_threads

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
        x_BCHW = self._halved(F.relu(self.norm1(self.conv1(x_BCHW))))
        x_BCHW = self._halved(F.relu(self.norm2(self.conv2(x_BCHW))))
        return F.relu(self.hidden(x_BCHW.flatten(1)))

    def _halved(self, x_BCHW: Tensor) -> Tensor:
        """The largest of each 2x2 pixels, fewer at an odd edge, from values >= 0.

        What is trained goes through max_pool2d, whose gradient at equal values is its own. Else slices have the same
        values in a tenth of its time on a CPU.
        """
        if self.training:
            return F.max_pool2d(x_BCHW, 2, ceil_mode=True)
        height, width = x_BCHW.shape[2:]
        x_BCHW = F.pad(x_BCHW, (0, width % 2, 0, height % 2))
        rows = torch.maximum(x_BCHW[:, :, ::2], x_BCHW[:, :, 1::2])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


def with_state(module: Callable[[], nn.Module], state: dict[str, Tensor]) -> nn.Module:
    """The network with these weights, in evaluation mode."""
    with torch.device("meta"):  # no memory, no random numbers: all comes from `state`
        net = module()
    net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False)


def trained(
    module: Callable[[int], ClassifierModule],
    images: Images,
    name: str,
    *,
    seed: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
) -> Made:
    """Cross-entropy, AdamW, one-cycle learning rate. On the CPU, so that it repeats exactly.

    module: the network for so many classes. name: of the feature network.
    """
    assert images.y_N is not None
    generator = torch.Generator().manual_seed(seed)
    x_NCHW, y_N, test_x_NCHW, test_y_N = images.x_NCHW, images.y_N, images.test_x_NCHW, images.test_y_N
    learnt_N = torch.arange(len(x_NCHW))  # numbers, not copies: the images may be more than the memory holds
    if test_x_NCHW is None or test_y_N is None:
        order_N = torch.randperm(len(x_NCHW), generator=generator)
        num_held_out = -(-len(x_NCHW) // HELD_OUT)
        held_out, learnt_N = order_N[:num_held_out], order_N[num_held_out:]
        test_x_NCHW, test_y_N = x_NCHW[held_out], y_N[held_out]
    if len(learnt_N) < batch_size:
        raise ValueError(
            f"`batch_size <= {len(learnt_N)}`, the number of images to train on, must hold, but got "
            f"batch_size={batch_size}"
        )
    num_classes = int(images.y_N.max()) + 1
    with torch.device("meta"):
        net = module(num_classes)
    net.to_empty(device="cpu")
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
    steps_per_epoch = len(learnt_N) // batch_size
    optimizer = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * steps_per_epoch
    )
    logger.info("Training feature network '%s' on %d images", name, len(learnt_N))
    start = time.perf_counter()
    with on_threads(1):  # sums in one order: several threads would split the weight gradients differently
        net.train()
        for _ in range(epochs):
            order_N = learnt_N[torch.randperm(len(learnt_N), generator=generator)]
            for step in range(steps_per_epoch):
                batch = order_N[step * batch_size : (step + 1) * batch_size]
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
    return {key: tensor.detach().clone() for key, tensor in net.state_dict().items()}, info
