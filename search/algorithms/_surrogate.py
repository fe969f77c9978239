"""What schedules are worth, guessed from those that were trained: a Gaussian process over what training sees of them.

Parameters of different families do not compare, densities over ln sigma do. So schedules are placed by the square
root of the density with which they train each noise level, and by the logarithm of the number of intervals, both along
the run. Squared distances there are

    H^2 / WIDTH_DENSITY + mean (log2 M - log2 M')^2 / (2 WIDTH_LEVELS^2)

with the squared Hellinger distance H^2 (0 to 1) of the densities, and the covariance of two schedules' ln(objective)
falls as the exponential of that. It is one model for all families: what a lognormal law has taught is known of every
Laplace law that trains the same levels.

Where a search may also choose the gap, the weight or the loss (`SearchSpace.unusual`), there are more terms: squared
Hellinger distances of the shares that the levels have in what is minimised, law times weight, and of where the gaps of
teacher and student are, whose number then stands for that of the intervals; and
mean (ln c - ln c')^2 / (2 WIDTH_HUBER_C^2) of the pseudo-Huber constants. A squared L2 norm stands where a constant
above all errors would: at 1 per square root of the number of values. A diffusion model has no teacher, so its
schedules are placed by the law and by law times weight alone. A weight that is learned counts as what it comes to, as
far as that is known before training (`NoiseSchedule.minimised`).

How well it predicts is measured on the recorded curves of the digits (docs/search-quality.md, "The surrogate"); half
or twice the widths make little difference there. The widths of the further terms are guesses. Of 73 schedules drawn
from searches/digits_recipe.yaml, trained once each, it orders those that were left out with a rank correlation of .73,
without these terms of 0; half or twice a width made no difference that so few tell.

Axes: S schedules, C candidates, D coordinates of an embedding, P positions in the run, B bins of ln sigma.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy  # scipy.linalg is imported at its first use: to name an algorithm needs none of it
from numpy.typing import NDArray

from search.record import has_diverged, ln
from spaces import NoiseSchedule, Stage
from spaces.losses.pseudo_huber import ICT_HUBER_C

Floats = NDArray[np.float64]

WIDTH_DENSITY, WIDTH_LEVELS, WIDTH_HUBER_C = 1.0, 6.0, 6.0
_NUM_POSITIONS = 8
_LARGE_C = 1.0  # where a loss without a pseudo-Huber constant stands
# Bins of ln sigma, with one each for what lies outside.
_EDGES = np.concatenate([[np.log(1e-9)], np.linspace(np.log(0.001), np.log(200.0), 41), [np.log(1e9)]])
# Standard deviations, in ln(objective), among which the most likely are taken: of the objective over all schedules,
# as a multiple of that seen; of what neither the embedding nor the seed explains.
_SPREADS, _ERRORS = (0.7, 1.0, 1.5, 2.5), (0.03, 0.06, 0.12, 0.25, 0.5)
# Squared distance below which a candidate is no news beside a trial: one hundredth of that between random schedules.
NO_NEWS = 0.005
_NUM_PARENTS = 10  # the best trials, near which candidates are drawn
_DIVERGED = math.log(2)  # above the worst of the others
# How sure it is, before trials have shown it, that the step from a rung to the next changes no order: as many trials
# with this standard deviation of ln(objective).
_PRIOR_TRIALS, _PRIOR_SD = 2, 0.3


def embedding(schedule: NoiseSchedule, total_steps: int, *, whole: bool = False) -> Floats:
    """Where a schedule stands among others, (D,), for a budget of total_steps.

    Its density is taken at one number of levels, the median along the run: a law has nearly the same on all.
    whole: with its gap, weight and loss. Of a diffusion model there are fewer coordinates, and no search has both.
    """
    step_P = (np.arange(_NUM_POSITIONS, dtype=np.int64) * 2 + 1) * total_steps // (2 * _NUM_POSITIONS)
    levels_P = schedule.curriculum.num_levels(step_P, total_steps)
    phase_P = schedule.curriculum.phases_at(step_P, total_steps)
    num_levels = int(np.sort(levels_P)[_NUM_POSITIONS // 2])
    stage_of = {phase: schedule.stage_with(num_levels, phase) for phase in set(phase_P.tolist())}

    def roots(share_of: Callable[[Stage], Floats]) -> Floats:
        root_of = {
            phase: np.sqrt(np.maximum(share_of(stage), 0.0) / WIDTH_DENSITY)
            for phase, stage in stage_of.items()
        }
        return np.concatenate([root_of[phase] for phase in phase_P.tolist()])

    places = [roots(lambda stage: stage.mass(_EDGES))]
    if whole:
        places.append(roots(lambda stage: schedule.minimised(stage).mass(_EDGES)))
    if not schedule.loss.DENOISES:
        log_intervals_P = np.log2(levels_P - 1.0)
        if whole:
            count_of = {phase: schedule.intervals(stage, _EDGES) for phase, stage in stage_of.items()}
            if schedule.gap.CONTINUOUS:
                log_intervals_P = np.log2([count_of[phase].sum() for phase in phase_P.tolist()])
            log_c = math.log(schedule.loss.huber_c_of(ICT_HUBER_C) or _LARGE_C)
            places += [
                roots(lambda stage: count_of[stage.phase] / count_of[stage.phase].sum()),
                np.full(_NUM_POSITIONS, log_c / WIDTH_HUBER_C),
            ]
        places.append(log_intervals_P / WIDTH_LEVELS)
    return np.concatenate(places) / math.sqrt(2 * _NUM_POSITIONS)


def expected(curves: Sequence[Mapping[int, float]]) -> tuple[Floats, Floats]:
    """What trials come to at the last step of all: ln(objective) and the standard deviation of its error, both (S,).

    curves: of each trial, the objective at the steps reached, at least one. From a step to the next one, ln(objective)
    is taken for a straight line through the trials that have both. A diverged trial is worse than all others.
    """
    logs = [{step: log for step, y in curve.items() if (log := _ln(y)) is not None} for curve in curves]
    steps = sorted({step for log in logs for step in log})
    log_SR = np.array([[log.get(step, math.nan) for step in steps] for log in logs])
    is_known_SR = np.isfinite(log_SR)
    offset, slope, variance = 0.0, 1.0, 0.0  # of the line from the step at hand to the last, and of its error
    lines = [(offset, slope, variance)]
    for here in reversed(range(len(steps) - 1)):
        both_S = is_known_SR[:, here] & is_known_SR[:, here + 1]
        a, b, error = _line(log_SR[both_S, here : here + 2])
        offset, variance = offset + slope * a, variance + slope**2 * error
        slope *= b
        lines.insert(0, (offset, slope, variance))
    value_S, variance_S = np.full(len(curves), math.nan), np.zeros(len(curves))
    row_S = np.array([row for row, log in enumerate(logs) if log and len(log) == len(curves[row])], dtype=int)
    if len(row_S):
        last_S = len(steps) - 1 - is_known_SR[row_S, ::-1].argmax(axis=1)
        offset_S, slope_S, variance_S[row_S] = np.array(lines)[last_S].T
        value_S[row_S] = offset_S + slope_S * log_SR[row_S, last_S]
    worst = np.nanmax(value_S) if np.isfinite(value_S).any() else 0.0
    return np.where(np.isnan(value_S), worst + _DIVERGED, value_S), np.sqrt(variance_S)


@lru_cache(maxsize=8192)  # the same values are asked for at every proposal
def _ln(value: float) -> float | None:
    """None for that of a diverged trial."""
    return None if has_diverged(value) else ln(value)


def best_of(value_S: Floats) -> list[int]:
    """Indices of the best trials, near which candidates are drawn."""
    return np.argsort(value_S, kind="stable")[:_NUM_PARENTS].tolist()


def _line(pair_S2: Floats) -> tuple[float, float, float]:
    """(offset, slope, variance of the error) of a line through the pairs; without many, nearly y = x + mean."""
    if not len(pair_S2):
        return 0.0, 1.0, _PRIOR_SD**2
    x, y = pair_S2.T
    dx, dy = x - x.mean(), y - y.mean()
    slope = float((dx @ dy + _PRIOR_SD**2) / (dx @ dx + _PRIOR_SD**2))
    offset = float(y.mean() - slope * x.mean())
    errors = y - offset - slope * x
    return (
        offset,
        slope,
        float((errors @ errors + _PRIOR_TRIALS * _PRIOR_SD**2) / (len(pair_S2) + _PRIOR_TRIALS)),
    )


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A Gaussian process on trials: `Surrogate.fitted`, then ask it."""

    embedding_SD: Floats
    value_S: Floats
    noise_S: Floats
    mean: float
    spread: float
    error: float
    factor: Floats  # its lower triangle

    @classmethod
    def fitted(cls, embedding_SD: Floats, value_S: Floats, sd_S: Floats) -> "Surrogate":
        """On the ln(objective) of trials, each with the standard deviation of its error. At least one trial."""
        seen = max(float(value_S.std()), 0.1)
        correlation_SS = np.exp(-_squared_distances(embedding_SD, embedding_SD))
        models = [
            cls._of(embedding_SD, value_S, sd_S**2 + error**2, None, spread * seen, error, correlation_SS)
            for spread, error in itertools.product(_SPREADS, _ERRORS)
        ]
        return max(models, key=lambda model: model.log_likelihood)

    @classmethod
    def given(
        cls,
        spread: float,
        error: float,
        embedding_SD: Floats,
        value_S: Floats,
        sd_S: Floats,
        correlation_SS: Floats,
    ) -> "Surrogate":
        """Likewise, with a spread and an error that another one was fitted with."""
        return cls._of(embedding_SD, value_S, sd_S**2 + error**2, None, spread, error, correlation_SS)

    @classmethod
    def _of(
        cls,
        embedding_SD: Floats,
        value_S: Floats,
        noise_S: Floats,
        mean: float | None,
        spread: float,
        error: float,
        correlation_SS: Floats,
    ) -> "Surrogate":
        if mean is None:
            mean = float(np.average(value_S, weights=1 / (noise_S + spread**2)))
        covariance_SS = spread**2 * correlation_SS
        covariance_SS.flat[:: len(noise_S) + 1] += noise_S
        factor, failed = scipy.linalg.lapack.dpotrf(covariance_SS, lower=True, clean=False)
        assert not failed, "the noise keeps the covariance positive definite"
        return cls(embedding_SD, value_S, noise_S, mean, spread, error, factor)

    @property
    def log_likelihood(self) -> float:
        """Of the values, up to a constant."""
        residual_S = self.value_S - self.mean
        return float(-0.5 * residual_S @ self._solved(residual_S) - np.log(np.diag(self.factor)).sum())

    def believing(self, embedding_RD: Floats, correlation_TT: Floats | None = None) -> "Surrogate":
        """The same model with trials at more embeddings, each with the value that the model expects there.

        correlation_TT: of all trials, the new ones last; None: it is worked out.
        """
        embedding_SD = np.concatenate([self.embedding_SD, embedding_RD])
        if correlation_TT is None:
            correlation_TT = np.exp(-_squared_distances(embedding_SD, embedding_SD))
            believed_R = self(embedding_RD)[0]
        else:
            num_trials = len(self.value_S)
            believed_R = self.mean_at(correlation_TT[num_trials:, :num_trials])
        value_S = np.concatenate([self.value_S, believed_R])
        noise_S = np.concatenate([self.noise_S, np.full(len(embedding_RD), self.error**2)])
        return self._of(embedding_SD, value_S, noise_S, self.mean, self.spread, self.error, correlation_TT)

    def apart(self, embedding_CD: Floats) -> Floats:
        """Squared distance of each embedding from the nearest trial, (C,)."""
        return _squared_distances(embedding_CD, self.embedding_SD).min(axis=1)

    def __call__(self, embedding_CD: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the ln(objective), both (C,), that schedules at these embeddings have."""
        return self.at(np.exp(-_squared_distances(embedding_CD, self.embedding_SD)))

    def at(self, correlation_CS: Floats) -> tuple[Floats, Floats]:
        """The same for schedules with these correlations with the trials."""
        covariance_CS = self.spread**2 * correlation_CS
        explained_SC = scipy.linalg.solve_triangular(self.factor, covariance_CS.T, lower=True)
        variance_C = self.spread**2 - (explained_SC**2).sum(axis=0)
        return self.mean_at(correlation_CS), np.sqrt(np.maximum(variance_C, 1e-12))

    def mean_at(self, correlation_CS: Floats) -> Floats:
        """The mean alone."""
        covariance_CS = self.spread**2 * correlation_CS
        mean_C: Floats = self.mean + covariance_CS @ self._solved(self.value_S - self.mean)
        return mean_C

    def _solved(self, of_S: Floats) -> Floats:
        """The covariance's inverse times `of_S`. Through LAPACK itself: SciPy's checks take longer than the sums."""
        solved_S: Floats = scipy.linalg.lapack.dpotrs(self.factor, of_S, lower=True)[0]
        return solved_S


def expected_improvement(mean_C: Floats, sd_C: Floats, best: float) -> Floats:
    """Below `best`, of values with these means and standard deviations, (C,) (Jones et al. 1998)."""
    gain_C = best - mean_C
    z_C = gain_C / sd_C
    improvement_C: Floats = gain_C * scipy.special.ndtr(z_C) + sd_C * np.exp(-(z_C**2) / 2) / math.sqrt(
        2 * math.pi
    )
    return improvement_C


def _squared_distances(one_CD: Floats, other_SD: Floats) -> Floats:
    """(C, S)."""
    squares = (one_CD**2).sum(axis=1)[:, None] + (other_SD**2).sum(axis=1) - 2 * one_CD @ other_SD.T
    return np.maximum(squares, 0.0)
