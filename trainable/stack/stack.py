"""Trials that are trained together: each with schedule, seed, step and random numbers of its own.

A trial is a `Trainer` as ever, whose state is a part of the stack's: it begins, is sampled, saved and loaded by itself.
Only the step is made for all that take part in it, and gives each what it would have got alone: on the CPU the same
bits (but for products of less than 400 multiplications, which no trial has), elsewhere up to the rounding of sums.
Nothing of one trial enters another, so one that diverges spoils itself only.

Axes: T trials, B images in a batch, P parameters, F factors of a step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from trainable.network import Network
from trainable.stack.networks import stacked
from trainable.training.config import TrainingConfig
from trainable.training.flat_parameters import num_parameters
from trainable.training.step import (
    StepTensors,
    TrainingState,
    count_losses_,
    drawn_levels,
    gradient_,
    learned_,
    update_,
)
from trainable.training.trainer import Trainer, on_device


class Stack:
    """Places for `size` trials of one network and one config, on one device.

    together: whether averages and optimiser are one operation for all trials too. None: where that is quicker: on a CPU
    the state of one trial after another stays in the cache.
    """

    def __init__(
        self,
        network: Network,
        images_NCHW: Tensor,
        config: TrainingConfig,
        device: str | torch.device = "cpu",
        *,
        size: int,
        together: bool | None = None,
    ):
        self._device = torch.device(device)
        channels, height, width = images_NCHW.shape[1:]
        with torch.random.fork_rng(devices=[]):
            module = network.build((channels, height, width))
        halves = config.optimizer_strategy.uses_halves
        self._state = TrainingState.zeros((size, num_parameters(module)), self._device, halves)
        self._network = stacked(module, self._device)
        self._config = config
        self._together = not halves and (self._device.type != "cpu" if together is None else together)
        # On the device once, not once for each trainer.
        self._images_NCHW = on_device(images_NCHW, self._device)
        self._made = network
        self._trainers: dict[int, Trainer] = {}
        self._graph: tuple[tuple[int, ...], torch.cuda.CUDAGraph] | None = None

    @property
    def size(self) -> int:
        """T."""
        return len(self._state.parameters_P)

    def trainer(self, place: int) -> Trainer:
        """Of the trial at that place."""
        if place not in self._trainers:
            state = self._state.of_trial(place)
            self._trainers[place] = Trainer(
                self._made, self._images_NCHW, self._config, self._device, place=state
            )
        return self._trainers[place]

    def train(
        self, until: Mapping[int, int], should_pause: Callable[[], bool] = lambda: False
    ) -> dict[int, float]:
        """Train the trials at these places until the first of them is at its step, or is spoilt, or `should_pause()`.

        until: by place, the step, which must lie ahead. All must have begun with the same `micro_batch`. What
        `Trainer.train` returns, by place.
        """
        places = sorted(until)
        trainers = [self.trainer(place) for place in places]
        is_over = False
        while not is_over:
            for trainer in trainers:
                trainer.before_step()
            self._step(places)
            for trainer in trainers:
                trainer.after_step()
            at_step = any(
                trainer.step >= until[place] for place, trainer in zip(places, trainers, strict=True)
            )
            is_over = at_step or should_pause() or any([trainer.is_spoilt() for trainer in trainers])
        return {place: trainer.trained(until[place]) for place, trainer in zip(places, trainers, strict=True)}

    def _step(self, places: Sequence[int]) -> None:
        tensors = [self.trainer(place).step_tensors for place in places]
        micro_batch = self.trainer(places[0]).micro_batch
        if self._config.cuda_graph and len(places) == self.size:
            self._captured(tensors, micro_batch).replay()
        else:
            self._joint_step(places, tensors, micro_batch)

    def _joint_step(self, places: Sequence[int], tensors: Sequence[StepTensors], micro_batch: int) -> None:
        """One step of each, in place."""
        is_all = len(places) == self.size
        part = self._state if is_all else self._picked(places)
        self._network.bind(part.parameters_P, part.gradient_P)
        drawn = [drawn_levels(each.state, each.batch, each.levels) for each in tensors]
        loss_TB = gradient_(
            self.trainer(places[0]).in_precision(self._network),
            part,
            torch.stack([each.batch.x_BCHW for each in tensors]),
            torch.stack([each.batch.z_BCHW for each in tensors]),
            torch.stack([of.levels_BL for of in drawn]),
            torch.stack([each.loss_3 for each in tensors])[:, None],
            micro_batch,
        )
        minimised_TB = loss_TB
        if any(of.weighed is not None for of in drawn):
            minimised = (
                learned_(each.state, of, loss_B, each.factors_F)
                for each, of, loss_B in zip(tensors, drawn, loss_TB, strict=True)
            )
            minimised_TB = torch.stack(list(minimised))
        if self._together:
            factors_T1F = torch.stack([each.factors_F for each in tensors])[:, None]
            update_(part, factors_T1F, minimised_TB, self._config.optimizer_strategy)
            if not is_all:
                self._put_back(places, part)
        else:
            for number, each in enumerate(tensors):
                if not is_all:
                    _take_gradient(each.state, part, number)
                update_(each.state, each.factors_F, minimised_TB[number], self._config.optimizer_strategy)
        for each, of, loss_B in zip(tensors, drawn, loss_TB, strict=True):
            count_losses_(each.state, of.index_B, loss_B)

    def _picked(self, places: Sequence[int]) -> TrainingState:
        """A copy of what a step of some trials needs."""
        names = ["parameters_P", "gradient_P", "half_P"]
        if self._together:
            names += ["ema_P", "m_P", "v_P", "loss_sum"]
        index_T = torch.tensor(places, device=self._device)
        whole = {name: getattr(self._state, name) for name in names}
        return replace(
            self._state,
            **{name: each.index_select(0, index_T) for name, each in whole.items() if each is not None},
        )

    def _put_back(self, places: Sequence[int], part: TrainingState) -> None:
        index_T = torch.tensor(places, device=self._device)
        for name in ("parameters_P", "ema_P", "m_P", "v_P", "loss_sum"):
            getattr(self._state, name).index_copy_(0, index_T, getattr(part, name))

    def _captured(self, tensors: Sequence[StepTensors], micro_batch: int) -> torch.cuda.CUDAGraph:
        """The step of all trials in a CUDA graph; anew where a trial has its level tables elsewhere by now."""
        places = range(self.size)
        lies_at = [each.levels.table_ML.data_ptr() for each in tensors]
        own = [tensor for each in tensors for tensor in (each.state.sums_M2, each.state.uncertainty_3F)]
        lies_at += [0 if tensor is None else tensor.data_ptr() for tensor in own]
        key = (micro_batch, *lies_at)
        if self._graph is not None and self._graph[0] == key:
            return self._graph[1]
        self._graph = None
        states = [self._state, *(each.state for each in tensors)]  # the sums of losses are the trials' own
        changed = [tensor for state in states for tensor in vars(state).values() if tensor is not None]
        before = [tensor.clone() for tensor in changed]
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(3):  # as in `Trainer`: what libraries and autograd keep is allocated
                self._joint_step(places, tensors, micro_batch)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._joint_step(places, tensors, micro_batch)
        for tensor, value in zip(changed, before, strict=True):
            tensor.copy_(value)
        self._graph = (key, graph)
        return graph


def _take_gradient(state: TrainingState, part: TrainingState, number: int) -> None:
    state.gradient_P.copy_(part.gradient_P[number])
    if state.half_P is not None and part.half_P is not None:
        state.half_P.copy_(part.half_P[number])
