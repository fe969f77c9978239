"""The leaderboard in MLflow: files and note of the search's own run, and what the runs of its trials show of it."""

import html
import json
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from search.tracking import names, tables
from search.tracking.runs import Changes, Run, Runs

Row = Mapping[str, Any]  # of `search.evidence.row.Row.to_dict`

_MOST_IN_NOTE = 12
_MOST_PLACES = 200  # runs that are ordered; each is a request, and MLflow shows a hundred at once


def sync_board(runs: Runs, rows: Sequence[Row], objective: str, title: str, conclusion: str) -> Changes:
    """Store the leaderboard at the search's own run; the runs of its trials get their places, means, ratios.

    rows: best first. conclusion: of the search, for the note. A confirmed mean also becomes the metric
    `<objective>_confirmed` of its trial and, the first one, of the search's run.
    """
    parent, now_ms, confirmed = runs.parent, time.time_ns() // 1_000_000, f"{objective}_confirmed"
    pages = {
        "leaderboard.json": json.dumps(list(rows), indent=2, default=str) + "\n",
        "leaderboard.html": tables.html_table(rows, title),
    }
    changes = runs.write_texts(parent, pages)
    changes += runs.write(parent, tags={names.NOTE: names.tag_text(_note(runs, rows, conclusion))})
    means = [(row, mean) for row in rows if (mean := _confirmed_mean(row)) is not None]
    for row, mean in means:
        if (run := _run_of(runs, row)) is not None:
            changes += runs.renew(run, confirmed, mean, now_ms)
    for place, row in enumerate(rows[:_MOST_PLACES], start=1):
        if (run := _run_of(runs, row)) is not None:
            changes += runs.write(run, tags=_shown(row))
            changes += runs.renew(run, names.PLACE, float(place), now_ms)
    if means:
        changes += runs.renew(parent, confirmed, means[0][1], now_ms)
    return changes


def is_ranked(runs: Runs) -> bool:
    """Whether the runs of the trials have their places."""
    return any(names.PLACE in run.latest for run in runs.trials.values())


def _run_of(runs: Runs, row: Row) -> Run | None:
    """The run of a leaderboard row's trial."""
    return runs.trials.get(row.get("number", -1))


def _confirmed_mean(row: Row) -> float | None:
    mean = row.get("mean") if row.get("confirmed") else None
    return mean if isinstance(mean, float) and math.isfinite(mean) else None


def _shown(row: Row) -> dict[str, str]:
    """Tags that a table of runs shows, with few digits."""
    found = {names.RANK: _rank(row), names.MEAN: _mean(row), names.AGAINST: _ratio(row)}
    return {key: text for key, text in found.items() if text}


def _rank(row: Row) -> str:
    if row.get("rank") is None:
        return ""
    return f"{row['rank']}{' tied' if row.get('tied') else ''}"


def _mean(row: Row) -> str:
    """`9.94 [7.84, 12.6]`"""
    mean = _confirmed_mean(row)
    low, high = row.get("interval") or (None, None)
    bounds = f" [{low:.3g}, {high:.3g}]" if low is not None and high is not None else ""
    return "" if mean is None else f"{mean:.3g}{bounds}"


def _ratio(row: Row) -> str:
    """`-62 % [-69, -53]`"""
    ratio = row.get("ratio")
    low, high = row.get("ratio_interval") or (None, None)
    bounds = f" [{_percent(low)}, {_percent(high)}]" if low is not None and high is not None else ""
    return "" if ratio is None else f"{_percent(ratio)} %{bounds}"


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.0f}"


def _note(runs: Runs, rows: Sequence[Row], conclusion: str) -> str:
    """Markdown: the conclusion, where the page lies, the first rows."""
    parent = runs.parent
    page = f"#/experiments/{runs.experiment_id}/runs/{parent.run_id}/artifacts/report.html"
    lines = [_plain(conclusion), "", f"[The page of this search, with its pictures]({page})", ""]
    return "\n".join([*(lines if conclusion else []), *_table(rows[:_MOST_IN_NOTE])])


def _table(rows: Sequence[Row]) -> Iterator[str]:
    columns = (
        "rank",
        "trial",
        "mean over fresh seeds [95 %]",
        "vs baseline",
        "seen in the search",
        "schedule",
    )
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join(['---'] * len(columns))} |"
    for row in rows:
        seen = row.get("search_value")
        cells = (
            *(_rank(row) or "-", str(row.get("preset") or row.get("number", ""))),
            *(_mean(row) or "not confirmed", _ratio(row)),
            *("" if seen is None else f"{seen:.4g}", str(row.get("describe", ""))),
        )
        yield f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """Text that Markdown and HTML leave as it is."""
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", html.escape(text, quote=False))
