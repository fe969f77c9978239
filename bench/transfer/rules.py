"""Which rule for finding a schedule is best, judged in settings that had no part in choosing it: a part of the page.

A rule trains all schedules in cheap settings and takes the best by the geometric mean, or, with a shortlist, the best
of the last few after each further setting has put away half of them, as `holds_at.shortlist` does.

Axes: S schedules.
"""

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.transfer.agreement import LEAST, Array, Estimate
from bench.transfer.least_share import least
from bench.transfer.schedules import Chosen
from bench.transfer.settings import SETTINGS

FEWEST_SCHEDULES, FEWEST_SETTINGS = 20, 4
_RESAMPLES = 400
_SHARES = (0.0, 0.05, 0.1)
_CHEAP = (
    ("film_mlp_2000",),
    ("mlp_2000",),
    ("fast_waves_1000",),
    ("small_unet_500",),
    ("film_mlp_2000", "mlp_2000"),
    ("mlp_2000", "small_unet_500"),
    ("film_mlp_2000", "mlp_2000", "small_unet_500"),
)
# How many are in a shortlist, and in which settings it is halved. The first is that of searches/digits.yaml.
SHORTLISTS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (6, ("mlp_2000", "small_unet_500", "film_mlp_8000")),
    (4, ("mlp_2000", "film_mlp_8000", "small_unet_2000")),
)
TEXT = """A rule names one of the schedules, which is looked at in the settings that the rule does not train in:
**/ ict**, the geometric mean of its Frechet distances over those of ict. **Share**: of its draws, what a schedule must
have at each end to be named. **Taken**: two settings at a time have no say; of the rules that do not train in them,
the one that is best in the others is taken. **Held out**: what the rules that were taken name, in the two. Brackets are
95 % bootstrap intervals over schedules."""
TOO_LITTLE = f"It needs {FEWEST_SCHEDULES} schedules that are recorded in each of {FEWEST_SETTINGS} settings."


@dataclass(frozen=True)
class Rule:
    """names: of the settings, by the mean of which the best are found. shortlist: how many of these are left, and the
    settings that then halve them."""

    names: tuple[str, ...]
    share: float
    shortlist: tuple[int, tuple[str, ...]] = (1, ())

    @property
    def used(self) -> frozenset[str]:
        """All settings it trains in."""
        return frozenset(self.names + self.shortlist[1])

    @property
    def text(self) -> str:
        """Of it, for a table."""
        text_of = {setting.name: setting.text for setting in SETTINGS}
        found = " + ".join(text_of[name] for name in self.names)
        count, names = self.shortlist
        if names:
            found += f"; the best {count} in " + ", ".join(text_of[name] for name in names)
        return found + (f"; share {100 * self.share:g} %" if self.share else "")

    def winner(self, scores_of: Mapping[str, Array], least_S: Array) -> int:
        """Index of the schedule it names. scores_of: ln of distances (S,), by setting. least_S: shares at the ends."""
        left_S = np.flatnonzero(least_S >= self.share)
        seen = [scores_of[name] for name in self.names]
        count, names = self.shortlist
        for place, name in enumerate(names):
            left_S = _best(left_S, seen, math.ceil(count / 2**place))
            seen.append(scores_of[name])
        return int(_best(left_S, seen, 1)[0])


def _best(left_S: NDArray[Any], seen: Sequence[Array], count: int) -> NDArray[Any]:
    mean_S = np.mean([scores_S[left_S] for scores_S in seen], axis=0)
    return left_S[np.argsort(mean_S, kind="stable")[:count]]


def rules(names: frozenset[str]) -> list[Rule]:
    """All that train in these settings only, and leave two to be held out."""
    listed = (
        Rule(cheap, share, shortlist)
        for cheap in _CHEAP
        for share in _SHARES
        for shortlist in ((1, ()), *(SHORTLISTS if cheap == ("film_mlp_2000",) else ()))
    )
    return [rule for rule in listed if rule.used <= names and len(names - rule.used) >= 2]


def lines(scores_of: Mapping[str, Array], order: Sequence[Chosen], baseline: int) -> Iterator[Sequence[str]]:
    """Rows of the table, its head first; none where too little is recorded.

    scores_of: ln of the distances (S, seeds), by setting. baseline: index of ict.
    """
    is_there = {name: ~np.isnan(scores_SR).all(axis=1) for name, scores_SR in scores_of.items()}
    names = sorted(name for name, there_S in is_there.items() if there_S.sum() >= FEWEST_SCHEDULES)
    common_S = np.flatnonzero(np.all([is_there[name] for name in names], axis=0)) if names else np.array([])
    if len(names) < FEWEST_SETTINGS or len(common_S) < FEWEST_SCHEDULES:
        return
    ratios_of = {
        name: np.nanmean(scores_of[name][common_S], axis=1) - np.nanmean(scores_of[name][baseline])
        for name in names
    }
    least_S = np.array([least(order[index]) for index in common_S])
    considered = [rule for rule in rules(frozenset(names)) if (least_S >= rule.share).sum() >= LEAST]
    rng = np.random.default_rng(0)
    drawn_BS = [np.arange(len(common_S)), *rng.integers(len(common_S), size=(_RESAMPLES, len(common_S)))]
    played = [
        _played(
            considered, {name: ratios_S[drawn_S] for name, ratios_S in ratios_of.items()}, least_S[drawn_S]
        )
        for drawn_S in drawn_BS
    ]
    yield (f"rule, of {len(common_S)} schedules", "/ ict in the others", "worst", "taken")
    for number, rule in enumerate(considered):
        of_rule = [each.elsewhere[number] for each in played]
        yield (rule.text, *_cells(of_rule), f"{played[0].taken.count(number)} of {len(played[0].taken)}")
    yield ("**held out: those taken**", *_cells([each.held_out for each in played]), "")


def _cells(played: Sequence[Sequence[float]]) -> tuple[str, str]:
    """Geometric mean with its interval, and the worst. played: ln ratios, of all schedules and of each resample."""
    means = Estimate.of(np.exp([np.mean(ratios) for ratios in played]))
    return means.text(), f"{np.exp(max(played[0])):.2f}"


@dataclass(frozen=True)
class _Played:
    """elsewhere: by rule, the ln ratios in the settings that it does not train in. taken: number of the rule, for each
    pair that is held out. held_out: the ln ratios there, of all pairs."""

    elsewhere: list[list[float]]
    taken: list[int]
    held_out: list[float]


def _played(considered: Sequence[Rule], ratios_of: Mapping[str, Array], least_S: Array) -> _Played:
    names = sorted(ratios_of)
    winners = [rule.winner(ratios_of, least_S) for rule in considered]
    found = [
        {name: float(ratios_of[name][winner]) for name in names if name not in rule.used}
        for rule, winner in zip(considered, winners, strict=True)
    ]
    taken, held_out = [], []
    for pair in itertools.combinations(names, 2):
        means = {
            number: statistics.fmean(ratio for name, ratio in ratios.items() if name not in pair)
            for number, ratios in enumerate(found)
            if set(pair) < set(ratios)  # the rule trains in neither, and there are others
        }
        if means:  # some rule does not train in them
            best = min(means, key=lambda number: means[number])
            taken.append(best)
            held_out += [found[best][name] for name in pair]
    return _Played([list(ratios.values()) for ratios in found], taken, held_out)
