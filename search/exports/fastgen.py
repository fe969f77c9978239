import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from search.errors import InputError
from search.export_format import ExportFormat, Levels, Rendered
from search.exports._nearest_gap import nearest_ect
from search.exports._nearest_law import ENOUGH, Trained, refuse_unless_near
from spaces import LoadedSchedule
from spaces.arrays import Array
from spaces.gaps.ect import ECTGap
from spaces.registry import name_of
from spaces.special import ndtr

_STEPS = 1000  # of the levels among which `polynomial` draws, from the 3rd to the 999th
_WEIGHTS = {
    "inverse_gap": "default",
    "inverse_sqrt_gap": "sqrt",
    "inverse_c_out": "c_out",
    "edm": "c_out_sq",
    "inverse_t_squared": "sigma_sq",
    "uniform": "one",
}


@dataclass(frozen=True, kw_only=True)
class FastGen(ExportFormat):
    """Overrides of a config of NVlabs/FastGen: `model.sample_t_cfg...`, `trainer.callbacks.ct_schedule...`.

    parts: law, or all: the gap, the weight and the loss too, for its consistency training. batch_size: images of a step
    there, with all parts; 0: as in the search.
    """

    parts: str = "law"
    batch_size: int = 0

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {"batch_size": (0, 2**20)}
    TARGET: ClassVar[str] = "NVlabs/FastGen at commit 34f30e8: read, not run"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parts not in ("law", "all"):
            raise ValueError(f"`parts` must be law or all, but got {self.parts!r:.60}")

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        lines = _law(self.title, loaded)
        if self.parts == "all":
            lines |= _gap(self.title, loaded, self._batch_size(loaded)) | _weight_and_loss(self.title, loaded)
        calls = {
            n: f"model.student_sample_steps={n} model.sample_t_cfg.t_list=[{','.join(map(repr, levels))},0.0]"
            for n, levels in steps.items()
        }
        text = "".join(f"{key}={value}\n" for key, value in lines.items())
        return Rendered(
            files={
                "overrides.txt": text,
                **{f"overrides_nfe{n}.txt": f"{call}\n" for n, call in calls.items()},
            },
            calls={
                n: f"python train.py --config=... - $(cat overrides.txt) {call}" for n, call in calls.items()
            },
            wanted=steps,
            used=steps,
            conditions=(
                "the network has the noise schedule `edm`, whose min_t and max_t hold the levels: sample_t moves its "
                "own ends there without a word that stops it",
                f"the network is a denoiser with sigma_data {loaded.sigma_data:g} that gives the image itself at level "
                "0, where ours does at sigma_min",
                "model.student_sample_type is sde: the noise of the next level is drawn anew, of sigma instead of "
                "sqrt(sigma^2 - sigma_min^2)",
                "a law is that of the last stage throughout; its log_t draws from NumPy's global generator",
                *self._of_the_gap(loaded),
            ),
        )

    def _batch_size(self, loaded: LoadedSchedule) -> int:
        training = (loaded.searched_at or {}).get("training") or {}
        found = self.batch_size or training.get("batch_size") or 0
        if not found:
            raise InputError(
                f"{self.title} counts the stages of the gap in images, and how many a step has is not known of this "
                "search. Name it with --batch-size"
            )
        return int(found)

    def _of_the_gap(self, loaded: LoadedSchedule) -> tuple[str, ...]:
        if self.parts == "law":
            return (
                "gap, weight and loss are the config's own; --parts all writes the schedule's, if FastGen has them",
            )
        training = loaded.training
        assert training is not None  # its gap is there
        c = training.huber_c
        huber = (
            (
                f"model.loss_config.huber_const is {c:g} sqrt(values of an image), {c * 3072**0.5:.4g} for 3x32x32",
            )
            if c
            else ()
        )
        return (
            *huber,
            f"a step has {self._batch_size(loaded)} images in all (dataloader_train.batch_size times "
            f"grad_accum_rounds times processes), and trainer.max_iter is {training.total_steps}",
            "the method is CM with model.loss_config.use_cd=False",
        )


