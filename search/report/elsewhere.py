"""Where the finding holds: schedules against the best baseline in other settings than the search's."""

from typing import Any

from search.evidence.intervals import Estimate
from search.report.found import Found, plotted

LEFT_OUT = "left out"


def ratios(found: Found) -> list[dict[str, Any]]:
    """Ratios to the best baseline, the search's own setting first: setting, schedule, ratio, low, high, verdict, seeds.

    Of the schedules that were trained in another setting; [] where there is none. A baseline may be LEFT_OUT there.
    """
    labels = {row.record.number: row for row in found.board.rows}
    elsewhere = [
        _point(
            setting.setting,
            labels[held.record.number].label,
            held.ratio,
            LEFT_OUT if held.left_out else held.verdict,
        )
        for setting in found.board.settings
        for held in setting.rows
        if held.ratio is not None and held.record.number in labels
    ]
    tried = {held.record.number for setting in found.board.settings for held in setting.rows}
    here = [
        _point("as searched", row.label, row.ratio, _verdict(row.ratio))
        for row in found.board.rows
        if row.record.number in tried and row.ratio is not None
    ]
    return [*here, *elsewhere] if elsewhere else []


def _point(setting: str, label: str, ratio: Estimate, verdict: str) -> dict[str, Any]:
    return {
        "setting": setting,
        "schedule": label,
        "ratio": plotted(ratio.mean),
        "low": plotted(ratio.mean if ratio.low is None else ratio.low),
        "high": plotted(ratio.mean if ratio.high is None else ratio.high),
        "verdict": verdict,
        "seeds": ratio.num_seeds,
    }


def _verdict(ratio: Estimate) -> str:
    return "better" if ratio.below_one else "worse" if ratio.above_one else "tied"
