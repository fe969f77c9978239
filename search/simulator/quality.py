"""How good what a search exports is, over many repeats: regret, compute, claims that turn out false."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from search.errors import InputError
from search.evidence.leaderboard import Leaderboard
from search.evidence.row import Row
from search.file.holds import HoldsAt
from search.file.spec import SearchSpec
from search.record import Purpose
from search.running.plan_of import board_of, plan_of
from search.simulator.replay import Curves, Replay
from search.simulator.simulation import Simulated, simulate
from spaces import NoiseSchedule
from trainable.task import OWN

_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """The result of one simulated search.

    true_value: mean objective, over all recorded seeds, of the schedule that it exports. regret: how much that is
    above the best in the table. compute: in budgets of one trial, confirmation included. seconds: virtual.
    claims: whether it says "better than the best baseline". false: whether it does though the baseline is as good or
    better. elsewhere: by setting, its true value there over that of the best of the search's baselines; 1 for that one.
    """

    true_value: float
    regret: float
    compute: float
    seconds: float
    trials: int
    claims: bool
    false: bool
    elsewhere: Mapping[str, float] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether what it calls better is worse than the best baseline in no other setting."""
        return self.claims and not self.false and all(ratio <= 1 for ratio in self.elsewhere.values())


class Exported(NamedTuple):
    """The schedule that a search gives out.

    claims: whether it is called better than `baseline`, the best one.
    """

    row: Row
    baseline: Row | None
    claims: bool


def exported(board: Leaderboard) -> Exported:
    """What `export` writes: the confirmed winner, without confirmation the best finished trial."""
    if board.winner is None:
        if board.best_unconfirmed is None:
            raise InputError("no trial of the search finishes within its budget: there is nothing to export")
        return on_sight(board, board.best_unconfirmed)
    return Exported(board.winner, board.baseline, claims=board.winner.is_better)


def on_sight(board: Leaderboard, row: Row) -> Exported:
    """A schedule given out for the value seen in the search, which is all that its claim rests on."""

    def seen(row: Row) -> float:
        return math.inf if row.search_value is None else row.search_value

    baselines = [other for other in board.rows if other.record.purpose is Purpose.BASELINE]
    baseline = min(baselines, key=seen, default=None)
    return Exported(row, baseline, claims=baseline is not None and seen(row) < seen(baseline))


def played(
    spec: SearchSpec,
    curves: Curves,
    number: int,
    max_concurrent: int,
    elsewhere: Mapping[str, Curves] = MappingProxyType({}),
) -> tuple[SearchSpec, Simulated]:
    """The search with the seed of its repeat `number`, and how it went. elsewhere: see `repeat_search`."""
    # Far apart: the seeds next to a search's own are those of its replicates.
    seed = (spec.seed + 10_000 * number) % 2**31
    seeded = _played_in(spec, elsewhere).model_copy(update={"seed": seed})
    everywhere = {OWN: curves, **elsewhere}
    replays = {setting: Replay(there, number, seed) for setting, there in everywhere.items()}
    return seeded, simulate(plan_of(seeded, max_concurrent), replays)


def repeat_search(
    spec: SearchSpec,
    curves: Curves,
    repeats: Iterable[int],
    max_concurrent: int,
    export: Callable[[Leaderboard], Exported] = exported,
    elsewhere: Mapping[str, Curves] = MappingProxyType({}),
) -> Iterator[Repeat]:
    """The search played once for each number in `repeats`: other proposals, another recorded training seed.

    A repeat meets the same recorded seeds whatever the search: contenders can be compared repeat by repeat.
    elsewhere: curves by setting of `holds_at`; the search is played without the settings that are not among them.
    """
    for number in repeats:
        seeded, search = played(spec, curves, number, max_concurrent, elsewhere)
        given_out = export(board_of(seeded, list(search.records)))
        schedule = given_out.row.record.schedule
        true_value = curves.true_value(schedule)
        baseline = given_out.baseline
        yield Repeat(
            true_value=true_value,
            regret=true_value - curves.best,
            compute=search.compute,
            seconds=search.seconds,
            trials=len(search.records),
            claims=given_out.claims,
            false=given_out.claims
            and baseline is not None
            and true_value >= curves.true_value(baseline.record.schedule),
            elsewhere={name: _to_best_baseline(seeded, there, schedule) for name, there in elsewhere.items()},
        )


def _played_in(spec: SearchSpec, settings: Collection[str]) -> SearchSpec:
    kept = [
        entry
        for entry, setting in zip(spec.holds_at.settings, spec.settings, strict=True)
        if setting.name in settings
    ]
    holds_at = spec.holds_at.model_copy(update={"settings": kept}) if kept else HoldsAt()
    return spec.model_copy(update={"holds_at": holds_at})


def _to_best_baseline(spec: SearchSpec, curves: Curves, schedule: NoiseSchedule) -> float:
    return curves.true_value(schedule) / min(map(curves.true_value, spec.baselines.values()))


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
    generator = np.random.default_rng(0)
    return generator.integers(count, size=(num, count))


def interval(values: Sequence[float]) -> Interval:
    """Interquartile mean with its 95 % percentile bootstrap interval over repeats."""
    means = trim_mean(np.asarray(values)[resamples(len(values))], 0.25, axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(iqm(values), float(low), float(high))
