"""Presets compared with one of them that was chosen beforehand."""

import re
import statistics
from pathlib import Path

import pytest

from search.evidence.leaderboard import Leaderboard, leaderboard
from search.record import Purpose, TrialRecord
from search.screen.comparison import NO_BREAK_SPACE, markdown
from search.screen.leaderboard_text import lines
from spaces import PRESETS
from spaces.sparkline import sparkline
from tests.records import record, replicates

VALUES = {"ict": (30.0, 33.0, 31.0), "vp": (24.0, 26.0, 25.5), "hn_polynomial_sin_master": (40.0, 41.0, 43.0)}


def compared(reference: str | None) -> Leaderboard:
    records: list[TrialRecord] = []
    for preset, (own, *others) in VALUES.items():
        first = len(records)
        records.append(record(first, own, purpose=Purpose.BASELINE, preset=preset))
        records += replicates(first, others, first=first + 1, preset=preset)
    return leaderboard("toy", "fd_toy", records, own_values=True, reference=reference)


def test_all_are_compared_with_the_preset_that_was_named_not_with_the_best() -> None:
    board = compared("ict")
    assert board.baseline is not None
    assert board.baseline.label == "ict"
    ratios = {row.label: row.ratio.mean if row.ratio else None for row in board.rows}
    means = {preset: statistics.geometric_mean(values) for preset, values in VALUES.items()}
    assert ratios == {
        "vp": pytest.approx(means["vp"] / means["ict"]),
        "ict": None,
        "hn_polynomial_sin_master": pytest.approx(means["hn_polynomial_sin_master"] / means["ict"]),
    }
    assert board.winner is not None
    assert board.winner.label == "vp"
    best = compared(None).baseline
    assert best is not None
    assert best.label == "vp"


def test_every_preset_has_its_line_with_interval_and_ratio() -> None:
    heading, *rows, _ = lines(compared("ict"), limit=1)[1:]
    assert "vs ict" in heading
    assert "in search" not in heading
    assert len(rows) == 2 * len(VALUES)  # and their schedules
    ends = {row.split()[-1] for row in rows[::2]}
    assert "baseline" in ends
    assert len({row.index("[") for row in rows[::2]}) == 1  # one below the other, long names included


def test_the_table_for_documents_names_the_sources() -> None:
    heading, rule, *rows = markdown(compared("ict")).splitlines()
    assert "fd_toy [95 %]" in heading
    assert "to ict [95 %]" in heading
    assert all(row.count("|") == heading.count("|") for row in (rule, *rows))
    for row, preset in zip(rows, ("vp", "ict", "hn_polynomial_sin_master"), strict=True):
        assert f"`{preset}`" in row
        assert PRESETS[preset].summary in row


def test_the_published_tables_have_every_preset_of_the_literature_as_it_is_described_now() -> None:
    text = (Path(__file__).parents[2] / "docs/literature.md").read_text()
    tables = [table for table in re.findall(r"^\| rank .*?\n\n", text, re.MULTILINE | re.DOTALL)]
    assert len(tables) == 2
    for table in tables:
        listed = re.findall(r"^\| \d+(?: tied)? \| `(\w+)` \| `(.+?)` \| (.+?) \| ", table, re.MULTILINE)
        assert len(listed) >= 23  # one that is dropped in later need not be published
        for preset, density, about in listed:
            assert PRESETS[preset].summary == about
            assert sparkline(PRESETS[preset].schedule) == density.replace(NO_BREAK_SPACE, " ")
        assert table.splitlines()[0].count("|") == markdown(compared("ict")).splitlines()[0].count("|")
