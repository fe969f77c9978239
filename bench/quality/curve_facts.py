"""What the recorded curves say about the noise between seeds, intervals, rungs, the surrogate and the look-up.

Axes: S schedules, R training seeds, T steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import polygamma
from scipy.stats import spearmanr

from search.algorithms._surrogate import Surrogate, embedding
from search.evidence.intervals import ratio
from search.evidence.noise import SeedNoise as PooledNoise
from search.evidence.noise import pooled
from search.simulator.nearest import Nearest
from search.simulator.table import CurveTable
from spaces import NoiseSchedule
from trainable.task import WORST_OBJECTIVE

_RESAMPLES = 300
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimated:
    """A statistic of the schedules and its 95 % percentile bootstrap interval over them."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, count: int, statistic: Callable[[NDArray[np.intp]], float]) -> "Estimated":
        """statistic: of the schedules with these indices below `count`."""
        drawn = np.random.default_rng(0).integers(count, size=(_RESAMPLES, count))
        low, high = np.percentile([statistic(index) for index in drawn], [2.5, 97.5])
        return cls(statistic(np.arange(count)), float(low), float(high))

    def text(self, digits: int = 2) -> str:
        """`.82 [.75, .88]`."""
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def finite_SRT(table: CurveTable) -> Array:
    """Objectives of the schedules that never diverged."""
    diverged_SRT = table.values_SRT >= WORST_OBJECTIVE
    return table.values_SRT[~np.any(diverged_SRT, axis=(1, 2))]


@dataclass(frozen=True)
class SeedNoise:
    """The noise between seeds of one schedule, at one step.

    ln_sd: pooled standard deviation of ln(objective). slope: of ln(standard deviation) over ln(mean): 0 where noise
    adds a constant, 1 where it multiplies by one, so that a logarithm makes it equal. raw, log: rank correlation over
    schedules of the standard deviation, on either scale, with the mean; the better scale is closer to 0.
    """

    step: int
    ln_sd: Estimated
    slope: Estimated
    raw: Estimated
    log: Estimated


def seed_noise(table: CurveTable) -> list[SeedNoise]:
    """The noise at every step."""
    found = []
    values_SRT = finite_SRT(table)
    for step, values_SR in zip(table.steps, np.moveaxis(values_SRT, 2, 0), strict=True):
        mean_S = np.nanmean(values_SR, axis=1)
        sd_S = np.nanstd(values_SR, axis=1, ddof=1)
        ln_sd_S = np.nanstd(np.log(values_SR), axis=1, ddof=1)
        freedom_S = (~np.isnan(values_SR)).sum(axis=1) - 1

        def pooled(index_S: NDArray[np.intp], sd_S: Array = ln_sd_S, freedom_S: Array = freedom_S) -> float:
            return float(np.sqrt(np.average(sd_S[index_S] ** 2, weights=freedom_S[index_S])))

        def slope(index_S: NDArray[np.intp], mean_S: Array = mean_S, sd_S: Array = sd_S) -> float:
            return float(np.polyfit(np.log(mean_S[index_S]), np.log(sd_S[index_S]), 1)[0])

        def with_mean(sd_S: Array, mean_S: Array = mean_S) -> Callable[[NDArray[np.intp]], float]:
            return lambda index_S: float(spearmanr(mean_S[index_S], sd_S[index_S]).statistic)

        count = len(mean_S)
        found.append(
            SeedNoise(
                step,
                Estimated.of(count, pooled),
                Estimated.of(count, slope),
                Estimated.of(count, with_mean(sd_S)),
                Estimated.of(count, with_mean(ln_sd_S)),
            )
        )
    return found


@dataclass(frozen=True)
class NoiseLevel:
    """Noise between seeds at the full budget; of a group of schedules, medians over them."""

    mean: float
    sd: float
    ln_sd: float


def noise_levels(table: CurveTable, groups: int = 4) -> list[NoiseLevel]:
    """From the truly best group of schedules to the worst."""
    values_SR = finite_SRT(table)[:, :, -1]
    mean_S = np.nanmean(values_SR, axis=1)
    sd_S = np.nanstd(values_SR, axis=1, ddof=1)
    ln_sd_S = np.nanstd(np.log(values_SR), axis=1, ddof=1)
    return [
        NoiseLevel(*(float(np.median(of_S[group])) for of_S in (mean_S, sd_S, ln_sd_S)))
        for group in np.array_split(np.argsort(mean_S), groups)
    ]


