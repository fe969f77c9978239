"""A comparison of presets as a table for a document."""

from search.evidence.leaderboard import Leaderboard
from search.evidence.row import Row, ratio_text
from search.screen.leaderboard_text import mean_text
from spaces import PRESETS
from spaces.sparkline import sparkline

NO_BREAK_SPACE = "\u00a0"


def markdown(board: Leaderboard) -> str:
    """A row for each preset: rank, name, density, what it is and whose, mean, ratio to the preset compared to.

    The density over ln sigma is that of `sparkline`. Its blanks are no-break spaces, which Markdown keeps.
    """
    reference = board.baseline.label if board.baseline else "none"
    lines = [
        f"| rank | preset | density over ln sigma | what, and whose | {board.objective} [95 %] "
        f"| to {reference} [95 %] |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_line(row) for row in board.rows),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    assert row.record.preset is not None
    cells = (
        row.rank_text,
        f"`{row.record.preset}`",
        f"`{sparkline(row.record.schedule).replace(' ', NO_BREAK_SPACE)}`",
        _summary(row.record.preset),
        mean_text(row),
        ratio_text(row),
    )
    return f"| {' | '.join(cells)} |"


def _summary(preset: str) -> str:
    return PRESETS[preset].summary if preset in PRESETS else "a schedule of one's own"
