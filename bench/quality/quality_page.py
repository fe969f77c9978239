"""Searches compared at equal compute, and the page that shows it: docs/search-quality.md with its plot."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from bench.quality import curve_facts
from search.simulator.nearest import GAPS_WEIGHT, LEVELS_WEIGHT
from search.simulator.quality import resamples
from search.simulator.table import CurveTable
from spaces import PRESETS

COMPUTE = (20, 40, 60)  # budgets of one trial: where contenders are compared
YARDSTICK, STOCK = "random, none", "stock Ray wiring"
STOCK_HALVING = f"{STOCK}, by halves from 1/8"
STOCK_LATE = f"{STOCK}, by halves from 1/2"
_SHARE = "share of the budget"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """All repeats of one contender at one number of trials."""

    label: str
    trials: int
    compute: list[float]
    regret: list[float]
    claims: int
    false: int
    cpu_seconds: float


@dataclass(frozen=True, eq=False)
class Quality:
    """Regret over compute of one contender.

    compute_BR, regret_BR: of B numbers of trials, increasing, and R repeats. All resampled statistics use the same
    bootstrap samples of repeats, so that two contenders can be divided sample by sample.
    """

    label: str
    trials: tuple[int, ...]
    compute_BR: Array
    regret_BR: Array
    claims: tuple[int, ...]
    false: tuple[int, ...]
    best: float = field(kw_only=True)

    @classmethod
    def of(cls, cells: Sequence[Cell], best: float) -> "Quality":
        """From the cells of one contender. best: the best true value in the table."""
        cells = sorted(cells, key=lambda cell: cell.trials)
        return cls(
            cells[0].label,
            tuple(cell.trials for cell in cells),
            np.array([cell.compute for cell in cells]),
            np.array([cell.regret for cell in cells]),
            tuple(cell.claims for cell in cells),
            tuple(cell.false for cell in cells),
            best=best,
        )

    @cached_property
    def samples_SB(self) -> tuple[Array, Array]:
        """Interquartile means of compute and regret; row 0 of all repeats, the others of bootstrap samples."""
        count = self.regret_BR.shape[1]
        index_SR = np.vstack([np.arange(count), resamples(count)])
        means = [
            trim_mean(values_BR[:, index_SR], 0.25, axis=2).T
            for values_BR in (self.compute_BR, self.regret_BR)
        ]
        return means[0], means[1]

    def regret_at(self, compute: float) -> Array:
        """(S,) regret, linear in ln(compute) between the numbers of trials; NaN outside."""
        pairs = zip(*self.samples_SB, strict=True)
        return np.array(
            [np.interp(np.log(compute), np.log(c_B), r_B, left=np.nan, right=np.nan) for c_B, r_B in pairs]
        )

    def compute_to(self, regret_S: Array) -> Array:
        """(S,) the least compute from which on regret is at most so high; inf if it never is.

        Where it is already so at the fewest trials, their compute: an upper bound.
        """
        compute_SB, own_SB = self.samples_SB
        found = []
        for c_B, r_B, target in zip(compute_SB, own_SB, regret_S, strict=True):
            above = np.flatnonzero(r_B > target)
            if len(above) == 0:
                found.append(c_B[0])
            elif (last := above[-1]) == len(r_B) - 1:
                found.append(np.inf)
            else:
                share = (r_B[last] - target) / (r_B[last] - r_B[last + 1])
                found.append(c_B[last] * (c_B[last + 1] / c_B[last]) ** share)
        return np.array(found)


def spread(values_S: Array, digits: int = 2, scale: float = 1.0) -> str:
    """`1.02 [0.81, 1.30]`: the first value with the 95 % interval of the others; - where there is none."""
    if not np.isfinite(values_S[0]):
        return "never" if np.isposinf(values_S[0]) else "-"
    low, high = np.nanpercentile(scale * values_S[1:], [2.5, 97.5], method="nearest")
    return f"{scale * values_S[0]:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *rows])


def quality_table(found: Sequence[Quality], default: str) -> str:
    """Regret at equal compute, the best first; claims at the trials of the middle column."""
    at = {quality.label: [quality.regret_at(compute) for compute in COMPUTE] for quality in found}
    last = len(COMPUTE) - 1

    def order(quality: Quality) -> float:
        return float(np.nan_to_num(at[quality.label][last][0], nan=np.inf))

    rows = []
    for quality in sorted(found, key=order):
        name = f"**{quality.label}** (default)" if quality.label == default else quality.label
        repeats = quality.regret_BR.shape[1]
        claims = f"{sum(quality.claims)} of {repeats * len(quality.trials)}, {sum(quality.false)}"
        rows.append([name, *(spread(regret_S) for regret_S in at[quality.label]), claims])
    return markdown(["", *(f"regret at {compute}" for compute in COMPUTE), "claims, false"], rows)


def target_lines(found: Mapping[str, Quality], default: str) -> list[str]:
    """The two targets, met or not."""
    lines = []
    ours = found[default]
    for label in (YARDSTICK, f"{YARDSTICK}, confirmed"):
        yardstick = found[label]
        for index, trials in enumerate(yardstick.trials):
            if trials < 40:
                continue
            compute_SB, regret_SB = yardstick.samples_SB
            ratio_S = ours.compute_to(regret_SB[:, index]) / compute_SB[:, index]
            met = "met" if ratio_S[0] <= 0.25 else "not met"
            lines.append(
                f"- Compute to the final regret of `{label}` at {trials} trials "
                f"({spread(regret_SB[:, index])} at {compute_SB[0, index]:.0f}), over its compute: "
                f"{spread(ratio_S)}. Target 0.25: {met}."
            )
    for label in (STOCK, STOCK_HALVING, STOCK_LATE):
        for compute in COMPUTE:
            own_S, stock_S = ours.regret_at(compute), found[label].regret_at(compute)
            if not np.isfinite(own_S[0]) or not np.isfinite(stock_S[0]) or stock_S[0] <= 0:
                lines.append(f"- Regret over that of `{label}` at compute {compute}: not both there.")
                continue
            ratio_S = own_S / np.where(stock_S > 0, stock_S, np.nan)
            met = "met" if ratio_S[0] <= 0.5 else "not met"
            lines.append(
                f"- Regret over that of `{label}` at compute {compute}: {spread(ratio_S)}. Target 0.5: {met}."
            )
    return lines


def losses(found: Mapping[str, Quality], default: str) -> list[str]:
    """Where the default is beaten at equal compute."""
    lines = []
    for compute in COMPUTE:
        own_S = found[default].regret_at(compute)
        better = []
        for quality in found.values():
            difference_S = own_S - quality.regret_at(compute)
            if difference_S[0] > 0:
                better.append((difference_S, quality.label))
        better.sort(key=lambda pair: -pair[0][0])
        names = "; ".join(f"`{label}` by {spread(difference_S)}" for difference_S, label in better)
        if np.isfinite(own_S[0]):
            lines.append(f"- At compute {compute}: {names or 'by none'}.")
    return lines


# The rule by which a schedule is called better and leaves the race, as it was when the searches were played.
INTERVALS = (
    "Claims and the race are those of the present intervals: the noise of other schedules of the same kind, all means "
    "and\nratios together."
)
_FORMER_INTERVALS = (
    "**Claims and the race are those of former intervals**, not of the present ones\n"
    "([how-a-winner-is-chosen.md](how-a-winner-is-chosen.md)). The command above, some 29 CPU-minutes (`--repeats` "
    "makes it\nshorter), plays them anew."
)

_PAGE = """\
# How good is what a search exports?

