"""docs/why-schedules-transfer.md, from results.json and from nothing else. Its words: `bench.why.words`."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from bench.why import words
from bench.why.laws import EXTRA, FLOORS, HIGH, LOW, SETTINGS, laws, wanted
from bench.why.measuring import LEVELS, NUM_HELD_OUT
from bench.why.results import Results
from bench.why.rule import LOOKED_AT, TOTAL_STEPS, Check, area, checks, judged_runs, missed_lines
from spaces import NoiseSchedule

_SHOWN = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 80.0)  # of LEVELS
_EDGES = (0.05, 0.3, 1.0, 5.0, 20.0)  # of the shares of draws
_RULE_HEAD = ("setting", "failed, warned of", "held, warned of", "warned of, failed")
_MISSED_HEAD = ("setting", "schedule", "below .3, above 1", "times ict")
_MAIN = ("ict", "narrow", "hang_gu_laplace")
_NAMES = {
    **{name: name for name in _MAIN},
    "narrow_low": f"narrow, {EXTRA:.0%} below {LOW:g}",
    "narrow_high": f"narrow, {EXTRA:.0%} above {HIGH:g}",
    **{f"narrow_floor_{floor:g}": f"narrow, floor {floor:g}" for floor in FLOORS},
}
_TEXTS = {setting.name: setting.text for setting in SETTINGS}


class Page:
    """The page as text."""

    def __init__(self, results: Results):
        self._results = results

    def text(self) -> str:
        """All of it."""
        rows = self._results.rows
        introduction = words.INTRODUCTION.format(
            num_runs=len(rows),
            num_wanted=len(wanted()),
            cpu_minutes=sum(row["cpu_seconds"] for row in rows) / 60,
            num_held_out=NUM_HELD_OUT,
        )
        levels = tuple(f"{sigma:g}" for sigma in _SHOWN)
        upward = (("mlp", "ict"), ("film_mlp", "ict"))
        drift = (
            ("mlp_normed", "hang_gu_laplace"),
            ("film_mlp_8000", "hang_gu_laplace"),
            ("film_mlp_8000", "narrow"),
        )
        made = [*checks(self._results.judged), *self._own_checks()]
        parts = [
            introduction,
            _table(("law", *_between()), _law_lines()),
            words.LEVELS,
            _table(("network", "law", *levels), self._at_the_end("frechet_TL", _MAIN)),
            words.UPWARD,
            _table(("network", "law", "step", *levels), self._over_time(upward)),
            words.RUNAWAY,
            _table(("network", "law", *levels), self._at_the_end("rms_TL", ("ict", "narrow"))),
            words.DRIFT,
            _table(("network", "law", "step", *levels), self._over_time(drift)),
            words.FLOOR,
            _table(("law", *(setting.text for setting in SETTINGS)), self._floors()),
            self._rule(),
            _table(_RULE_HEAD, (check.cells() for check in made)),
            words.MISSED,
            _table(_MISSED_HEAD, missed_lines(made)),
            words.ELSEWHERE,
        ]
        return "\n\n".join(part.strip("\n") for part in parts) + "\n"

    def _rule(self) -> str:
        found = self._results.judged
        rarest = area(found, lambda each: each.rarest)
        thinner = area(found, lambda each: min(each.below, each.above))
        return words.RULE.format(rarest=f"{rarest:.2f}", thinner=f"{thinner:.2f}", num_seen=len(LOOKED_AT))

    def _own_checks(self) -> Iterator[Check]:
        own = judged_runs(self._results.rows)
        own = [replace(each, origin=_NAMES[each.origin]) for each in own]
        for setting in SETTINGS:
            there = [each for each in own if setting.name in each.ratios]
            if there:
                yield Check(f"{setting.text}: the laws of this page", setting.name, there)

    def _at_the_end(self, measure: str, of: Sequence[str]) -> Iterator[Sequence[str]]:
        for setting in SETTINGS:
            for law in of:
                row = self._results.of(setting.name, law, 0)
                if row is not None and row[measure]:
                    yield (setting.text, _NAMES[law], *_values(row[measure][-1]))

    def _over_time(self, runs: Iterable[tuple[str, str]]) -> Iterator[Sequence[str]]:
        for setting, law in runs:
            row = self._results.of(setting, law, 0)
            if row is not None:
                for step, distances_L in zip(row["steps"], row["frechet_TL"], strict=True):
                    yield (_TEXTS[setting], _NAMES[law], f"{step:,}", *_values(distances_L))

    def _floors(self) -> Iterator[Sequence[str]]:
        for law, name in _NAMES.items():
            yield (name, *(self._distances(setting.name, law) for setting in SETTINGS))

    def _distances(self, setting: str, law: str) -> str:
        """From sigma_max, at the end, of each seed."""
        rows = [self._results.of(setting, law, seed) for seed in (0, 1)]
        last = [row["frechet_TL"][-1][-1] for row in rows if row is not None and row["frechet_TL"]]
        return ", ".join(map(_short, last)) or "-"


def _values(values_L: Sequence[float]) -> list[str]:
    return [_short(values_L[LEVELS.index(sigma)]) for sigma in _SHOWN]


def _short(value: float) -> str:
    """Three digits at most."""
    if value >= 1e4:
        return f"{value:.0e}".replace("e+0", "e")
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _between() -> list[str]:
    inner = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(_EDGES)]
    return [f"below {_EDGES[0]:g}", *inner, f"above {_EDGES[-1]:g}"]


def _law_lines() -> Iterator[Sequence[str]]:
    for law, schedule in laws().items():
        yield (_NAMES[law], *map(_share, _shares(schedule)))


def _shares(schedule: NoiseSchedule) -> list[float]:
    """Of all draws, between the edges."""
    grid, stages = schedule.grid, schedule.stages(TOTAL_STEPS)
    edges = np.log([grid.sigma_min, *_EDGES, grid.sigma_max])
    steps = np.diff([*(stage.start_step for stage in stages), TOTAL_STEPS])
    mass = sum(num * stage.mass(edges) for num, stage in zip(steps, stages, strict=True))
    found: list[float] = (mass / TOTAL_STEPS).tolist()
    return found


def _share(share: float) -> str:
    """In percent, or as a power of ten."""
    if share < 1e-9:
        return "0"
    return f"{100 * share:.2g} %" if share >= 1e-4 else f"1e{math.floor(math.log10(share))}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))
