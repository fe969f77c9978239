"""What a schedule must keep, whatever its families. All raise ValueError, in one line.

Axes: N levels, M intervals or pairs.
"""

from functools import lru_cache

import numpy as np

from spaces.arrays import Array
from spaces.continuous import Clean, Ends, Stages, quantiles
from spaces.curriculum import MAX_STAGE_VALUES, Curriculum
from spaces.gap import Gap
from spaces.grid import Grid
from spaces.loss import Loss
from spaces.noise_distribution import NoiseDistribution, SigmaLaw
from spaces.registry import name_of
from spaces.weight import Weight

# What a trial may be trained with and what an export may say are the same.
MAX_TOTAL_STEPS = 10_000_000  # N(k) is computed for every step k: 0.1 GB
MAX_EVALUATIONS = 99  # of the network, per image
SIGMA_DATA_BOUNDS = (1e-3, 1e3)

NO_TEACHER = "has no meaning with the loss denoising, whose target is the clean image and no teacher's"


def check_denoising(loss: Loss, gap: Gap, weight: Weight) -> None:
    """Raise ValueError for a gap, or a weight of one, beside the loss that has no teacher."""
    if loss.DENOISES and not isinstance(gap, Clean):
        raise ValueError(f"the gap {gap.describe()} {NO_TEACHER}. Leave it out")
    if isinstance(gap, Clean) and not loss.DENOISES:
        raise ValueError(f"the loss {loss.describe()} needs a teacher, and so a gap: name one")
    if loss.DENOISES and weight.OF_GAP:
        raise ValueError(f"the weight {weight.describe()} {NO_TEACHER}. Take another one, as edm")


def check_learned(weight: Weight, noise: NoiseDistribution) -> None:
    """Raise ValueError where both follow the losses: the weight would undo what the law does to them."""
    if weight.LEARNED and (noise.ADAPTIVE or noise.weighs_loss):
        raise ValueError(
            f"{noise.describe()} changes what the loss of a level counts, which the weight {weight.describe()} learns: "
            "take another noise family, or another weight"
        )


def check_floor(uniform_floor: float) -> None:
    """Raise ValueError unless it is a share below 1."""
    if not 0 <= uniform_floor < 1:  # NaN fails too
        raise ValueError(f"`0 <= uniform_floor < 1` must hold, but got uniform_floor={uniform_floor!r}")


def check_levels(grid: Grid, curriculum: Curriculum) -> None:
    """Raise ValueError where the curriculum asks for more levels than the grid has, or than float32 tells apart."""
    if curriculum.most_levels > grid.most_levels:
        raise ValueError(
            f"{curriculum.describe()} needs up to {curriculum.most_levels} levels, "
            f"but {name_of(grid)} has {grid.most_levels}"
        )
    share = _told_apart(grid, curriculum.most_levels)
    if share < 1:
        raise ValueError(
            f"levels of {grid.describe()}, sigma_min={grid.sigma_min:g} are too close with {curriculum.most_levels} of "
            f"them ({curriculum.describe()}): two neighbours are {share:.2g} of the spacing of float32 images apart, "
            "most values of both are the same, and their loss is 0. Raise sigma_min, or take fewer levels"
        )


@lru_cache(maxsize=1024)
def _told_apart(grid: Grid, num_levels: int) -> float:
    """The narrowest interval in units of what x + t z, x in [-1, 1], is rounded to in float32; below 1, it is lost.

    Half of float32's eps, its spacing from .5 to 1, times t where that is larger: x + t z and x + r z are mostly equal
    where t - r is less.
    """
    sigma_N = grid.noise_levels(num_levels)
    return float((np.diff(sigma_N) / _spacing(sigma_N[1:])).min())


def _spacing(t_M: Array) -> Array:
    return np.asarray(np.finfo(np.float32).eps / 2 * t_M.clip(min=1))


def check_mass(grid: Grid, noise: NoiseDistribution) -> None:
    """Raise ValueError where all the mass lies outside the grid."""
    noise.probabilities(grid.noise_levels(2))


def check_values(curriculum: Curriculum, total_steps: int, *, in_pairs: bool = False) -> None:
    """Raise ValueError where the stages of this budget may be too much for an export.

    in_pairs: whether the export has both levels and the weight of each interval, twice as many numbers.
    """
    values = curriculum.most_values(total_steps) * (2 if in_pairs else 1)
    if values > MAX_STAGE_VALUES:
        raise ValueError(
            f"{curriculum.describe()} may have stages of {values} values at total_steps={total_steps}, but an "
            f"export holds {MAX_STAGE_VALUES}. Let it have fewer levels, or change them less often"
        )


def check_continuous(noise: NoiseDistribution, gap: Gap) -> None:
    """Raise ValueError unless levels can be drawn from the law itself."""
    if not isinstance(noise, SigmaLaw):
        if isinstance(gap, Clean):
            whose, others = "the loss denoising", ""
        else:
            whose, others = f"the gap {gap.describe()}", ", or the gap adjacent"
        raise ValueError(
            f"{noise.describe()} is no law over sigma, and {whose} draws sigma from one: take another noise "
            f"family{others}"
        )


def check_gap(noise: NoiseDistribution, gap: Gap, ends: Ends) -> None:
    """Raise ValueError where r >= t, or where float32 does not tell them apart."""
    t_Q = quantiles(noise, ends)
    for stage in range(gap.most_stages):
        r_Q = gap.teacher(t_Q, ends.sigma_min, stage)
        share_Q = (t_Q - r_Q) / _spacing(t_Q)
        share_Q[(r_Q == ends.sigma_min) & (t_Q > r_Q)] = 1  # next to the end all gaps close
        worst = int(share_Q.argmin())
        if not float(share_Q[worst]) >= 1:
            raise ValueError(
                f"the gap {gap.describe()} is too narrow: at t={t_Q[worst]:.4g} in stage {stage}, r={r_Q[worst]:.4g} "
                f"is {share_Q[worst]:.2g} of the spacing of float32 images below, and the loss is 0. Let it be wider"
            )


def check_weight(weight: Weight, t_M: Array, r_M: Array) -> None:
    """Raise ValueError unless the weight is finite and above 0 at every pair."""
    with np.errstate(all="ignore"):
        weight_M = weight.of_pairs(t_M, r_M, sigma_data=0.5)
        good_M = np.isfinite(weight_M.astype(np.float32)) & (weight_M > 0)
    if not good_M.all():
        worst = int(good_M.argmin())
        raise ValueError(
            f"the weight {weight.describe()} is {weight_M[worst]:.4g} at t={t_M[worst]:.4g}, r={r_M[worst]:.4g}: it "
            "must be finite and above 0 at every level in use. Take another one, or raise sigma_min"
        )


def check_parts(grid: Grid, curriculum: Curriculum, uniform_floor: float, gap: Gap) -> None:
    """Raise ValueError where a part has no meaning beside the gap."""
    continuous = (isinstance(grid, Ends), isinstance(curriculum, Stages) and curriculum.gap == gap)
    if continuous != (gap.CONTINUOUS, gap.CONTINUOUS):
        raise ValueError(
            "a gap that is not adjacent has no grid but its ends, and no curriculum but its own stages; "
            f"got {gap.describe()} with {grid.describe()} and {curriculum.describe() or 'other stages'}"
        )
    if gap.CONTINUOUS and uniform_floor:
        raise ValueError(
            f"a uniform floor is over the intervals of a grid, which the gap {gap.describe()} has not, "
            f"but got uniform_floor={uniform_floor!r}. Leave it out"
        )