Whole searches, played on {num_curves} recorded learning curves of {num_schedules} schedules: conductor, algorithm,
stopping rule and confirmation are those of a real search, only the training is looked up (`search/simulator/`).
{repeats} repeats. Made by `python -m bench.quality.search_quality searches/digits.yaml`; all numbers are in
`search-quality.json`. What the file does for other settings (`holds_at`, `space.ends`) is left out: the curves are of
one, and what is best there is often what fails elsewhere.
{interval_rule}

**Regret**: true value of the exported schedule (mean over all its recorded seeds) minus that of the best, which is
{best:.2f}; the best preset has {best_preset:.2f}. **Compute**: all steps trained, confirmation included, in budgets of
one trial. Interquartile means over repeats with 95 % bootstrap intervals; between numbers of trials by interpolation
in the logarithm of compute, `-` outside of what was played. **Claims**: searches, over all numbers of trials, that call
their schedule better than the best preset; false: it is not. Without confirmation the claim is that the value seen
was lower.

![Regret over compute](search-quality.png)

{quality}

## Targets

{targets}

## Who beats the default

{losses}

{recipe}## What the curves say

### Noise between seeds: raw or logarithm?

Standard deviation between training seeds of one schedule. Slope of its logarithm over that of the mean: 0 if the noise
is the same everywhere, 1 if it is proportional to the mean, so that the logarithm makes it the same. Rank correlation
with the mean, over schedules: the better scale is closer to 0.

{noise}

At the full budget, medians over the quarters of the schedules from best to worst, and the first preset:

{levels}

### The intervals

How often the 95 % interval of the ratio of two schedules holds the true one, and its median width in ln, on some seeds
each: Student's t as it is, and with the variance moderated by the noise of other schedules, which is what is used
(`search/evidence/intervals.py`). Among the schedules with all seeds the noise differs as variances with {degrees:.1f}
degrees of freedom do.

{intervals}

