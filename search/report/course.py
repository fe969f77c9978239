"""The sections with how the search went: learning curves, progress, what mattered, options, cost."""

from search.record import State
from search.report import course_charts as charts
from search.report.cost import efficiency_text, spent
from search.report.curves import drawn, kind_of, points
from search.report.found import Found
from search.report.importance import FEWEST, importances
from search.report.parameters import Against, against_options
from search.report.progress import best_so_far, outlook_text
from search.report.section import Column, Picture, Section, Table, number
from search.screen.words import STATE_WORDS


def learning_curves(found: Found, key: str) -> Section:
    """Of all trials, with the rungs."""
    shown = drawn(found.records)
    if not shown:
        return Section(id=f"{key}-curves", title="Learning curves", lines=["No trial has a value yet."])
    kinds = [kind_of(record) for record in shown]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    text = (
        f"{found.objective} of {len(shown)} trials on a logarithmic scale ({counts}); dashed lines are the rungs at "
        f"step {', '.join(map(str, found.rungs))}. Pale trials were stopped at one. A click names a trial."
    )
    lines = []
    measured = sum(bool(record.reports) and record.is_comparable for record in found.records)
    if len(shown) < measured:
        lines = [
            f"{len(shown)} of {measured} trials with values are drawn: all baselines, audits, fresh seeds, the best, "
            "and a fair draw of the rest."
        ]
    spec = charts.learning_curves(points(shown), found.rungs, found.objective, text)
    return Section(
        id=f"{key}-curves",
        title="Learning curves",
        lines=lines,
        pictures=[Picture(f"{key}-curves-picture", spec, text)],
    )


def progress(found: Found, key: str) -> Section:
    """Best so far against compute."""
    points_ = best_so_far(found)
    if not points_:
        lines = ["No trial has run to its end yet."]
        return Section(id=f"{key}-progress", title="Best so far", lines=lines)
    first, last = points_[0], points_[-1]
    text = (
        f"Best {found.objective} seen at the full budget: {number(first['value'])} after {first['trainings']:.1f} full "
        f"trainings, {number(last['value'])} after {last['trainings']:.1f}"
    )
    text += "; the band is the noise of one seed (95 %)." if "low" in last else "."
    return Section(
        id=f"{key}-progress",
        title="Best so far",
        lines=[outlook_text(found)],
        pictures=[Picture(f"{key}-best", charts.best_so_far(points_, found.objective, text), text)],
    )


def importance(found: Found, key: str) -> Section:
    """Of each option and of each band of ln sigma."""
    ours, title = importances(found), "What matters"
    if ours is None:
        lines = [
            f"What matters cannot be told before {FEWEST} trials of the search have a value at one step."
        ]
        return Section(id=f"{key}-importance", title=title, lines=lines)
    method = (
        f"PED-ANOVA of {ours.num_trials} trials at step {ours.step}: how much the best tenth differs from all of them. "
        "Bars are shares of the whole. The method draws nothing at random, so no seed changes them; lines are their "
        "spread over resampled trials: what other trials of the same kind would say."
    )
    pictures = []
    for name, rows in (("options", ours.options), ("bands", ours.bands)):
        if not rows:
            continue
        top = ", ".join(f"{row['name']} {row['mean']:.0%}" for row in rows[:3])
        if name == "options":
            text, label = f"Importance of each option of the space; the most: {top}.", "importance"
        else:
            text = f"Importance of how much of the training lies in each band of ln sigma; the most: {top}."
            label = "importance of the share of training in the band"
            order = {row["name"]: float(row["name"].split()[1]) for row in rows}
            rows = tuple(sorted(rows, key=lambda row: -order[row["name"]]))
        spec = charts.importances(rows, label, text, in_order=name == "bands")
        pictures.append(Picture(f"{key}-{name}", spec, text))
    return Section(id=f"{key}-importance", title=title, lines=[method], pictures=pictures)


def options(found: Found, key: str) -> Section:
    """The objective against each option."""
    ours, title = against_options(found), "Each option"
    if not ours:
        return Section(id=f"{key}-options", title=title, lines=["No trial of the search has a value yet."])
    pictures = [
        Picture(f"{key}-option-{index}", charts.against_option(one, found.objective, text), text)
        for index, one in enumerate(ours)
        for text in [_option_text(found, one)]
    ]
    lines = [
        "Squares ran to the full budget, pale circles were stopped before; dashed lines are the ends of the range."
    ]
    winner = found.board.winner or found.board.best_unconfirmed
    ends = (
        found.space.at_ends(winner.record.schedule) if winner is not None and found.space is not None else []
    )
    if winner is not None and ends:
        lines.append(f"{winner.label} lies at an end of what was searched: {', '.join(ends)}.")
    return Section(id=f"{key}-options", title=title, lines=lines, pictures=pictures)


def _option_text(found: Found, one: Against) -> str:
    best = min(one.points, key=lambda point: (point["reached"] != "full budget", point["value"]))
    where = "" if one.low is None else f", searched from {one.low:g} to {one.high:g}"
    return f"{found.objective} against {one.name}{where}; the best of {len(one.points)} has {best['x']}."


def cost(found: Found, key: str) -> Section:
    """By purpose, and what failed."""
    rows = spent(found)
    columns = [Column("purpose"), *(Column(name, True) for name in ("trials", "steps", "hours of trials"))]
    if found.gpu:
        columns.append(Column("GPU hours", True))
    cells = [
        [row.purpose, str(row.trials), f"{row.steps:,}", f"{row.hours:.2f}"]
        + ([f"{row.hours * found.gpu:.2f}"] if found.gpu else [])
        for row in rows
    ]
    pictures = []
    if any(row.steps for row in rows):
        text = "Optimizer steps: " + ", ".join(f"{row.purpose} {row.steps:,}" for row in rows) + "."
        points_ = [{"purpose": row.purpose, "trials": row.trials, "steps": row.steps} for row in rows]
        pictures = [Picture(f"{key}-cost-picture", charts.cost(points_, text), text)]
    return Section(
        id=f"{key}-cost",
        title="Cost",
        lines=[efficiency_text(found)],
        pictures=pictures,
        tables=[*([Table(columns, cells)] if cells else []), *_without_result(found)],
    )


def _without_result(found: Found) -> list[Table]:
    """Trials that failed or diverged."""
    bad = [record for record in found.records if record.state in (State.FAILED, State.DIVERGED)]
    if not bad:
        return []
    columns = [Column("trial", True), Column("state"), Column("why"), Column("schedule")]
    rows = [
        [str(record.number), STATE_WORDS[record.state], record.reason or "", record.schedule.describe()]
        for record in bad[:200]
    ]
    return [Table(columns, rows, folded=f"{len(bad)} trials failed or diverged")]