def _law(title: str, loaded: LoadedSchedule) -> dict[str, str]:
    """sample_t_cfg of the nearest of its laws, refused where that is not near enough; log_t where no other is."""
    trained, grid = Trained.by(loaded), loaded.schedule.grid
    normal = trained.normal(cut=True)
    found = [(normal.total_variation, "lognormal", {"train_p_mean": normal.mean, "train_p_std": normal.std})]
    for kind, cdf in (("polynomial", polynomial), ("uniform", uniform)):
        found.append((trained.nearest(cdf, [[]], cut=True).total_variation, kind, {}))
    if min(law[0] for law in found) > ENOUGH:
        starts = [[trained.mean, math.log(trained.std / 2), math.log(df)] for df in (1.0, 4.0)]
        (mean, ln_std, ln_df), variation = trained.nearest(_student_t, starts, cut=True)
        options = {"train_p_mean": mean, "train_p_std": math.exp(ln_std), "log_t_df": math.exp(ln_df)}
        found.append((variation, "log_t", options))
    variation, kind, options = min(found, key=lambda law: law[0])
    lines = {"time_dist_type": kind, **{key: f"{value:.6g}" for key, value in options.items()}}
    lines |= {"min_t": repr(grid.sigma_min), "max_t": repr(grid.sigma_max)}
    nearest = f"`{' '.join(f'{key}={value}' for key, value in lines.items())}`"
    refuse_unless_near(title, "a lognormal, polynomial, uniform or Student t law", nearest, variation, loaded)
    return {f"model.sample_t_cfg.{key}": value for key, value in lines.items()}


def _student_t(x_L: Array, options: Sequence[float]) -> Array:
    from scipy.special import stdtr  # where the law is none of the plainer ones

    mean, ln_std, ln_df = options
    if ln_df < math.log(0.1):  # nobody means that
        return np.full_like(x_L, math.nan)
    if ln_df > math.log(200):  # no other law than the normal
        return np.asarray(ndtr((x_L - mean) / math.exp(ln_std)))
    return np.asarray(stdtr(math.exp(ln_df), (x_L - mean) / math.exp(ln_std)))


def uniform(x_L: Array, _: Sequence[float]) -> Array:
    return np.exp(x_L)


def polynomial(x_L: Array, _: Sequence[float]) -> Array:
    """Evenly among the levels of a Karras grid with rho 7; the first and the last two of 1000 are left out."""
    root_L = np.exp(x_L / 7)
    share_L = (root_L - root_L[0]) / (root_L[-1] - root_L[0]) * (_STEPS - 1)
    return np.clip((share_L - 1.5) / (_STEPS - 3), 0, 1)


def _gap(title: str, loaded: LoadedSchedule, batch_size: int) -> dict[str, str]:
    """ECT's, which is the only one there."""
    gap, grid, training = loaded.schedule.gap, loaded.schedule.grid, loaded.training
    if training is None:
        raise InputError(f"{title} needs the stages of an export, which a schedule alone has not")
    if not isinstance(gap, ECTGap) or (gap.k, gap.b) != (8.0, 1.0):
        nearest = nearest_ect(loaded.schedule, training.total_steps)
        raise InputError(
            f"{title} has the gap of ECT with k=8 and b=1 alone, but the schedule's is {gap.describe()}. The nearest "
            f"at the end has q^(stage+1) = {nearest.shrinking:.4g}: total variation {nearest.total_variation:.2g} "
            "between the laws of ln((t - r)/t). Search with `gap: {ect: {k: 8, b: 1}}`, leave out --parts "
            "all, or draw pairs as they are with --format torch"
        )
    images = batch_size * training.total_steps
    return {
        "trainer.callbacks.ct_schedule.q": repr(gap.q),
        "trainer.callbacks.ct_schedule.kimg_per_stage": f"{images / 1000 / gap.num_stages:.10g}",
        "trainer.callbacks.ct_schedule.ratio_limit": repr(1 - gap.q**-gap.num_stages),
        "model.sample_t_cfg.min_r": repr(grid.sigma_min),
        "model.sample_t_cfg.quantize": "False",
    }


def _weight_and_loss(title: str, loaded: LoadedSchedule) -> dict[str, str]:
    weight, training = loaded.schedule.weight, loaded.training
    kind = _WEIGHTS.get(name_of(weight))
    if kind is None:
        raise InputError(
            f"{title} has the weights of {', '.join(_WEIGHTS)}, but the schedule's is {weight.describe()}. Leave "
            "out --parts all, or take all of it with --format torch"
        )
    lines = {"model.loss_config.weighting_ct_loss": kind}
    if training is None or training.loss is None:  # that of a script
        return lines
    if name_of(loaded.schedule.loss) == "squared_l2":
        return lines | {"model.loss_config.huber_const": "0.0", "model.loss_config.use_squared_l2": "True"}
    return lines
