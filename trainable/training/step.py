"""One optimizer step of consistency training: a function of its state, a batch and a seed."""

import hashlib
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainable.dataset import model_input
from trainable.optimizer_strategy import OptimizerStrategy
from trainable.training.accumulation import accumulate_gradient
from trainable.training.consistency import LevelTables, NetworkFunction
from trainable.training.coupling import nearest_noise
from trainable.training.flat_parameters import flatten_gradients, flatten_parameters, num_parameters
from trainable.training.radam import radam_
from trainable.training.uncertainty import Weighed, learn_, weigh_

_ALIGNED = 16  # floats: what the bits of a dot product depend on, with MKL
_VECTORS = ("parameters_P", "gradient_P", "ema_P", "m_P", "v_P")


def stream_seed(stream: str, *key: int) -> int:
    """A seed for one purpose at one place, so that no two draws of a search share random numbers by design."""
    text = "/".join([stream, *map(str, key)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1  # int64, as torch wants it


@dataclass(frozen=True)
class Batch:
    """What a step is given: images, their noise (the same for both levels), quantiles of their levels."""

    x_BCHW: Tensor
    z_BCHW: Tensor
    u_B: Tensor  # float64, in [0, 1)

    @classmethod
    def empty(cls, batch_size: int, image_shape: tuple[int, ...], device: torch.device) -> "Batch":
        """Zeros, to be filled with `draw_`."""
        x_BCHW = torch.zeros((batch_size, *image_shape), device=device)
        return cls(
            x_BCHW, torch.zeros_like(x_BCHW), torch.zeros(batch_size, dtype=torch.float64, device=device)
        )

    def draw_(
        self,
        images_NCHW: Tensor,
        seed: int,
        step: int,
        stratified: bool,
        generator: torch.Generator,
        flips: bool = False,
        nearest: bool = False,
    ) -> None:
        """Fill with the batch of `step`: a pure function of (seed, step), on one kind of device.

        Images are drawn with replacement. Stratified, image j gets u_j = (j + U_j)/B; images are in random order, so
        the pairing of images and levels is random as well. flips: every second image, at random, is turned left to
        right. nearest: images get the noise that is near them (`nearest_noise`), levels stay as they were drawn. Images
        that are too many for the device may lie elsewhere.
        """
        generator.manual_seed(stream_seed("batch", seed, step))
        batch_size, device = len(self.u_B), self.u_B.device
        index_B = torch.randint(len(images_NCHW), (batch_size,), generator=generator, device=device)
        self.u_B.uniform_(generator=generator)
        if stratified:
            self.u_B.add_(torch.arange(batch_size, device=device)).div_(batch_size)
        self.z_BCHW.normal_(generator=generator)
        drawn_BCHW = images_NCHW.index_select(0, index_B.to(images_NCHW.device)).to(device)
        self.x_BCHW.copy_(model_input(drawn_BCHW))
        if flips:
            flip_B = torch.rand(batch_size, generator=generator, device=device) < 0.5
            self.x_BCHW.copy_(torch.where(flip_B[:, None, None, None], self.x_BCHW.flip(3), self.x_BCHW))
        if nearest:
            self.z_BCHW.copy_(nearest_noise(self.x_BCHW, self.z_BCHW))


@dataclass(frozen=True)
class TrainingState:
    """All that a step changes. parameters_P and gradient_P are what the network's parameters are views of.

    m_P, v_P: RAdam's moments. loss_sum: float64, of the steps since it was last set to zero.
    sums_M2: float64, per interval the number of images and the sum of their squared losses since it was last
    set to zero; None: not wanted. half_P, noise_2: see `OptimizerStrategy.measured_factor`; None where it has none.
    others_EP: averages with other horizons; None: there are none. uncertainty_3F: see `uncertainty.begun`; None: the
    weight is not learned.
    Of several trials at once, each tensor has one more axis in front, and there are none of sums_M2, others_EP,
    uncertainty_3F.
    """

    parameters_P: Tensor
    gradient_P: Tensor
    ema_P: Tensor
    m_P: Tensor
    v_P: Tensor
    loss_sum: Tensor
    sums_M2: Tensor | None = None
    half_P: Tensor | None = None
    noise_2: Tensor | None = None
    others_EP: Tensor | None = None
    uncertainty_3F: Tensor | None = None

    @classmethod
    def of(
        cls,
        module: nn.Module,
        ema_module: nn.Module,
        device: torch.device,
        halves: bool,
        place: "TrainingState | None" = None,
        num_others: int = 0,
    ) -> "TrainingState":
        """From the network and its average, whose parameters become views of this; the rest is zero.

        halves: whether the optimizer strategy compares the halves of each batch. place: where it is to lie, zero; None:
        anywhere. num_others: averages besides.
        """
        if place is None:
            place = cls.zeros((num_parameters(module),), device, halves)
        channels_last = device.type == "cuda"
        flatten_parameters(module, device, channels_last, place.parameters_P)
        flatten_gradients(module, channels_last, place.gradient_P)
        flatten_parameters(ema_module, device, channels_last, place.ema_P)
        return replace(place, others_EP=place.ema_P.repeat(num_others, 1)) if num_others else place

    @classmethod
    def zeros(cls, shape: tuple[int, ...], device: torch.device, halves: bool) -> "TrainingState":
        """shape: (P,), or (T, P) of T trials, each of which begins in memory as a tensor of its own would."""
        *front, num = shape
        room = math.ceil(num / _ALIGNED) * _ALIGNED

        def vector() -> Tensor:
            return torch.zeros((*front, room), device=device)[..., :num]

        def scalars(*last: int) -> Tensor:
            return torch.zeros((*front, *last), dtype=torch.float64, device=device)

        measured = {"half_P": vector(), "noise_2": scalars(2)} if halves else {}
        return cls(**{name: vector() for name in _VECTORS}, loss_sum=scalars(), **measured)

    def of_trial(self, index: int) -> "TrainingState":
        """Of several trials, the part of one: views."""
        present = {name: tensor for name, tensor in vars(self).items() if tensor is not None}
        return TrainingState(**{name: tensor[index] for name, tensor in present.items()})

    def restart_(self) -> None:
        """As before the first step, with the parameters as they are."""
        for average in (self.ema_P, self.others_EP):
            if average is not None:
                average.copy_(self.parameters_P)
        for tensor in (self.m_P, self.v_P, self.loss_sum, self.noise_2, self.sums_M2, self.uncertainty_3F):
            if tensor is not None:
                tensor.zero_()

    def saved(self) -> dict[str, Tensor]:
        """The tensors that decide the next step but for sums_M2; the gradient is made anew in each."""
        names = ("parameters_P", "ema_P", "m_P", "v_P", "loss_sum")
        more = {name: getattr(self, name) for name in ("noise_2", "others_EP", "uncertainty_3F")}
        present = {name: tensor for name, tensor in more.items() if tensor is not None}
        return {name: getattr(self, name) for name in names} | present


class StepTensors(NamedTuple):
    """Of one trial, what `training_step` is given."""

    state: TrainingState
    batch: Batch
    levels: LevelTables
    factors_F: Tensor
    loss_3: Tensor


def training_step(
    network: NetworkFunction,
    state: TrainingState,
    batch: Batch,
    levels: LevelTables,
    factors_F: Tensor,
    loss_3: Tensor,
    strategy: OptimizerStrategy,
    micro_batch: int,
) -> None:
    """One optimiser step, in place.

    factors_F: RAdam's adaptive and plain factor, weight of the EMA and of each other one; 1 - beta1 where it is not
    RAdam's own.
    loss_3: see `loss_tensors`.
    micro_batch: images that go through the network at once; the step is that of the whole batch all the same.
    """
    drawn = drawn_levels(state, batch, levels)
    loss_B = gradient_(network, state, batch.x_BCHW, batch.z_BCHW, drawn.levels_BL, loss_3, micro_batch)
    update_(state, factors_F, learned_(state, drawn, loss_B, factors_F), strategy)
    count_losses_(state, drawn.index_B, loss_B)


class Drawn(NamedTuple):
    """The intervals of a batch and their rows of the level tables. weighed: by a weight that is learned, else None."""

    index_B: Tensor
    levels_BL: Tensor
    weighed: Weighed | None


def drawn_levels(state: TrainingState, batch: Batch, levels: LevelTables) -> Drawn:
    """Of one trial."""
    index_B = levels.draw(batch.u_B)
    levels_BL = levels.table_ML.index_select(0, index_B)
    weighed = None
    if state.uncertainty_3F is not None:
        weighed = weigh_(levels_BL, state.uncertainty_3F, math.prod(batch.x_BCHW.shape[1:]))
    return Drawn(index_B, levels_BL, weighed)


def learned_(state: TrainingState, drawn: Drawn, loss_B: Tensor, factors_F: Tensor) -> Tensor:
    """What was minimised of each image of one trial; a weight that is learned has learned from it."""
    if drawn.weighed is None or state.uncertainty_3F is None:
        return loss_B
    more = factors_F[3 + (0 if state.others_EP is None else len(state.others_EP)) :]
    return learn_(state.uncertainty_3F, drawn.weighed, loss_B, factors_F[0], *more)


def gradient_(
    network: NetworkFunction,
    state: TrainingState,
    x_BCHW: Tensor,
    z_BCHW: Tensor,
    levels_BL: Tensor,
    loss_3: Tensor,
    micro_batch: int,
) -> Tensor:
    """The loss of each image, (B,); sets the gradient of their mean, and half_P where there is one.

    All tensors may have one more axis in front, of trials, which `network` takes then; loss_3 is then (T, 1, 3).
    """
    state.gradient_P.zero_()

    def backward(share: slice) -> Tensor:
        images = x_BCHW[..., share, :, :, :], z_BCHW[..., share, :, :, :], levels_BL[..., share, :]
        return accumulate_gradient(network, *images, loss_3, levels_BL.shape[-2], micro_batch)

    if state.half_P is None:
        return backward(slice(None))
    even = backward(slice(0, None, 2))
    state.half_P.copy_(state.gradient_P)
    return torch.stack([even, backward(slice(1, None, 2))], dim=-1).flatten(-2)


def update_(state: TrainingState, factors_F: Tensor, loss_B: Tensor, strategy: OptimizerStrategy) -> None:
    """Parameters and averages follow the gradient.

    Of several trials at once, factors_F is (T, 1, F), and the strategy has no `measured_factor`.
    """
    adaptive, plain, ema_weight, *more = factors_F.unbind(-1)
    num_others = 0 if state.others_EP is None else len(state.others_EP)
    if state.half_P is not None and state.noise_2 is not None:
        factor = strategy.measured_factor(state.noise_2, state.gradient_P, state.half_P, len(loss_B))
        adaptive, plain = adaptive * factor, plain * factor
    radam_(state.parameters_P, state.gradient_P, state.m_P, state.v_P, adaptive, plain, *more[num_others:])
    state.ema_P.lerp_(state.parameters_P, ema_weight)
    if state.others_EP is not None:
        state.others_EP.lerp_(state.parameters_P, factors_F[3 : 3 + num_others, None])
    state.loss_sum.add_(loss_B.mean(-1))


def count_losses_(state: TrainingState, index_B: Tensor, loss_B: Tensor) -> None:
    """Add the batch to the sums of its intervals index_B, where these are wanted."""
    if state.sums_M2 is not None:
        squares_B = loss_B.double().square()
        state.sums_M2.index_add_(0, index_B, torch.stack([torch.ones_like(squares_B), squares_B], dim=1))
