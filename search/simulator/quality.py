"""How good what a search exports is, over many repeats: regret, compute, claims that turn out false."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from search.conductor import Plan
from search.leaderboard import Leaderboard, Row
from search.record import Stage
from search.simulator.replay import Curves, Replay
from search.simulator.simulation import Simulated, simulate

_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one simulated search came to.

    true_value: mean objective, over all recorded seeds, of the schedule that it exports; regret: how much that is
    above the best in the table. compute: in budgets of one trial, confirmation included. seconds: virtual.
    claims: it says "better than the best baseline". false: the baseline is as good or better.
    """

    true_value: float
    regret: float
    compute: float
    seconds: float
    trials: int
    claims: bool
    false: bool


@dataclass(frozen=True)
class Exported:
    """The schedule that a search gives out. claims: as better than `baseline`."""

    row: Row
    baseline: Row | None
    claims: bool


def exported(search: Simulated) -> Exported:
    """What `export` writes: the confirmed winner, without confirmation the best finished trial."""
    board = search.board
    winner = board.winner
    if winner is not None:
        difference = winner.difference
        claims = difference is not None and difference.excludes_zero and difference.mean < 0
        return Exported(winner, board.baseline, claims)
    assert board.best_unconfirmed is not None, "baselines always finish"
    return unconfirmed(board, board.best_unconfirmed)


def unconfirmed(board: Leaderboard, row: Row) -> Exported:
    """A schedule given out for the value seen in the search, which is all that the claim rests on."""
    baseline = min(
        (other for other in board.rows if other.record.stage is Stage.BASELINE),
        key=lambda other: _seen(other),
        default=None,
    )
    return Exported(row, baseline, baseline is not None and _seen(row) < _seen(baseline))


def _seen(row: Row) -> float:
    assert row.search_value is not None
    return row.search_value


def findings(
    plan: Plan, curves: Curves, repeats: int, export: Callable[[Simulated], Exported] = exported
) -> Iterator[Finding]:
    """Repeats 0, 1, ... of a search: other proposals, another training seed each.

    Repeat number r meets the same recorded seeds whatever the plan: contenders can be compared pair by pair.
    """
    for repeat in range(repeats):
        # Far apart, as the seeds next to a search's own are those of its replicates.
        seeded = dataclasses.replace(plan, seed=plan.seed + 100_000 * repeat)
        search = simulate(seeded, Replay(curves, repeat, seeded.seed))
        yield finding(search, export(search), curves)


def finding(search: Simulated, export: Exported, curves: Curves) -> Finding:
    """What a simulated search came to."""
    true_value = curves.true_value(export.row.record.schedule)
    false = export.claims and (
        export.baseline is None or true_value >= curves.true_value(export.baseline.record.schedule)
    )
    return Finding(
        true_value=true_value,
        regret=true_value - curves.best,
        compute=search.compute,
        seconds=search.seconds,
        trials=len(search.records),
        claims=export.claims,
        false=false,
    )


@dataclass(frozen=True)
class Interval:
    """An interquartile mean and its bootstrap interval."""

    mean: float
    low: float
    high: float

    def text(self, digits: int = 2) -> str:
        """`1.02 [0.81, 1.30]`."""
        return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def iqm(values_R: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean of the middle half of the values (Agarwal et al. 2021, arXiv:2108.13264)."""
    return float(trim_mean(np.asarray(values_R), 0.25))


def resamples(count: int, num: int = _RESAMPLES) -> NDArray[np.intp]:
    """Indices of `num` bootstrap samples of `count` repeats, (num, count); the same every time."""
    return np.random.default_rng(0).integers(count, size=(num, count))


def interval(values: Sequence[float]) -> Interval:
    """Interquartile mean with its 95 % percentile bootstrap interval over repeats."""
    means = trim_mean(np.asarray(values)[resamples(len(values))], 0.25, axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(iqm(values), float(low), float(high))
