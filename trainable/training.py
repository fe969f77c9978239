"""The training loop of one trial at a time, for many trials one after another.

The step is a function of tensors (`training_step`): weights, optimiser state, batch, level tables and the step's
factors go in, all are changed in place. No random numbers are drawn in it, nothing is branched on and nothing
read back, so it can be captured. Everything random at step k is a pure function of (seed, k): an
interrupted trial goes on exactly, and trials with the same seed see the same initial weights, images, noise and
level quantiles u, whatever their schedules (common random numbers).

Axes: B images in a batch, N images of the data set, C channels, H height, W width, P parameters, K steps.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import PlainValidator
from torch import Tensor

from spaces import NoiseSchedule
from spaces.adaptive_noise import AdaptiveNoise
from spaces.export_document import HUBER_C_BOUNDS, MAX_TOTAL_STEPS, SIGMA_DATA_BOUNDS
from spaces.registry import STRICT
from trainable.accumulation import accumulate_gradient
from trainable.adaptation import Adaptation
from trainable.consistency import LevelTables, NetworkFunction, sample
from trainable.dataset import model_input
from trainable.ema import ema_weights
from trainable.flat_parameters import flatten_gradients, flatten_parameters
from trainable.network import NETWORKS, Network
from trainable.optimizer_strategies.constant import Constant
from trainable.optimizer_strategy import OPTIMIZER_STRATEGIES, OptimizerStrategy
from trainable.radam import radam_, radam_factors

_CHECK_EVERY = 50  # steps between looks at the loss; each look waits for the device
_SAMPLE_BATCH = 500


def _strategy(options: Any) -> OptimizerStrategy:
    """From a name or a mapping with a `name`, as a search file gives it."""
    return options if isinstance(options, OptimizerStrategy) else OPTIMIZER_STRATEGIES.build(options)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How every trial of a search is trained; only the noise schedule differs between them.

    total_steps: the full budget K. Curriculum, learning rate and EMA are defined on it, also for a trial
    that is stopped earlier. learning_rate: RAdam's; constant up to the fraction `lr_decay_start` of K, from
    there linear down to `lr_final_fraction` of itself at K. The decay helps the iCT baseline (digits,
    6 seeds: mean Frechet distance 21.8 against 24.6 at a constant rate) and is neutral for two other
    schedules; so it is the default, to compare with a baseline at its best. ema_horizon: memory of
    the weight average as a fraction of the steps done; 0 samples from the current weights.
    optimizer_strategy: how momentum and learning rate go over the trial; see trainable/optimizer_strategies/.
    sigma_data: standard deviation assumed by the scalings. huber_c: pseudo-Huber constant per square
    root of the number of values of an image.
    stratified: draw the noise levels of a batch from B equal slices of the distribution instead of
    independently. The expected loss is the same; on the digits the variance of a batch's loss falls to
    3-10 %, but that of its gradient only to 95-100 %: images and noise make most of it. precision: "bf16"
    runs the network under autocast; noise levels, loss, gradients and weights stay float32. cuda_graph:
    capture the step once and replay it, on CUDA only; off by default because it has not been run on a GPU.
    """

    __pydantic_config__ = STRICT

    total_steps: int = 2000
    batch_size: int = 128
    learning_rate: float = 3e-3
    lr_decay_start: float = 0.5
    lr_final_fraction: float = 0.1
    optimizer_strategy: Annotated[OptimizerStrategy, PlainValidator(_strategy)] = field(
        default_factory=Constant
    )
    ema_horizon: float = 0.3
    sigma_data: float = 0.5
    huber_c: float = 0.00054
    stratified: bool = True
    precision: Literal["float32", "bf16"] = "float32"
    cuda_graph: bool = False

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "total_steps": (1, MAX_TOTAL_STEPS),
        "batch_size": (1, 65_536),
        "learning_rate": (1e-9, 10.0),
        "lr_decay_start": (0.0, 1.0),
        "lr_final_fraction": (0.0, 1.0),
        "ema_horizon": (0.0, 1.0),
        "sigma_data": SIGMA_DATA_BOUNDS,
        "huber_c": HUBER_C_BOUNDS,
    }

    def __post_init__(self) -> None:
        for option, (low, high) in self.BOUNDS.items():
            if not low <= getattr(self, option) <= high:  # NaN fails too
                raise ValueError(
                    f"`{low:g} <= {option} <= {high:g}` must hold, but got {option}={getattr(self, option)!r}"
                )
        if self.lr_decay_start == 1 and self.lr_final_fraction != type(self).lr_final_fraction:
            raise ValueError(
                f"lr_final_fraction={self.lr_final_fraction:g} has no effect with lr_decay_start=1: "
                "set `lr_decay_start` below 1, or leave it out"
            )
        if self.optimizer_strategy.uses_halves and self.batch_size % 2:
            raise ValueError(
                f"`batch_size` must be even, but got batch_size={self.batch_size}: the strategy "
                f"{self.optimizer_strategy.describe()} compares the halves of each batch"
            )

    @property
    def whole_pass(self) -> int:
        """Images that a step takes through the network at once where memory allows: the batch, or each half of it."""
        return self.batch_size // (2 if self.optimizer_strategy.uses_halves else 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, every option included; as a search file has them."""
        return asdict(self) | {"optimizer_strategy": OPTIMIZER_STRATEGIES.describe(self.optimizer_strategy)}

    def learning_rates(self) -> Tensor:
        """The learning rate of each step, (K,) float64."""
        done_K = torch.arange(self.total_steps, dtype=torch.float64) / self.total_steps
        if self.lr_decay_start == 1:
            return torch.full_like(done_K, self.learning_rate)
        decayed_K = ((done_K - self.lr_decay_start) / (1 - self.lr_decay_start)).clamp(min=0)
        return self.learning_rate * (1 - decayed_K * (1 - self.lr_final_fraction))

    def factors(self) -> Tensor:
        """What `training_step` wants of each step: factors_KF, float64. The same for every schedule."""
        strategy, num_steps = self.optimizer_strategy, self.total_steps
        rate_K, rate_factor_K = self.learning_rates(), strategy.learning_rate_factor(num_steps)
        if rate_factor_K is not None:
            rate_K = rate_K * rate_factor_K
        beta1_K = strategy.beta1(num_steps)
        columns = [*radam_factors(rate_K, beta1_K), ema_weights(num_steps, self.ema_horizon)]
        return torch.stack(columns if beta1_K is None else [*columns, 1 - beta1_K], dim=1)


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

    def draw_(
        self, images_NCHW: Tensor, seed: int, step: int, stratified: bool, generator: torch.Generator
    ) -> None:
        """Fill with the batch of `step`: a pure function of (seed, step), on one kind of device.

        Images are drawn with replacement. Stratified, image j gets u_j = (j + U_j)/B; images are in random order, so
        the pairing of images and levels is random as well.
        """
        generator.manual_seed(stream_seed("batch", seed, step))
        batch_size, device = len(self.u_B), self.u_B.device
        index_B = torch.randint(len(images_NCHW), (batch_size,), generator=generator, device=device)
        self.u_B.uniform_(generator=generator)
        if stratified:
            self.u_B.add_(torch.arange(batch_size, device=device)).div_(batch_size)
        self.z_BCHW.normal_(generator=generator)
        self.x_BCHW.copy_(model_input(images_NCHW.index_select(0, index_B)))