def preset_noise(table: CurveTable, schedule: NoiseSchedule) -> NoiseLevel:
    """The same of one schedule."""
    values_R = table.values_SRT[table.schedules.index(schedule), :, -1]
    values_R = values_R[~np.isnan(values_R)]
    return NoiseLevel(*map(float, (values_R.mean(), values_R.std(ddof=1), np.log(values_R).std(ddof=1))))


def spread_degrees(table: CurveTable) -> float:
    """Degrees of freedom that the noise of all schedules is worth for one of them; inf: all have the same noise.

    Of the variances of ln(objective) at the full budget of the schedules with most seeds, by the moments of their
    logarithms (Smyth 2004, section 6.2).
    """
    ln_SR = np.log(_replicated_SR(table))
    degrees = ln_SR.shape[1] - 1
    spread = float(np.var(np.log(ln_SR.var(axis=1, ddof=1)), ddof=1)) - float(polygamma(1, degrees / 2))
    if spread <= polygamma(1, 1e4):
        return float("inf")
    return 2 * float(brentq(lambda half: float(polygamma(1, half)) - spread, 1e-3, 1e4))


def _replicated_SR(table: CurveTable) -> Array:
    """Objectives at the full budget of the schedules that were trained on all seeds and never diverged."""
    values_SR = finite_SRT(table)[:, :, -1]
    return values_SR[~np.isnan(values_SR).any(axis=1)]


@dataclass(frozen=True)
class Coverage:
    """How often the 95 % interval of two schedules' ratio holds the true one, and its median width in ln."""

    num_seeds: int
    plain: float
    plain_width: float
    moderated: float
    moderated_width: float


def interval_coverage(table: CurveTable, num_seeds: Sequence[int], draws: int = 4000) -> list[Coverage]:
    """Of `search.evidence.intervals.ratio` with and without the noise of other schedules; seeds are drawn with
    replacement.

    True is what all recorded seeds say. The noise is that of five schedules on three seeds each, drawn anew.
    """
    values_SR = _replicated_SR(table)
    ln_S = np.log(values_SR).mean(axis=1)
    rng = np.random.default_rng(0)

    def noise() -> PooledNoise:
        groups = [rng.choice(values_SR[s], 3).tolist() for s in rng.choice(len(values_SR), 5, replace=False)]
        found = pooled(groups)
        assert found is not None
        return found

    found = []
    for count in num_seeds:
        held: list[list[bool]] = [[], []]
        widths: list[list[float]] = [[], []]
        for _ in range(draws):
            one, other = rng.choice(len(values_SR), 2, replace=False)
            columns = rng.choice(values_SR.shape[1], count)
            here, there = (dict(enumerate(values_SR[s, columns].tolist())) for s in (one, other))
            for kind, prior in enumerate((None, noise())):
                interval = ratio(here, there, prior and prior.of_ratio_to(prior))
                if interval is None or interval.low is None or interval.high is None:
                    continue
                low, high = np.log([interval.low, interval.high])
                held[kind].append(bool(low <= ln_S[one] - ln_S[other] <= high))
                widths[kind].append(high - low)
        figures = [figure for kind in (0, 1) for figure in (np.mean(held[kind]), np.median(widths[kind]))]
        found.append(Coverage(count, *map(float, figures)))
    return found


@dataclass(frozen=True)
class Prediction:
    """How the surrogate orders schedules that it has not seen, from some that it has; means over draws."""

    num_known: int
    rank_correlation: float
    error: float
    at_random: float


