"""How searches stand, as text."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from search.screen.words import ENDED_WORDS, left_text, seconds_text, value_text

Status = dict[str, Any]


def table(statuses: Sequence[Status]) -> list[str]:
    """A line for each search, below a heading."""
    rows = [("search", "state", "trials", "slot-hours", "GPU-hours", "best")]
    for status in statuses:
        if "trials" not in status:
            rows.append((status["name"], status["state"], "", "", "", status["problem"] or ""))
            continue
        rows.append(
            (
                status["name"],
                status["state"],
                _progress(status["trials"]),
                _hours(status["slot_hours"]),
                _hours(status["gpu_hours"]) if status["gpu_hours"] else "-",
                status["problem"] or _best_text(status),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    right = (False, False, True, True, True)
    return [
        "  ".join(
            [
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row[:5], widths, right, strict=True)
            ]
            + [row[5]]
        ).rstrip()
        for row in rows
    ]


def details(status: Status) -> list[str]:
    """All that is known of one search."""
    since = status.get("running_seconds")
    lasts = (f" for {seconds_text(since)}" if since else "") + _left_text(status)
    lines = [f"{status['name']}: {status['state']}{lasts}"]
    if status["problem"]:
        lines.append(f"  problem  {status['problem']}")
    if "trials" in status:
        lines += [*_trial_lines(status), *_best_lines(status), _cost_line(status)]
    if status.get("folder"):
        lines.append(f"  folder   {status['folder']}")
    if status.get("finding"):
        lines.append(f"  {status['finding']}")
    return lines


def _left_text(status: Status) -> str:
    left = status.get("seconds_left")  # a head with an older checkout sends none
    if left is None:
        return ""
    return f", {left_text(left[0], math.inf if left[1] is None else left[1])}"


def _trial_lines(status: Status) -> list[str]:
    trials = status["trials"]
    still_open = "running" if status["state"] == "running" else "interrupted"
    counts = {still_open: trials["open"], **{word: trials[word] for word in ENDED_WORDS.values()}}
    counted = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    lines = [f"  trials   {_progress(trials)}: {counted}"]
    if trials.get("shortlist_ended"):  # a head with an older checkout sends none
        most = trials["shortlist_most"]
        lines.append(
            f"  shortlist {trials['shortlist_ended']} of at most {most} trials of the best in other settings"
        )
    if trials["confirm_ended"]:
        most = trials["confirm_most"]
        lines.append(f"  confirm  {trials['confirm_ended']} of at most {most} trials on fresh seeds")
    if trials.get("hold_ended"):  # a head with an older checkout sends none
        lines.append(
            f"  holds    {trials['hold_ended']} of at most {trials['hold_most']} trials in other settings"
        )
    return lines


def _best_lines(status: Status) -> list[str]:
    lines = [f"  best     {_best_text(status)}"]
    if status["best"]:
        density = status["best"].get("density")  # a head with an older checkout sends none
        shown = f"|{density}| " if density is not None else ""
        lines.append(f"           {shown}{status['best']['schedule']}")
    return lines


def _cost_line(status: Status) -> str:
    gpu = f", {_hours(status['gpu_hours'])} GPU-hours" if status["gpu_hours"] else ""
    return f"  cost     {_hours(status['slot_hours'])} slot-hours{gpu}"


def _progress(trials: Mapping[str, Any]) -> str:
    most = trials["most"]
    return f"{trials['ended']}/{most}" if most is not None else str(trials["ended"])


def _best_text(status: Status) -> str:
    best = status["best"]
    if best is None:
        return "none yet"
    at = f" at step {best['step']} of {status['total_steps']}" if best["step"] < status["total_steps"] else ""
    return f"{status['objective']} {value_text(best['value'])}{at}, {best['title']}"


def _hours(hours: float) -> str:
    return f"{hours:.2f}" if hours < 100 else f"{hours:.0f}"
