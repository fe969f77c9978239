"""The sections with the answer: who leads, what their schedules are, each value, where it holds, how to use it."""

from collections.abc import Mapping
from typing import Any

from search.evidence.conclusion import shortlist_lines
from search.evidence.intervals import Estimate
from search.evidence.row import Row, ratio_text
from search.evidence.texts import bounds_of, interval_text
from search.record import State, has_diverged
from search.report import answer_charts as charts
from search.report.densities import densities, level_counts, peak
from search.report.elsewhere import LEFT_OUT, ratios
from search.report.found import Found
from search.report.section import Code, Column, Image, Picture, Section, Table, number
from search.report.seeds import averages, means, seed_values
from search.report.usage import uses
from search.screen.words import STATE_WORDS

_ALWAYS, _MOST = 12, 300  # rows of the leaderboard that are shown, and that the page has


def leaderboard(found: Found, key: str) -> Section:
    """Means with intervals as bars, and the table."""
    points, baseline = means(found), found.board.baseline
    pictures = []
    if points:
        at = baseline.estimate.mean if baseline is not None and baseline.estimate is not None else None
        text = "; ".join(
            f"{point['schedule']} {number(point['mean'])} [{number(point['low'])}, {number(point['high'])}]"
            for point in points
        )
        text = f"{found.objective}, mean over fresh seeds with its 95 % interval, lower is better: {text}."
        if at is not None and baseline is not None:
            text += f" The dashed line is {baseline.label}, the best baseline."
        pictures = [Picture(f"{key}-intervals", charts.intervals(points, at, found.objective, text), text)]
    lines = (
        []
        if points
        else ["No schedule is confirmed on fresh seeds; values seen in the search are partly luck."]
    )
    return Section(
        id=f"{key}-leaderboard",
        title="Leaderboard",
        lines=lines,
        pictures=pictures,
        tables=_board_tables(found),
    )


def _board_tables(found: Found) -> list[Table]:
    columns = [
        *(Column("rank"), Column("schedule"), Column("mean [95 %]", True), Column("vs baseline", True)),
        *(Column("seeds", True), Column("seen in the search", True), Column("what it is")),
    ]
    rows = [_board_row(found, row) for row in found.board.rows[:_MOST]]
    left = len(found.board.rows) - _MOST
    tables = [Table(columns, rows[:_ALWAYS])] if rows else []
    if len(rows) > _ALWAYS:
        more = f"{len(rows) - _ALWAYS} more" + (f" of {left + _MOST - _ALWAYS}" if left > 0 else "")
        tables.append(Table(columns, rows[_ALWAYS:], folded=more))
    return tables


def _board_row(found: Found, row: Row) -> list[str]:
    record = row.record
    seen = "" if row.search_value is None else _value(row.search_value)
    if record.state is not State.COMPLETE:
        step = record.reports[-1].step if record.reports else 0
        seen = f"{seen} at step {step}, {STATE_WORDS[record.state]}".strip()
    against = "baseline" if row is found.board.baseline else ratio_text(row)
    if row.confirmed and not row.in_race and row is not found.board.baseline:
        against = f"{against} (left the race)".strip()
    mean = _estimate(row.estimate)
    return [
        row.rank_text,
        row.label,
        mean,
        against,
        str(len(row.replicates) or ""),
        seen,
        record.schedule.describe(),
    ]


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not confirmed"
    return number(estimate.mean) + interval_text(bounds_of(estimate), number)


def _value(objective: float) -> str:
    return "diverged" if has_diverged(objective) else number(objective)


def schedules(found: Found, key: str) -> Section:
    """Densities over one another, and N(k)."""
    rows = found.shown_rows
    if not rows:
        return Section(id=f"{key}-schedules", title="Schedules", lines=["No trial has run to its end yet."])
    texts = []
    for row in rows:
        median, densest = peak(row)
        texts.append(f"{row.label} the densest at {densest:.3g}, half of it below {median:.3g}")
    dense = f"How densely training visits each noise level, mean over the run: {'; '.join(texts)}."
    counts = level_counts(rows, found.total_steps)
    firsts = {str(point["schedule"]): point for point in reversed(counts)}
    lasts = {str(point["schedule"]): point for point in counts}
    changes = "; ".join(f"{name} {firsts[name]['levels']} to {lasts[name]['levels']}" for name in lasts)
    levels = f"Number of noise levels N(k) from the first step to the last: {changes}."
    return Section(
        id=f"{key}-schedules",
        title="Schedules",
        lines=["Options of different families do not compare; how often each noise level is trained does."],
        pictures=[
            Picture(f"{key}-densities", charts.densities(densities(rows), dense), dense),
            Picture(f"{key}-levels", charts.level_counts(counts, levels), levels),
        ],
        tables=[
            Table(
                [Column("schedule"), Column("options")],
                [[row.label, row.record.schedule.describe()] for row in rows],
            )
        ],
    )


