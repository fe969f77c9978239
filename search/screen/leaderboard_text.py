"""The leaderboard as text for a terminal."""

from search.evidence.conclusion import measure_lines, noise_line, setting_lines, stability_line
from search.evidence.leaderboard import Leaderboard
from search.evidence.row import Row, ratio_text
from search.evidence.texts import bounds_of, interval_text, number_text, percent_text
from search.record import State
from spaces.sparkline import LEGEND, sparkline


def lines(board: Leaderboard, limit: int = 12) -> list[str]:
    """The leaderboard for a terminal of 80 columns; at most `limit` rows of two lines each, of presets all."""
    if board.is_comparison:
        limit = len(board.rows)
    against = f"vs {board.baseline.label}" if board.is_comparison and board.baseline else "vs baseline"
    seen = "" if board.is_comparison else "in search"
    width = max([18, *(len(row.label) for row in board.rows[:limit])])
    text = [
        f"{board.name}: {board.objective}, lower is better",
        f"{'rank':<7} {'schedule':<{width}} {'mean [95 %]':>20} {against:>19} {seen:>11}".rstrip(),
    ]
    for row in board.rows[:limit]:
        text.append(_row_line(row, width, row is board.baseline, with_seen=not board.is_comparison))
        seeds = f"{len(row.replicates)} seeds: " if row.replicates else ""
        schedule = row.record.schedule
        text.append(f"        |{sparkline(schedule)}| {seeds}{schedule.describe()}")
    if len(board.rows) > limit:
        text.append(f"and {len(board.rows) - limit} more")
    if board.rows:
        text.append(LEGEND)
    return text


def evidence_lines(board: Leaderboard) -> list[str]:
    """How far the search can be trusted: noise, errors of early stopping, other settings and measures, the space."""
    seeds = [line for line in (stability_line(board), noise_line(board)) if line is not None]
    stopping = board.audit.lines() if board.audit is not None and board.audit.num_condemned else []
    return [*seeds, *stopping, *setting_lines(board), *measure_lines(board), *board.notes]


def _row_line(row: Row, width: int, is_baseline: bool, *, with_seen: bool) -> str:
    seen = "" if row.search_value is None or not with_seen else number_text(row.search_value)
    if row.record.state is not State.COMPLETE:
        step = row.record.reports[-1].step if row.record.reports else 0
        seen = f"{seen} at step {step}, {row.record.state}".strip()
    elif row.estimate is not None and row.search_value is not None and with_seen:
        seen = f"{seen} ({percent_text(row.search_value / row.estimate.mean)})"
    if row.estimate is None:
        return f"{row.rank_text:<7} {row.label:<{width}} {'not confirmed':>20} {'':>19} {seen:>11}"
    mean = mean_text(row)
    against = "baseline" if is_baseline else ratio_text(row)
    if not row.in_race:  # on too few seeds for an interval that says anything
        mean, against = number_text(row.estimate.mean), "left the race"
    return f"{row.rank_text:<7} {row.label:<{width}} {mean:>20} {against:>19} {seen:>11}".rstrip()


def mean_text(row: Row) -> str:
    """Mean over the seeds with its interval."""
    if row.estimate is None:
        return ""
    return number_text(row.estimate.mean) + interval_text(bounds_of(row.estimate), number_text)
