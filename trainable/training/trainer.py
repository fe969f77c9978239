"""The training loop of one trial at a time, for many trials one after another.

The step is a function of tensors (`training_step`): weights, optimiser state, batch, level tables and the step's
factors go in, all are changed in place. No random numbers are drawn in it, nothing is branched on and nothing
read back, so it can be captured. Everything random at step k is a pure function of (seed, k): an
interrupted trial goes on exactly, and trials with the same seed see the same initial weights, images, noise and
level quantiles u, whatever their schedules (common random numbers).

Axes: B images in a batch, N images of the data set, C channels, H height, W width, P parameters, K steps.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spaces import NoiseSchedule
from spaces.adaptive_noise import AdaptiveNoise
from spaces.arrays import array_of
from trainable.draws import drawing, drawn_alike
from trainable.network import Network, NetworkModule
from trainable.training.adaptation import Adaptation
from trainable.training.buffers import copy_buffers, saved_buffers
from trainable.training.config import TrainingConfig
from trainable.training.consistency import LevelTables, NetworkFunction, loss_tensors, sample
from trainable.training.heun import sample_by_heun
from trainable.training.memory import keep_freed_memory
from trainable.training.step import Batch, StepTensors, TrainingState, stream_seed, training_step
from trainable.training.uncertainty import begun, tabulated

_CHECK_EVERY = 50  # steps between looks at the loss; each look waits for the device
_SAMPLE_BATCH = 500
MOST_DEVICE_BYTES = 2**30  # of images that lie on a GPU; of more, each batch is brought there


def on_device(images_NCHW: Tensor, device: torch.device) -> Tensor:
    """The images where they are drawn from: on the device, if they are no more than MOST_DEVICE_BYTES."""
    return images_NCHW.to(device) if images_NCHW.nbytes <= MOST_DEVICE_BYTES else images_NCHW


class Trainer:
    """Trains trials one after another on one device. Lives for a whole search.

    network: the options of F. images_NCHW: float32 in [-1, 1] or uint8. `begin` must come first. place: where the
    trials' state is to lie, in that of a stack; None: anywhere.
    CPU: bit-exact for a fixed number of threads on one kind of machine, resumed or not.
    CUDA: parameters in channels_last; not bit-exact, as some of cuDNN's sums have no fixed order.
    """

    def __init__(
        self,
        network: Network,
        images_NCHW: Tensor,
        config: TrainingConfig,
        device: str | torch.device = "cpu",
        place: TrainingState | None = None,
    ):
        self.config = config
        # Where sampling starts; None: at the highest level that is trained.
        self.sigma_start: float | None = None
        self._device = torch.device(device)
        if config.cuda_graph and self._device.type != "cuda":
            raise ValueError(f"`cuda_graph` needs a CUDA device, but got {self._device}: leave it out")
        if self._device.type == "cpu":
            keep_freed_memory()
        self._images_NCHW = on_device(images_NCHW, self._device)
        self._image_shape = tuple(images_NCHW.shape[1:])
        channels, height, width = self._image_shape
        # torch's layers draw default weights from the global generator; `begin` draws the real ones.
        with torch.random.fork_rng(devices=[]):
            self._module = network.build((channels, height, width))
            self._ema_module = network.build((channels, height, width)).requires_grad_(False)
        self._ema_module.eval()
        if config.cuda_graph and self._module.draws:
            raise ValueError(
                f"`cuda_graph` cannot capture what a network draws, as dropout does, but {network.title} may draw: "
                "leave it out"
            )
        self._state = TrainingState.of(
            self._module,
            self._ema_module,
            self._device,
            config.optimizer_strategy.uses_halves,
            place,
            len(config.other_ema_horizons),
        )
        self._in_stack = place is not None  # whose step it is that is captured
        self._batch = Batch.empty(config.batch_size, self._image_shape, self._device)
        self._generator = torch.Generator(self._device)
        self._factors_KF = config.factors().float().to(self._device)
        self._factors_F = torch.zeros_like(self._factors_KF[0])
        self._loss_3 = torch.zeros(3, device=self._device)
        self._levels = LevelTables.empty(0, self._device)
        self._step = 0
        self._micro_batch = config.whole_pass
        self._graph: torch.cuda.CUDAGraph | None = None
        options = config.to_dict()
        # As in checkpoints of before there were these options.
        later = {
            "horizontal_flips": False,
            "coupling": "independent",
            "other_ema_horizons": (),
            "best_ema": False,
        }
        for option, usual in later.items():
            if options[option] == usual:
                del options[option]
        # What a checkpoint must agree with, besides schedule and seed.
        self._setting = {
            "config": options,
            "network": network.identity(),
            "images": list(images_NCHW.shape),
            "device": self._device.type,
        }

    @property
    def total_steps(self) -> int:
        """K, the full budget of a trial."""
        return self.config.total_steps

    @property
    def step(self) -> int:
        """Optimiser steps done in this trial."""
        return self._step

    @property
    def micro_batch(self) -> int:
        """Images that a step of this trial takes through the network at once."""
        return self._micro_batch

    def begin(self, schedule: NoiseSchedule, seed: int, micro_batch: int | None = None) -> None:
        """Start a new trial at step 0: initial weights from `seed`, optimiser and averages empty.

        micro_batch: at most so many images at once, None: the config's `whole_pass`. The trial is the same up to
        rounding; so are its samples, which are then drawn in parts as small in proportion.
        """
        self._schedule, self._seed = schedule, seed
        whole = self.config.whole_pass
        at_once = min(micro_batch or whole, whole)
        if at_once != self._micro_batch:
            self._micro_batch, self._graph = at_once, None  # another step
        self._stages = schedule.stages(self.total_steps)
        noise = schedule.noise
        self._adaptation = Adaptation(schedule, noise) if isinstance(noise, AdaptiveNoise) else None
        self._make_room(max(len(stage.probability_M) for stage in self._stages))
        if self.config.cuda_graph and self._graph is None and not self._in_stack:
            self._capture()
        self._module.reset_parameters(torch.Generator().manual_seed(stream_seed("weights", seed)))
        self._state.restart_()
        constants = schedule.loss.constants(math.prod(self._image_shape), self.config.huber_c)
        self._loss_3.copy_(loss_tensors(constants))
        self._step = 0
        self._loss_from_step = 0
        self._enter_stage()

    @torch.no_grad()
    def start_from(self, tensors: Mapping[str, Tensor]) -> None:
        """Have these weights instead of random ones, before the first step. tensors: a `state_dict` of the network."""
        assert self._step == 0
        self._module.load_state_dict(tensors)
        self._state.restart_()

    def train(self, until_step: int, should_pause: Callable[[], bool] | None = None) -> float:
        """Train up to `until_step`, or until `should_pause()` (asked after each step) says so.

        Returns the mean loss since the last call that reached its `until_step`, so that pauses and resumes do not show
        in it. NaN or inf: the trial has diverged; noticed within 50 steps, and training ends there.
        """
        if not self._step <= until_step <= self.total_steps:
            raise ValueError(
                f"`step <= until_step <= total_steps` must hold, but got step={self._step}, "
                f"until_step={until_step}, total_steps={self.total_steps}"
            )
        while self._step < until_step:
            self.before_step()
            if self._graph is not None:
                self._graph.replay()
            elif self._module.draws:
                with self._drawing("dropout", self._step):
                    self._run_step()
            else:
                self._run_step()
            self.after_step()
            if (should_pause is not None and should_pause()) or self.is_spoilt():
                break
        return self.trained(until_step)

    def before_step(self) -> None:
        """Have the tensors of a step ready: its batch, its level tables, its factors."""
        if self._step >= self._stage_end:
            self._enter_stage()
        self._batch.draw_(
            self._images_NCHW,
            self._seed,
            self._step,
            self.config.stratified,
            self._generator,
            self.config.horizontal_flips,
            self.config.coupling == "nearest",
        )
        self._factors_F.copy_(self._factors_KF[self._step])

    @property
    def step_tensors(self) -> StepTensors:
        """What `training_step` is given, after `before_step`."""
        return StepTensors(self._state, self._batch, self._levels, self._factors_F, self._loss_3)

    def after_step(self) -> None:
        """A step was made of these tensors."""
        self._step += 1
        if self._adaptation is not None:
            self._adapt(self._adaptation)

    def is_spoilt(self) -> bool:
        """Whether the loss is not finite any more. Looked at now and then: each look waits for the device."""
        return self._step % _CHECK_EVERY == 0 and not math.isfinite(self._state.loss_sum.item())

    def trained(self, until_step: int) -> float:
        """What `train` returns."""
        num_steps = self._step - self._loss_from_step
        mean_loss = float(self._state.loss_sum.item()) / num_steps if num_steps else 0.0
        # The last update may have spoilt the weights after a finite loss.
        last = (self._state.parameters_P, self._state.uncertainty_3F)
        if not all(bool(tensor.isfinite().all()) for tensor in last if tensor is not None):
            return math.nan
        if self._step == until_step:
            self._state.loss_sum.zero_()
            self._loss_from_step = self._step
        return mean_loss

    @torch.no_grad()
    def sample(self, num_samples: int, seed: int, sigmas: Sequence[float] | None = None) -> Tensor:
        """(num_samples, C, H, W) float32 on the CPU, about in [-1, 1] (not clipped), from the averaged weights.

        One network call from sigma_start, or sigma_max; `sigmas` are further, decreasing levels, one call each. A
        diffusion model is sampled by Heun's method, with a step from each level; without `sigmas` those of its loss.
        The noise is drawn on the CPU: the same seed gives the same noise on every device, for every schedule.
        """
        self.averaged()
        with self._drawing("sampler", seed) if self._module.draws else nullcontext():
            return self._sampled(num_samples, seed, sigmas)

    def _sampled(self, num_samples: int, seed: int, sigmas: Sequence[float] | None) -> Tensor:
        schedule, network = self._schedule, self.in_precision(self._ema_module)
        first, *usual = schedule.sampled_from(self.sigma_start)
        levels = (first, *(usual if sigmas is None else sigmas))
        num_draws = 1 if schedule.loss.DENOISES else len(levels)
        generator = torch.Generator().manual_seed(stream_seed("samples", seed))
        samples = []
        for start in range(0, num_samples, _SAMPLE_BATCH):
            num = min(_SAMPLE_BATCH, num_samples - start)
            z_SBCHW = torch.randn((num_draws, num, *self._image_shape), generator=generator)
            for part_SBCHW in z_SBCHW.split(self.part_of(_SAMPLE_BATCH), dim=1):
                z, sigma_data = part_SBCHW.to(self._device), self.config.sigma_data
                if schedule.loss.DENOISES:
                    x_BCHW = sample_by_heun(network, z[0], levels, sigma_data)
                else:
                    x_BCHW = sample(network, z, levels, schedule.grid.sigma_min, sigma_data)
                samples.append(x_BCHW.float().cpu())
        return torch.cat(samples)

    @contextmanager
    def average_over(self, horizon: float) -> Iterator[None]:
        """Have this one of `config.ema_horizons` for the average, as long as nothing is trained."""
        state, index = self._state, self.config.ema_horizons.index(horizon)
        if index == 0:
            yield
            return
        assert state.others_EP is not None
        usual_P = state.ema_P.clone()
        state.ema_P.copy_(state.others_EP[index - 1])
        try:
            yield
        finally:
            state.ema_P.copy_(usual_P)

    def take_average(self, horizon: float) -> None:
        """Have this one of `config.ema_horizons` for good: only to sample from what is trained."""
        index = self.config.ema_horizons.index(horizon)
        if index and self._state.others_EP is not None:
            self._state.ema_P.copy_(self._state.others_EP[index - 1])

    def averaged(self) -> NetworkModule:
        """The network that is sampled from, on its device; it goes on to change with the training."""
        copy_buffers(self._module, self._ema_module)
        return self._ema_module

    def part_of(self, num_images: int) -> int:
        """The share of `num_images` that a micro-batch is of a whole pass, at least one."""
        return math.ceil(num_images * self._micro_batch / self.config.whole_pass)

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, int | float | str]]:
        """(tensors, scalars): all that decides the rest of the trial, as copies; scalars are JSON values.

        Random numbers and the data position need no entry: they follow from seed and step.
        """
        tensors = {name: tensor.detach().cpu().clone() for name, tensor in self._saved().items()}
        scalars: dict[str, int | float | str] = {
            "step": self._step,
            "loss_from_step": self._loss_from_step,
            **self._identity(),
        }
        return tensors, scalars

    def load_state_dict(self, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, after `begin` with the same schedule and seed.

        Raises ValueError where the checkpoint is of another trial or another setting, or is not complete.
        """
        for name, value in self._identity().items():
            if scalars.get(name) != value:
                raise ValueError(
                    f"The checkpoint is of another trial: its {name} is {scalars.get(name)}, not {value}"
                )
        self._step = int(scalars["step"])
        self._loss_from_step = int(scalars["loss_from_step"])
        for name, tensor in self._saved().items():
            if (
                name not in tensors
                or tensors[name].shape != tensor.shape
                or tensors[name].dtype != tensor.dtype
            ):
                raise ValueError(f"The checkpoint has no tensor '{name}' of shape {tuple(tensor.shape)}")
            tensor.copy_(tensors[name])
        self._enter_stage()

    def found_schedule(self) -> NoiseSchedule:
        """The schedule in force, fixed: what one that adapts has come to, another one itself."""
        schedule = self._schedule if self._adaptation is None else self._adaptation.schedule
        if self._state.uncertainty_3F is None:
            return schedule
        num_values, sigma_data = math.prod(self._image_shape), self.config.sigma_data
        return replace(
            schedule, weight=tabulated(schedule, self._state.uncertainty_3F, num_values, sigma_data)
        )

    def _saved(self) -> dict[str, Tensor]:
        """The tensors that decide the rest of the trial, the trainer's own."""
        saved = self._state.saved() | saved_buffers(self._module)
        if self._adaptation is not None and self._state.sums_M2 is not None:
            # At the end of a stage, before the next one is entered, the sums are empty.
            num_intervals = len(self._stages[self._stage_index()].probability_M)
            saved |= self._adaptation.saved() | {"adaptive_sums_M2": self._state.sums_M2[:num_intervals]}
        return saved

    def _identity(self) -> dict[str, int | str]:
        return {
            "seed": self._seed,
            "schedule": json.dumps(self._schedule.to_dict(), sort_keys=True),
            "setting": json.dumps(self._setting, sort_keys=True),
        }

    def _enter_stage(self) -> None:
        """Make the level tables those of the stage that the current step belongs to."""
        index = self._stage_index()
        self._stage, following = self._stages[index], self._stages[index + 1 :]
        self._stage_end = following[0].start_step if following else self.total_steps
        self._fill_levels()

    def _stage_index(self) -> int:
        return max(i for i, stage in enumerate(self._stages) if stage.start_step <= self._step)

    def _fill_levels(self) -> None:
        """The level tables of the current stage, with the probabilities in force."""
        schedule, stage = self._schedule, self._stage
        if self._adaptation is not None:
            schedule = self._adaptation.schedule
            stage = replace(stage, probabilities=array_of(schedule.probabilities(stage)))
        self._loss_weight_M = schedule.noise.loss_weights(stage.probability_M)
        sigma_data = self.config.sigma_data
        tables = LevelTables.of_pairs(schedule.pairs(stage, sigma_data), schedule.identity_at, sigma_data)
        self._levels.copy_(tables)

    def _adapt(self, adaptation: Adaptation) -> None:
        """At the end of a window or of a stage: take in its losses, go on with the schedule that follows."""
        if self._step % adaptation.every == 0 or self._step == self._stage_end:
            sums_M2 = self._state.sums_M2
            assert sums_M2 is not None
            num_intervals = len(self._stage.probability_M)
            adaptation.look(self._stage, sums_M2[:num_intervals].cpu(), self._loss_weight_M)
            sums_M2.zero_()
            self._fill_levels()

    def in_precision(self, module: NetworkFunction) -> NetworkFunction:
        """A network as trials train it."""
        if self.config.precision == "float32":
            return module

        def autocast(x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
            # No cache of cast weights: each is used once, and a captured step must cast them anew.
            with torch.autocast(self._device.type, torch.bfloat16, cache_enabled=False):
                return module(x_BCHW, c_noise_B)

        return autocast

    def _drawing(self, stream: str, *key: int) -> AbstractContextManager[None]:
        """What the network draws in the block follows from the trial's seed and the key."""
        return drawing(self._device, stream_seed(stream, self._seed, *key))

    def _run_step(self) -> None:
        network = self.in_precision(self._module)
        training_step(
            drawn_alike(network, self._device) if self._module.draws else network,
            *self.step_tensors,
            self.config.optimizer_strategy,
            self._micro_batch,
        )

    def _make_room(self, num_intervals: int) -> None:
        """Level tables with at least so many rows; as many sums of losses, and u, where the trial wants them.

        Larger tables lie elsewhere, and sums or u are another step: the graph is given up.
        """
        learns = self._schedule.weight.LEARNED
        if learns != (self._state.uncertainty_3F is not None):
            self._graph = None
            self._state = replace(self._state, uncertainty_3F=begun(self._device) if learns else None)
        num_rows, wanted = len(self._levels.cdf_M), self._adaptation is not None
        if num_rows >= num_intervals and wanted == (self._state.sums_M2 is not None):
            return
        if num_rows < num_intervals:
            num_rows = num_intervals
            self._levels = LevelTables.empty(num_rows, self._device)
        sums_M2 = torch.zeros(num_rows, 2, dtype=torch.float64, device=self._device) if wanted else None
        self._graph = None
        self._state = replace(self._state, sums_M2=sums_M2)

    def _capture(self) -> None:
        """Capture the step in a CUDA graph. Spoils the training state: only to be called before it is set.

        After https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs: some steps on a side stream first, so that
        libraries and autograd have allocated what they keep.
        """
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(3):
                self._run_step()
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._run_step()
        self._graph = graph