def images(found: Found, key: str) -> Section:
    """Finalists and the baseline from the same latents, beside real images."""
    rows = {
        steps: [Image(grid.png, grid.title) for grid in grids if grid.png]
        for steps, grids in found.grids.items()
    }
    real, generated = rows.pop(0, []), [row for _, row in sorted(rows.items()) if row]
    missing = [grid for _, grids in sorted(found.grids.items()) for grid in grids if grid.png is None]
    lines = [f"{grid.title}: {grid.missing}." for grid in missing]
    if any(len(row) > 1 for row in generated):
        lines.insert(
            0, "Every model started from the same latents: the same place in two pictures is the same latent."
        )
    return Section(
        id=f"{key}-images",
        title="Images",
        lines=lines or ([] if real or generated else ["There are no images yet."]),
        images=[[*real, *row] for row in generated] or [real],
    )


def seeds(found: Found, key: str) -> Section:
    """Each value of each finalist, the noise floor, the audit."""
    points = seed_values(found)
    pictures = []
    if points:
        text = (
            f"Each value of {found.objective} at the full budget by schedule: circles on fresh seeds, crosses in the "
            "search, whose value is partly why a schedule is here. A click names the trial."
        )
        pictures = [Picture(f"{key}-seeds", charts.seed_values(points, found.objective, text), text)]
    rows = [[p["schedule"], str(p["seed"]), number(p["value"]), str(p["trial"]), p["when"]] for p in points]
    columns = [
        Column("schedule"),
        Column("seed", True),
        Column("value", True),
        Column("trial", True),
        Column("when"),
    ]
    tables = [Table(columns, rows, folded=f"all {len(rows)} values")] if rows else []
    horizons, means_of_averages = averages(found)
    if horizons:
        heads = [Column("schedule"), *(Column(f"EMA horizon {horizon}", True) for horizon in horizons)]
        tables.append(Table(heads, means_of_averages))
    return Section(
        id=f"{key}-evidence",
        title="Seeds, noise and audit",
        lines=found.evidence or ["What seeds alone make is not measured yet."],
        pictures=pictures,
        tables=tables,
    )


def elsewhere(found: Found, key: str) -> Section:
    """Where the finding holds, and where not."""
    points, title = ratios(found), "Where it holds"
    if not points:
        lines = [
            "Nothing was tried in other settings: another network, a longer training or other data may differ."
        ]
        return Section(id=f"{key}-holds", title=title, lines=lines)
    compared = [point for point in points if point["verdict"] != LEFT_OUT]
    text = "Against the best baseline, trained in the same setting: " + "; ".join(
        f"{point['setting']}, {point['schedule']} {_with_interval(point)}, {point['verdict']}"
        for point in compared
    )
    columns = [Column("setting"), Column("schedule"), Column("ratio [95 %]", True), Column("seeds", True)]
    rows = [
        [
            point["setting"],
            point["schedule"],
            _with_interval(point),
            str(point["seeds"]),
            point["verdict"],
        ]
        for point in points
    ]
    return Section(
        id=f"{key}-holds",
        title=title,
        lines=shortlist_lines(found.board),
        pictures=[Picture(f"{key}-ratios", charts.ratios(compared, found.objective, f"{text}."), f"{text}.")],
        tables=[Table([*columns, Column("there")], rows)],
    )


def _with_interval(point: Mapping[str, Any]) -> str:
    """A ratio of one seed has none."""
    ratio = number(point["ratio"])
    return ratio if point["seeds"] < 2 else f"{ratio} [{number(point['low'])}, {number(point['high'])}]"


def usage(found: Found, key: str) -> Section:
    """Three lines for each export."""
    found_uses = uses(found)
    if not found_uses:
        return Section(id=f"{key}-usage", title="How to use it", lines=["There is no winner to export yet."])
    return Section(
        id=f"{key}-usage",
        title="How to use it",
        codes=[Code(use.format, use.about, f"{use.command}\n{use.call}") for use in found_uses],
    )