### Rungs

Spearman's rank correlation of the value at a rung with the final one, within a seed.

{rungs}

### Common random numbers

Variance of the difference of two schedules' ln(objective) on the same seed, over that on different seeds; all pairs of
{common_schedules} schedules with {common_seeds} seeds each.

{common}

### The surrogate

How the model of `density_gp` orders schedules that it has not seen: rank correlation with their true values and root
mean square error in ln, from some schedules drawn at random, on one seed each; `mean` is the error of saying the mean.

{predictions}

### The look-up

How well the nearest other schedule predicts: mean |difference| of ln(true value), rank correlation. A schedule drawn at
random: {at_random:.3f}. In use: weight {levels_weight:g} for the number of levels.

{look_up}

## How it was made

```
{made}
```

Curves: `{recorded}`. Data {data}, feature network {extractor}. Playing took {cpu_hours:.1f} CPU hours.
"""


_RECIPE = """\
## With gap, weight and constant searched too

The same over the space of `{command}`, on {num_curves} curves of {num_schedules} schedules, {repeats} repeats. The best
recorded schedule has {best:.2f} (`{best_schedule}`), the best preset {best_preset:.2f}. Recorded: `{recorded}`.

{quality}

Who beats the default there:

{losses}

How the model of `density_gp` orders schedules of this space that it has not seen, as below: with its place for gap,
weight and constant, and without.

{predictions}

The look-up there, as below; in use: weight {gaps_weight:g}.

{look_up}

"""


def page(
    document: Mapping[str, Any],
    table: CurveTable,
    recipe: tuple[Mapping[str, Any], CurveTable] | None = None,
) -> str:
    """docs/search-quality.md. recipe: the results over a space with gap, weight and loss, and its curves."""
    return _PAGE.format(
        recipe="" if recipe is None else _RECIPE.format(**_of_recipe(*recipe)),
        **_comparison(document),
        targets="\n".join(target_lines(qualities(document), document["default"])),
        **_noise(table, document["preset"]),
        **_rungs(table),
        **_models(table),
        **_making(document, table),
    )


def intervals_of(document: Mapping[str, Any]) -> str:
    """By which rule schedules were called better."""
    return INTERVALS if document["about"].get("intervals") == INTERVALS else _FORMER_INTERVALS


def _comparison(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the searches came to."""
    found, default = qualities(document), document["default"]
    return {
        "repeats": document["about"]["repeats"],
        "interval_rule": intervals_of(document),
        "best": document["best"],
        "best_preset": document["best_preset"],
        "quality": quality_table(list(found.values()), default),
        "losses": "\n".join(losses(found, default)),
    }


def _of_recipe(document: Mapping[str, Any], table: CurveTable) -> dict[str, Any]:
    numbers = (15, 25, 40, 80)
    known, without = (
        curve_facts.surrogate_predictions(table, numbers, whole=whole) for whole in (True, False)
    )
    rows = [
        [
            str(one.num_known),
            *(f"{figure:.2f}" for figure in (one.rank_correlation, one.error)),
            *(f"{figure:.2f}" for figure in (other.rank_correlation, other.error, other.at_random)),
        ]
        for one, other in zip(known, without, strict=True)
    ]
    head = ["known", "rank correlation", "error", "without: rank correlation", "error", "mean"]
    about = table.about["about"]
    return {
        **_comparison(document),
        "command": document["file"],
        "num_curves": int(table.recorded_SR.sum()),
        "num_schedules": len(table.schedules),
        "best_schedule": table.schedules[int(table.true_S.argmin())].describe(),
        "recorded": json.dumps({name: about[name] for name in ("git_commit", "num_curves", "cpu_hours")}),
        "predictions": markdown(head, rows),
        "gaps_weight": GAPS_WEIGHT,
        "look_up": _look_up(table, of_gaps=True)["look_up"],
    }


def _noise(table: CurveTable, preset: str) -> dict[str, Any]:
    """The noise between seeds, and intervals over few of them."""
    scales = [
        [fraction, one.ln_sd.text(3), one.slope.text(), one.raw.text(), one.log.text()]
        for fraction, one in zip(_fractions(table), curve_facts.seed_noise(table), strict=True)
    ]
    levels = {
        f"quarter {index}": level for index, level in enumerate(curve_facts.noise_levels(table), start=1)
    }
    levels[preset] = curve_facts.preset_noise(table, PRESETS[preset].schedule)
    intervals = [
        [
            str(one.num_seeds),
            *(f"{figure:.3f}" for figure in (one.plain, one.plain_width, one.moderated, one.moderated_width)),
        ]
        for one in curve_facts.interval_coverage(table, (2, 3, 5, 8))
    ]
    return {
        "noise": markdown([_SHARE, "sd of ln, pooled", "slope", "raw sd ~ mean", "sd of ln ~ mean"], scales),
        "levels": markdown(
            ["", "mean", "sd", "sd of ln"],
            [[name, f"{one.mean:.1f}", f"{one.sd:.2f}", f"{one.ln_sd:.3f}"] for name, one in levels.items()],
        ),
        "degrees": curve_facts.spread_degrees(table),
        "intervals": markdown(["seeds", "plain", "width", "moderated", "width"], intervals),
    }


