"""How far a proxy orders schedules as a target does, and what it costs to take the proxy's winner.

Axes: S schedules, R seeds, B bootstrap samples. Scores are ln of a distance, lower is better, NaN where not recorded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.transfer.recording import Row, key_of
from bench.transfer.schedules import Chosen
from bench.transfer.settings import SEEDS
from trainable.task import WORST_OBJECTIVE

Array = NDArray[np.float64]
_RESAMPLES = 2000
LEAST = 5  # schedules; fewer have no rank correlation worth the name


def scores(rows: Iterable[Row], order: Sequence[Chosen], measure: tuple[str, str] | None = None) -> Array:
    """scores_SR of one setting: of the objective, or of a measure (network evaluations, features)."""
    by_key = {key_of(row): row for row in rows}
    scores_SR = np.full((len(order), len(SEEDS)), np.nan)
    for index, chosen in enumerate(order):
        for column, seed in enumerate(SEEDS):
            row = by_key.get(key_of({"schedule": chosen.schedule.to_dict(), "seed": seed}))
            if row is not None:
                scores_SR[index, column] = np.log(_value(row, measure))
    return scores_SR


def _value(row: Row, measure: tuple[str, str] | None) -> float:
    if row["outcome"] != "complete":
        return WORST_OBJECTIVE
    if measure is None:
        return float(row["values"][-1])
    evaluations, features = measure
    return float(row["measures"][evaluations][features])


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Array) -> "Estimate":
        """From the value itself, first, and the bootstrap samples of it; those that are not defined are left out."""
        low, high = np.nanpercentile(samples[1:], [2.5, 97.5])
        return cls(float(samples[0]), float(low), float(high))

    def text(self, digits: int = 2) -> str:
        """`0.92 [0.81, 0.97]`."""
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


@dataclass(frozen=True)
class Agreement:
    """Of a proxy with a target.

    correlation: Spearman's, over schedules. better_half: the same among those that are best in the target. winner:
    index of the proxy's best. over_best, over_reference: its value in the target, over that of the target's best and
    of the reference; the last None where the reference is not there.
    """

    num_schedules: int
    correlation: Estimate
    better_half: Estimate
    winner: int
    over_best: Estimate
    over_reference: Estimate | None


def agreement(proxy: Sequence[Array], target_SR: Array, reference: int) -> Agreement | None:
    """proxy: scores_SR of each of its settings, which count alike. reference: index of a schedule, the baseline.

    Intervals are over schedules and seeds, both drawn with replacement; the seeds of each schedule and setting apart.
    None where fewer than LEAST schedules were trained in all of them.
    """
    common_S = np.flatnonzero(
        np.all([~np.isnan(scores_SR).all(axis=1) for scores_SR in (*proxy, target_SR)], axis=0)
    )
    if len(common_S) < LEAST:
        return None
    rng = np.random.default_rng(0)
    proxy_BS = np.mean([_means(scores_SR[common_S], rng) for scores_SR in proxy], axis=0)
    target_BS = _means(target_SR[common_S], rng)
    count = len(common_S)
    index_BS = np.vstack([np.arange(count), rng.integers(count, size=(_RESAMPLES, count))])
    drawn_BS, wanted_BS = (np.take_along_axis(of_BS, index_BS, axis=1) for of_BS in (proxy_BS, target_BS))
    place_B = drawn_BS.argmin(axis=1)[:, None]
    of_winner_B = np.take_along_axis(wanted_BS, place_B, axis=1)[:, 0]
    over_best_B = np.exp(of_winner_B - wanted_BS.min(axis=1))
    of_reference = np.flatnonzero(common_S == reference)
    over_reference = None
    if len(of_reference):
        over_reference = Estimate.of(np.exp(of_winner_B - target_BS[:, of_reference[0]]))
    return Agreement(
        num_schedules=count,
        correlation=Estimate.of(_spearman(drawn_BS, wanted_BS)),
        better_half=Estimate.of(_of_better_half(drawn_BS, wanted_BS)),
        winner=int(common_S[place_B[0, 0]]),
        over_best=Estimate.of(over_best_B),
        over_reference=over_reference,
    )


def between_seeds(scores_SR: Array) -> Estimate | None:
    """Rank correlation of the first two seeds, over schedules; None for fewer than LEAST."""
    both_SR = scores_SR[~np.isnan(scores_SR).any(axis=1)]
    count = len(both_SR)
    if count < LEAST:
        return None
    rng = np.random.default_rng(0)
    index_BS = np.vstack([np.arange(count), rng.integers(count, size=(_RESAMPLES, count))])
    return Estimate.of(_spearman(both_SR[index_BS, 0], both_SR[index_BS, 1]))


def _means(scores_SR: Array, rng: np.random.Generator) -> Array:
    """(B, S) means over seeds: first of all, then of as many drawn with replacement from those recorded."""
    count, num_seeds = scores_SR.shape
    first = np.sort(np.where(np.isnan(scores_SR), np.inf, scores_SR), axis=1)
    num_S = (~np.isnan(scores_SR)).sum(axis=1)
    column_BSR = (rng.random((_RESAMPLES, count, num_seeds)) * num_S[:, None]).astype(int)
    drawn_BSR = np.take_along_axis(np.broadcast_to(first, column_BSR.shape), column_BSR, axis=2)
    counted_BSR = np.arange(num_seeds) < num_S[:, None]
    means_BS = np.where(counted_BSR, drawn_BSR, 0).sum(axis=2) / num_S
    return np.vstack([np.nanmean(scores_SR, axis=1), means_BS])


def _spearman(one_BS: Array, other_BS: Array) -> Array:
    """(B,); NaN where all of one are equal."""
    ranks = [rankdata(of_BS, axis=1) for of_BS in (one_BS, other_BS)]
    centred = [of_BS - of_BS.mean(axis=1, keepdims=True) for of_BS in ranks]
    norm_B = np.prod([np.sqrt((of_BS**2).sum(axis=1)) for of_BS in centred], axis=0)
    with np.errstate(invalid="ignore"):
        found_B: Array = (centred[0] * centred[1]).sum(axis=1) / norm_B
    return found_B


def _of_better_half(proxy_BS: Array, target_BS: Array) -> Array:
    """(B,) rank correlation among the half that is best in the target."""
    half = max(3, round(target_BS.shape[1] / 2))
    index_BS = np.argsort(target_BS, axis=1, kind="stable")[:, :half]
    return _spearman(*(np.take_along_axis(of_BS, index_BS, axis=1) for of_BS in (proxy_BS, target_BS)))