def surrogate_predictions(
    table: CurveTable, num_known: Sequence[int], draws: int = 30, whole: bool = False
) -> list[Prediction]:
    """From schedules drawn at random, each on one seed. error: root mean square in ln(true value).

    whole: with the places of gap, weight and loss.
    """
    embedding_SD = np.stack(
        [embedding(schedule, table.steps[-1], whole=whole) for schedule in table.schedules]
    )
    ln_S = np.log(table.true_S)
    column = table.seeds.index(table.common_seeds[0])
    seen_S = np.log(np.minimum(table.values_SRT[:, column, -1], 1e4))
    rng = np.random.default_rng(0)
    found = []
    for count in num_known:
        figures = []
        for _ in range(draws):
            known = rng.choice(len(ln_S), count, replace=False)
            others = np.setdiff1d(np.arange(len(ln_S)), known)
            surrogate = Surrogate.fitted(embedding_SD[known], seen_S[known], np.zeros(count))
            mean_C = surrogate(embedding_SD[others])[0]
            errors = [mean_C - ln_S[others], seen_S[known].mean() - ln_S[others]]
            correlation = float(spearmanr(mean_C, ln_S[others]).statistic)
            figures.append([correlation, *(float(np.sqrt(np.mean(error**2))) for error in errors)])
        found.append(Prediction(count, *np.mean(figures, axis=0).tolist()))
    return found


def rung_correlations(table: CurveTable, best_share: float = 1.0) -> list[Estimated]:
    """Spearman's rank correlation of the objective at each step with the final one, over schedules.

    Within one seed, as a search sees them; mean over the seeds that all schedules have. best_share: among the
    truly best of them only.
    """
    order = np.argsort(table.true_S)[: max(3, round(best_share * len(table.true_S)))]
    columns = [table.seeds.index(seed) for seed in table.common_seeds]
    values_SRT = table.values_SRT[order][:, columns]

    def correlation(step: int) -> Callable[[NDArray[np.intp]], float]:
        def mean(index_S: NDArray[np.intp]) -> float:
            seeds = range(len(columns))
            drawn = values_SRT[index_S]
            return float(np.mean([spearmanr(drawn[:, r, step], drawn[:, r, -1]).statistic for r in seeds]))

        return mean

    return [Estimated.of(len(order), correlation(step)) for step in range(len(table.steps) - 1)]


def common_random_numbers(table: CurveTable) -> tuple[int, int, list[Estimated]]:
    """Variance of the difference of two schedules' ln(objective) under the same seed over that under different seeds.

    At each step, over all pairs of the schedules that were trained on all seeds. First: how many schedules, seeds.
    """
    values_SRT = finite_SRT(table)
    values_SRT = values_SRT[~np.isnan(values_SRT[:, :, -1]).any(axis=1)]
    count, num_seeds, _ = values_SRT.shape

    def ratio(values_SR: Array) -> Callable[[NDArray[np.intp]], float]:
        ln_SR = np.log(values_SR)

        def of(index_S: NDArray[np.intp]) -> float:
            drawn_SR = ln_SR[np.unique(index_S)]  # a schedule against itself differs by nothing
            covariance_SS = np.cov(drawn_SR)
            variance = np.trace(covariance_SS)
            pairs = len(drawn_SR) * (len(drawn_SR) - 1)
            mean_covariance = (covariance_SS.sum() - variance) / pairs
            return float(1 - mean_covariance / (variance / len(drawn_SR)))

        return of

    if count < 3:
        return count, num_seeds, []
    steps = range(len(table.steps))
    return count, num_seeds, [Estimated.of(count, ratio(values_SRT[:, :, t])) for t in steps]


@dataclass(frozen=True)
class LookUp:
    """How well a schedule's nearest other predicts it: mean |difference| of ln(true value), rank correlation."""

    levels_weight: float
    error: float
    rank_correlation: float


def look_up(table: CurveTable, weights: Sequence[float]) -> tuple[list[LookUp], float]:
    """Left-one-out, for each weight; and the error of a schedule drawn at random."""
    ln_S = np.log(table.true_S)
    found = []
    for weight in weights:
        nearest = Nearest(table.schedules, weight)
        distance_SS = np.stack([nearest.distances(schedule) for schedule in table.schedules])
        np.fill_diagonal(distance_SS, np.inf)
        predicted_S = ln_S[distance_SS.argmin(axis=1)]
        correlation = float(spearmanr(ln_S, predicted_S).statistic)
        found.append(LookUp(weight, float(np.abs(ln_S - predicted_S).mean()), correlation))
    pairs = np.abs(ln_S[:, None] - ln_S)[~np.eye(len(ln_S), dtype=bool)]
    return found, float(pairs.mean())
