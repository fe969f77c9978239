"""The options of a training run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import PlainValidator

from spaces.checks import MAX_TOTAL_STEPS, SIGMA_DATA_BOUNDS
from spaces.lazy_torch import Tensor, torch
from spaces.losses.pseudo_huber import HUBER_C_BOUNDS, ICT_HUBER_C
from spaces.registry import STRICT
from trainable.optimizer_strategies.constant import Constant
from trainable.optimizer_strategy import OPTIMIZER_STRATEGIES, OptimizerStrategy
from trainable.training.ema import ema_weights
from trainable.training.radam import radam_factors

# Of a batch whose noise is assigned, in time nearly cubic in it: 1.4 ms for 128 images, 190 ms for 1,024, on one core.
MOST_IMAGES = 1024
MOST_AVERAGES = 8


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
    the weight average as a fraction of the steps done; 0 samples from the current weights. other_ema_horizons: of more
    averages of the same training, each measured at every rung, since the best one depends on the schedule. best_ema:
    the objective is the least of their distances instead of that of ema_horizon.
    optimizer_strategy: how momentum and learning rate go over the trial; see trainable/optimizer_strategies/.
    sigma_data: standard deviation assumed by the scalings. huber_c: pseudo-Huber constant per square
    root of the number of values of an image, of schedules whose `loss` has none of its own.
    stratified: draw the noise levels of a batch from B equal slices of the distribution instead of
    independently. The expected loss is the same; on the digits the variance of a batch's loss falls to
    3-10 %, but that of its gradient only to 95-100 %: images and noise make most of it. horizontal_flips: each image is
    turned left to right with probability 1/2 when it is drawn; what samples are compared with is not. coupling:
    "nearest" gives the images of a batch, as a whole, the noise that lies nearest to them (Immiscible Diffusion,
    arXiv:2406.12303; minibatch optimal transport) instead of any. precision: "bf16"
    runs the network under autocast; noise levels, loss, gradients and weights stay float32. It resolves .4 %: where
    neighbouring levels lie closer than about 1 %, schedules lose by it (docs/scaling.md). cuda_graph:
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
    other_ema_horizons: tuple[float, ...] = ()
    best_ema: bool = False
    sigma_data: float = 0.5
    huber_c: float = ICT_HUBER_C
    stratified: bool = True
    horizontal_flips: bool = False
    coupling: Literal["independent", "nearest"] = "independent"
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
        self._check_averages()
        if self.coupling == "nearest" and self.batch_size > MOST_IMAGES:
            raise ValueError(
                f"`batch_size <= {MOST_IMAGES}` must hold with coupling='nearest', whose time is cubic in it, "
                f"but got batch_size={self.batch_size}"
            )
        if self.optimizer_strategy.uses_halves and self.batch_size % 2:
            raise ValueError(
                f"`batch_size` must be even, but got batch_size={self.batch_size}: the strategy "
                f"{self.optimizer_strategy.describe()} compares the halves of each batch"
            )

    def _check_averages(self) -> None:
        horizons, others = self.ema_horizons, self.other_ema_horizons
        if len(others) > MOST_AVERAGES or not all(0 <= horizon <= 1 for horizon in others):
            raise ValueError(
                f"`other_ema_horizons` must be at most {MOST_AVERAGES} numbers from 0 to 1, but got {list(others)}"
            )
        if len(set(horizons)) < len(horizons):
            raise ValueError(f"each EMA horizon must be given once, but got {list(horizons)}")
        if self.best_ema and not others:
            raise ValueError("best_ema has no effect without `other_ema_horizons`: leave it out")

    @property
    def ema_horizons(self) -> tuple[float, ...]:
        """Of all averages, that of the objective first."""
        return (self.ema_horizon, *self.other_ema_horizons)

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
        averages = (ema_weights(num_steps, horizon) for horizon in self.ema_horizons)
        columns = [*radam_factors(rate_K, beta1_K), *averages]
        return torch.stack(columns if beta1_K is None else [*columns, 1 - beta1_K], dim=1)