def _rungs(table: CurveTable) -> dict[str, Any]:
    """What a value at a rung, and one on the same seed, say."""
    every, quarter = curve_facts.rung_correlations(table), curve_facts.rung_correlations(table, 0.25)
    num_schedules, num_seeds, common = curve_facts.common_random_numbers(table)
    correlations = [
        [fraction, one.text(), other.text()]
        for fraction, one, other in zip(_fractions(table), every, quarter, strict=False)
    ]
    variances = [[fraction, one.text()] for fraction, one in zip(_fractions(table), common, strict=False)]
    return {
        "rungs": markdown([_SHARE, "all schedules", "truly best quarter"], correlations),
        "common_schedules": num_schedules,
        "common_seeds": num_seeds,
        "common": markdown([_SHARE, "same seed / different seeds"], variances),
    }


def _models(table: CurveTable) -> dict[str, Any]:
    """How well schedules that were not seen are predicted: by the surrogate, by the nearest other one."""
    predictions = [
        [str(one.num_known), f"{one.rank_correlation:.2f}", f"{one.error:.2f}", f"{one.at_random:.2f}"]
        for one in curve_facts.surrogate_predictions(table, (15, 25, 40, 80))
    ]
    head = ["known", "rank correlation", "error", "mean"]
    return {"predictions": markdown(head, predictions), **_look_up(table)}


def _look_up(table: CurveTable, *, of_gaps: bool = False) -> dict[str, Any]:
    weights = sorted({0.0, 0.03, 0.1, 0.3, 1.0, LEVELS_WEIGHT, *([GAPS_WEIGHT] if of_gaps else [])})
    look_ups, at_random = curve_facts.look_up(table, weights)
    rows = [[f"{one.levels_weight:g}", f"{one.error:.3f}", f"{one.rank_correlation:.2f}"] for one in look_ups]
    return {
        "at_random": at_random,
        "levels_weight": LEVELS_WEIGHT,
        "look_up": markdown(["weight", "error", "rank correlation"], rows),
    }


def _making(document: Mapping[str, Any], table: CurveTable) -> dict[str, Any]:
    """What all of it was made with."""
    about = document["about"]
    return {
        "num_curves": int(table.recorded_SR.sum()),
        "num_schedules": len(table.schedules),
        "made": "\n".join([*about["heading"], f"commit    {about['git_commit']}"]),
        "recorded": json.dumps(table.about["about"]),
        "data": table.about["data_sha256"][:12],
        "extractor": table.about["extractor_sha256"][:12],
        "cpu_hours": sum(cell["cpu_seconds"] for cell in document["cells"]) / 3600,
    }


def _fractions(table: CurveTable) -> list[str]:
    return [f"{step / table.steps[-1]:g}" for step in table.steps]


def qualities(document: Mapping[str, Any]) -> dict[str, Quality]:
    """Contenders by label."""
    cells = [Cell(**cell) for cell in document["cells"]]
    labels = dict.fromkeys(cell.label for cell in cells)
    return {
        label: Quality.of([cell for cell in cells if cell.label == label], document["best"])
        for label in labels
    }


def plot(path: Path, found: Mapping[str, Quality], default: str) -> None:
    """Regret over compute as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    # One colour for each search, whether its winner is confirmed (solid) or not (dashed).
    shown = [YARDSTICK, "random, asha", STOCK, "tpe, asha", "same_rung_tpe, asha", "density_gp, none"]
    shown += [default.removesuffix(", confirmed")]
    figure, axes = pyplot.subplots(figsize=(8, 5), dpi=120)
    for index, label in enumerate(shown):
        for quality, style in ((found.get(label), "--"), (found.get(f"{label}, confirmed"), "-")):
            if quality is None:
                continue
            compute_SB, regret_SB = quality.samples_SB
            low_B, high_B = np.percentile(regret_SB[1:], [2.5, 97.5], axis=0)
            name = f"{quality.label} (default)" if quality.label == default else quality.label
            axes.plot(
                compute_SB[0], regret_SB[0], style, color=f"C{index}", marker="o", markersize=3, label=name
            )
            axes.fill_between(compute_SB[0], low_B, high_B, color=f"C{index}", alpha=0.08, linewidth=0)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("compute, in budgets of one trial")
    axes.set_ylabel("true regret of the exported schedule")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)
