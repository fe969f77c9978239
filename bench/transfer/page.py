"""docs/transfer.md, from whatever is recorded."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from bench.transfer import least_share, one_seed, rules
from bench.transfer.agreement import LEAST, Agreement, Array, agreement, between_seeds, scores
from bench.transfer.recording import Row
from bench.transfer.schedules import Chosen
from bench.transfer.settings import SEEDS, SETTINGS, Setting
from spaces import PRESETS

# Cheap settings that a search could use together: the geometric mean of their distances.
COMBINATIONS = (
    ("film_mlp_2000", "mlp_2000"),
    ("mlp_2000", "fast_waves_1000"),
    ("film_mlp_2000", "mlp_2000", "fast_waves_1000"),
    ("mlp_2000", "small_unet_500"),
    ("mlp_2000", "small_unet_2000"),
)
# The digits' proxies whose samples are measured in other ways too.
_MEASURED = ("film_mlp_2000", "mlp_2000", "fast_waves_1000", "small_unet_500", "small_unet_2000")
_MEASURES = {
    "one evaluation, strided_cnn": ("1", "fd_strided_cnn"),
    "one, pixels": ("1", "fd_pixels"),
    "two, digits_cnn": ("2", "fd_digits_cnn"),
    "two, strided_cnn": ("2", "fd_strided_cnn"),
}
_BASELINE = "ict"
_COVERAGE = ("setting", "schedules", "trials", "CPU s a trial", "rank correlation of its two seeds")
_INTRODUCTION = """# Which cheap settings tell what holds elsewhere?

A search can only afford to look in a cheap setting: a small network, few steps. This page says how far the order of
schedules there is their order in a network, a budget or a data set that it stands for. The same {num_schedules}
schedules are trained in every setting, on the same {num_seeds} seeds: the presets, the best recorded ones of `film_mlp`
with and without a uniform floor, points that fill the search space of searches/digits.yaml with floors up to .2. Why
the orders differ: [why-schedules-transfer.md](why-schedules-transfer.md).