@dataclass(frozen=True)
class TrainingState:
    """All that a step changes. parameters_P and gradient_P are what the network's parameters are views of.

    m_P, v_P: RAdam's moments. loss_sum: float64, of the steps since it was last set to zero.
    sums_M2: float64, per interval the number of images and the sum of their squared losses since it was last
    set to zero; None: not wanted. half_P, noise_2: see `OptimizerStrategy.measured_factor`; None where it has none.
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

    def saved(self) -> dict[str, Tensor]:
        """The tensors that decide the next step but for sums_M2; the gradient is made anew in each."""
        names = ("parameters_P", "ema_P", "m_P", "v_P", "loss_sum")
        noise = {} if self.noise_2 is None else {"noise_2": self.noise_2}
        return {name: getattr(self, name) for name in names} | noise


def training_step(
    network: NetworkFunction,
    state: TrainingState,
    batch: Batch,
    levels: LevelTables,
    factors_F: Tensor,
    huber_c: float,
    strategy: OptimizerStrategy,
    micro_batch: int,
) -> None:
    """One optimiser step, in place.

    factors_F: RAdam's adaptive and plain factor, weight of the EMA; 1 - beta1 where it is not RAdam's own.
    micro_batch: images that go through the network at once; the step is that of the whole batch all the same.
    """
    index_B = levels.draw(batch.u_B)
    levels_BL = levels.table_ML.index_select(0, index_B)
    state.gradient_P.zero_()
    adaptive, plain, ema_weight, *new_share = factors_F.unbind()

    def backward(share: slice) -> Tensor:
        images = batch.x_BCHW[share], batch.z_BCHW[share], levels_BL[share]
        return accumulate_gradient(network, *images, huber_c, len(levels_BL), micro_batch)

    if state.half_P is None or state.noise_2 is None:
        loss_B = backward(slice(None))
    else:
        even = backward(slice(0, None, 2))
        state.half_P.copy_(state.gradient_P)
        loss_B = torch.stack([even, backward(slice(1, None, 2))], dim=1).flatten()
        factor = strategy.measured_factor(state.noise_2, state.gradient_P, state.half_P, len(loss_B))
        adaptive, plain = adaptive * factor, plain * factor
    radam_(state.parameters_P, state.gradient_P, state.m_P, state.v_P, adaptive, plain, *new_share)
    state.ema_P.lerp_(state.parameters_P, ema_weight)
    state.loss_sum.add_(loss_B.mean())
    if state.sums_M2 is not None:
        squares_B = loss_B.double().square()
        state.sums_M2.index_add_(0, index_B, torch.stack([torch.ones_like(squares_B), squares_B], dim=1))


class Trainer:
    """Trains trials one after another on one device. Lives for a whole search.

    network: the options of F. images_NCHW: float32 in [-1, 1] or uint8. `begin` must come first.
    CPU: bit-exact for a fixed number of threads on one kind of machine, resumed or not.
    CUDA: parameters in channels_last; not bit-exact, as some of cuDNN's sums have no fixed order.
    """

    def __init__(
        self,
        network: Network,
        images_NCHW: Tensor,
        config: TrainingConfig,
        device: str | torch.device = "cpu",
    ):
        self.config = config
        self._device = torch.device(device)
        on_cuda = self._device.type == "cuda"
        if config.cuda_graph and not on_cuda:
            raise ValueError(f"`cuda_graph` needs a CUDA device, but got {self._device}: leave it out")
        self._images_NCHW = images_NCHW.to(self._device)
        self._image_shape = tuple(images_NCHW.shape[1:])
        channels, height, width = self._image_shape
        # torch's layers draw default weights from the global generator; `begin` draws the real ones.
        with torch.random.fork_rng(devices=[]):
            self._module = network.build((channels, height, width))
            self._ema_module = network.build((channels, height, width)).requires_grad_(False)
        parameters_P = flatten_parameters(self._module, self._device, channels_last=on_cuda)
        halves = config.optimizer_strategy.uses_halves
        self._state = TrainingState(
            parameters_P=parameters_P,
            gradient_P=flatten_gradients(self._module, channels_last=on_cuda),
            ema_P=flatten_parameters(self._ema_module, self._device, channels_last=on_cuda),
            m_P=torch.zeros_like(parameters_P),
            v_P=torch.zeros_like(parameters_P),
            loss_sum=torch.zeros((), dtype=torch.float64, device=self._device),
            half_P=torch.zeros_like(parameters_P) if halves else None,
            noise_2=torch.zeros(2, dtype=torch.float64, device=self._device) if halves else None,
        )
        batch_shape = (config.batch_size, *self._image_shape)
        self._batch = Batch(
            x_BCHW=torch.zeros(batch_shape, device=self._device),
            z_BCHW=torch.zeros(batch_shape, device=self._device),
            u_B=torch.zeros(config.batch_size, dtype=torch.float64, device=self._device),
        )
        self._generator = torch.Generator(self._device)
        self._factors_KF = config.factors().float().to(self._device)
        self._factors_F = torch.zeros_like(self._factors_KF[0])
        self._huber_c = config.huber_c * math.sqrt(math.prod(self._image_shape))
        self._levels = LevelTables.empty(0, self._device)
        self._step = 0
        self._micro_batch = config.whole_pass
        self._graph: torch.cuda.CUDAGraph | None = None
        # What a checkpoint must agree with, besides schedule and seed.
        self._setting = {
            "config": config.to_dict(),
            "network": NETWORKS.describe(network),
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
        if self.config.cuda_graph and self._graph is None:
            self._capture()
        self._module.reset_parameters(torch.Generator().manual_seed(stream_seed("weights", seed)))
        self._state.ema_P.copy_(self._state.parameters_P)
        state = self._state
        for tensor in (state.m_P, state.v_P, state.loss_sum, state.noise_2, state.sums_M2):
            if tensor is not None:
                tensor.zero_()
        self._step = 0
        self._loss_from_step = 0
        self._enter_stage()

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
        mean_loss = 0.0
        while self._step < until_step:
            if self._step >= self._stage_end:
                self._enter_stage()
            self._batch.draw_(
                self._images_NCHW, self._seed, self._step, self.config.stratified, self._generator
            )
            self._factors_F.copy_(self._factors_KF[self._step])
            if self._graph is None:
                self._run_step()
            else:
                self._graph.replay()
            self._step += 1
            if self._adaptation is not None:
                self._adapt(self._adaptation)
            pause = should_pause is not None and should_pause()
            if pause or self._step == until_step or self._step % _CHECK_EVERY == 0:
                mean_loss = self._state.loss_sum.item() / (self._step - self._loss_from_step)
                if pause or not math.isfinite(mean_loss):
                    break
        # The last update may have spoilt the weights after a finite loss.
        if not bool(self._state.parameters_P.isfinite().all()):
            return math.nan
        if self._step == until_step:
            self._state.loss_sum.zero_()
            self._loss_from_step = self._step
        return mean_loss

    @torch.no_grad()
    def sample(self, num_samples: int, seed: int, sigmas: Sequence[float] | None = None) -> Tensor:
        """(num_samples, C, H, W) float32 on the CPU, about in [-1, 1] (not clipped), from the averaged weights.

        One network call from sigma_max; `sigmas` are further, decreasing levels, one call each. The noise is
        drawn on the CPU: the same seed gives the same noise on every device, for every schedule.
        """
        grid = self._schedule.grid
        levels = (grid.sigma_max, *(sigmas or ()))
        generator = torch.Generator().manual_seed(stream_seed("samples", seed))
        samples = []
        for start in range(0, num_samples, _SAMPLE_BATCH):
            num = min(_SAMPLE_BATCH, num_samples - start)
            z_SBCHW = torch.randn((len(levels), num, *self._image_shape), generator=generator)
            for part_SBCHW in z_SBCHW.split(self.part_of(_SAMPLE_BATCH), dim=1):
                x_BCHW = sample(
                    self._in_precision(self._ema_module),
                    part_SBCHW.to(self._device),
                    levels,
                    grid.sigma_min,
                    self.config.sigma_data,
                )
                samples.append(x_BCHW.float().cpu())
        return torch.cat(samples)

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
        """The schedule in force, with fixed probabilities: what an adaptive one has come to, a static one itself."""
        return self._schedule if self._adaptation is None else self._adaptation.schedule

    def _saved(self) -> dict[str, Tensor]:
        """The tensors that decide the rest of the trial, the trainer's own."""
        saved = self._state.saved()
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
        probability_M = stage.probability_M
        if self._adaptation is not None:
            schedule = self._adaptation.schedule
            probability_M = schedule.probabilities(stage)
        self._loss_weight_M = schedule.noise.loss_weights(probability_M)
        tables = LevelTables.of_stage(
            stage.sigma_N, probability_M, schedule.grid.sigma_min, self.config.sigma_data, self._loss_weight_M
        )
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

    def _in_precision(self, module: NetworkFunction) -> NetworkFunction:
        if self.config.precision == "float32":
            return module

        def autocast(x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
            # No cache of cast weights: each is used once, and a captured step must cast them anew.
            with torch.autocast(self._device.type, torch.bfloat16, cache_enabled=False):
                return module(x_BCHW, c_noise_B)

        return autocast

    def _run_step(self) -> None:
        training_step(
            self._in_precision(self._module),
            self._state,
            self._batch,
            self._levels,
            self._factors_F,
            self._huber_c,
            self.config.optimizer_strategy,
            self._micro_batch,
        )

    def _make_room(self, num_intervals: int) -> None:
        """Level tables with at least so many rows, and as many sums of losses where the trial wants them.

        Larger tables lie elsewhere, and sums are another step: the graph is given up.
        """
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