Recorded so far: {num_trials:,} of {num_wanted:,} trials. `nice -n 19 python -m bench transfer` records what is missing,
all of it with `--anew`; `python -m bench transfer --report` writes this page and the table, `bench/transfer/table/`.
"""
_LEGEND = """
**Rank correlation**: Spearman's, over the schedules that both have. **Better half**: the same among those that are
best in the target. **Winner**: what the proxy ranks first. The regret of taking it: **/ best** and **/ ict** are its
Frechet distance in the target over that of the target's best and of the preset ict there (1.00: as good as it). Values
are geometric means over seeds; brackets are 95 % bootstrap intervals over schedules and seeds. Several proxies with
`+`: the geometric mean of their distances. A target with fewer than {least} schedules in common with a proxy has no row
of it.
"""


class Page:
    """The page as text. rows: by setting; order: the schedules."""

    def __init__(self, rows: Mapping[str, Sequence[Row]], order: Sequence[Chosen]):
        self._rows, self._order = rows, order
        self._scores = {setting.name: scores(rows.get(setting.name, ()), order) for setting in SETTINGS}
        baseline = PRESETS[_BASELINE].schedule
        self._baseline = next(i for i, chosen in enumerate(order) if chosen.schedule == baseline)

    def text(self) -> str:
        """All of it."""
        count = sum(len(self._rows.get(setting.name, ())) for setting in SETTINGS)
        introduction = _INTRODUCTION.format(
            num_schedules=len(self._order),
            num_seeds=len(SEEDS),
            num_trials=count,
            num_wanted=len(SETTINGS) * len(self._order) * len(SEEDS),
        )
        parts = [
            introduction,
            "\n## What is recorded\n",
            _table(_COVERAGE, self._coverage()),
            "\n## Proxies\n" + _LEGEND.format(least=LEAST),
        ]
        for target in SETTINGS:
            if target.is_target:
                parts += [f"\n### Target: {target.text}\n", self._against(target)]
        head, *lines = least_share.lines(self._scores, self._order, self._baseline)
        parts += ["\n## A least share at both ends\n", least_share.TEXT, _table(head, lines)]
        parts += ["\n## Which rule, judged where it had no say\n", rules.TEXT, self._rules()]
        head, *lines = one_seed.lines(self._scores, self._order)
        parts += ["\n## What one seed tells of two presets\n", one_seed.TEXT, _table(head, lines)]
        parts += ["\n## By another measure\n", *self._other_measures()]
        parts += ["\n## Some schedules in all settings\n", *self._values()]
        return "\n\n".join(part.strip("\n") for part in parts) + "\n"

    def _coverage(self) -> Iterator[Sequence[str]]:
        for setting in SETTINGS:
            rows = self._rows.get(setting.name, ())
            seconds = [row["cpu_seconds"][-1] for row in rows if row["outcome"] == "complete"]
            between = between_seeds(self._scores[setting.name])
            yield (
                setting.text,
                str(int((~np.isnan(self._scores[setting.name])).any(axis=1).sum())),
                str(len(rows)),
                f"{statistics.median(seconds):.0f}" if seconds else "-",
                between.text() if between else "-",
            )

    def _proxies(self) -> Iterator[tuple[Setting, ...]]:
        by_name = {setting.name: setting for setting in SETTINGS}
        yield from ((setting,) for setting in SETTINGS)
        yield from (tuple(by_name[name] for name in names) for names in COMBINATIONS)

    def _against(self, target: Setting) -> str:
        found = []
        for proxy in self._proxies():
            if target not in proxy:
                of_proxy = [self._scores[setting.name] for setting in proxy]
                result = agreement(of_proxy, self._scores[target.name], self._baseline)
                if result is not None:
                    found.append((proxy, result))
        if not found:
            return f"Fewer than {LEAST} schedules are recorded in this setting and another one."
        head = (
            *("proxy", "CPU s", "schedules", "rank correlation", "better half"),
            *("winner", "winner / best", "winner / ict"),
        )
        found.sort(key=lambda pair: -pair[1].correlation.value)
        return _table(head, (self._line(proxy, result) for proxy, result in found))

    def _line(self, proxy: tuple[Setting, ...], result: Agreement) -> Sequence[str]:
        seconds = [
            statistics.median(row["cpu_seconds"][-1] for row in self._rows[setting.name]) for setting in proxy
        ]
        return (
            " + ".join(setting.text for setting in proxy),
            f"{sum(seconds):.0f}",
            str(result.num_schedules),
            result.correlation.text(),
            result.better_half.text(),
            self._order[result.winner].origin,
            result.over_best.text(),
            result.over_reference.text() if result.over_reference else "-",
        )

    def _rules(self) -> str:
        head, *lines = [*rules.lines(self._scores, self._order, self._baseline)] or [()]
        return _table(head, lines) if lines else rules.TOO_LITTLE

    def _other_measures(self) -> Iterator[str]:
        target = next(setting for setting in SETTINGS if setting.name == "unet_16_32_2000")
        yield (
            f"Rank correlation with the objective of {target.text}, of each proxy's\nlast samples by another measure: "
            "number of network evaluations, features. The objective is `digits_cnn` at one."
        )
        lines = []
        for name in _MEASURED:
            setting = next(each for each in SETTINGS if each.name == name)
            columns = [
                scores(self._rows.get(name, ()), self._order, of) for of in (None, *_MEASURES.values())
            ]
            results = [agreement([column], self._scores[target.name], self._baseline) for column in columns]
            if results[0] is not None:
                lines.append((setting.text, *(found.correlation.text() for found in results if found)))
        yield _table(("proxy", "objective", *_MEASURES), lines) if lines else "Too little is recorded for it."

    def _values(self) -> Iterator[str]:
        yield (
            "Frechet distances (the objective), geometric means over seeds; `-`: not recorded, `div.`: it diverged.\n"
            "Columns are the settings in the order of the first table."
        )
        named = [i for i, chosen in enumerate(self._order) if not chosen.origin.startswith("filling")]
        shown = [i for i in named if any((~np.isnan(of_SR[i])).any() for of_SR in self._scores.values())]
        shown.sort(key=lambda i: self._order[i].origin)
        head = ("schedule", *(str(n) for n in range(1, len(SETTINGS) + 1)))
        yield _table(
            head,
            (
                (self._order[i].origin, *(_distance(self._scores[setting.name], i) for setting in SETTINGS))
                for i in shown
            ),
        )


def _distance(scores_SR: Array, index: int) -> str:
    values = scores_SR[index][~np.isnan(scores_SR[index])]
    if not len(values):
        return "-"
    value = float(np.exp(values.mean()))
    return f"{value:.3g}" if value < 1e4 else "div."


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))
