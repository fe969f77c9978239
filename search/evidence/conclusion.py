"""What a leaderboard says, in sentences, no stronger than its numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence

from search.evidence.holding import Held, InSetting
from search.evidence.intervals import Estimate
from search.evidence.leaderboard import Leaderboard
from search.evidence.measures import ByMeasure, Measure, problem_lines, worse_text
from search.evidence.row import Row, ratio_text
from search.evidence.stability import unseen_text
from search.evidence.texts import change_text, percent_text
from search.record import Purpose

_VERDICTS = {"worse": "worse", "tied": "not told apart", "better": "better"}


def sentence(board: Leaderboard) -> str:
    """The finding in words, no stronger than the numbers."""
    unstable = board.winner.instability if board.winner else ""
    return f"{_finding(board)}{' ' if unstable else ''}{unstable}{_missing_text(board)}"


def _finding(board: Leaderboard) -> str:
    winner, baseline = board.best_as_searched, board.baseline
    if winner is None or winner.estimate is None:
        return "No schedule is confirmed on fresh seeds yet."
    tied = _tied_text(board, winner)
    if baseline is None or board.is_comparison:
        return f"Best mean: {winner.label}.{tied}"
    if not baseline.confirmed:
        return f"Best mean: {winner.label}. No baseline was confirmed, so it is compared to none.{tied}"
    if winner is baseline:
        where = ", as searched" if board.settings else ""
        text = f"No schedule is shown to be better than the best baseline, {baseline.label}{where}."
        return f"{text}{tied}{_use_text(board, winner)}"
    seeds = winner.values.keys() & baseline.values.keys()
    lower = sum(winner.values[seed] < baseline.values[seed] for seed in seeds)
    verdict = "better than" if winner.is_better else "not shown to be better than"
    diverged = f", which diverged on {baseline.num_diverged} of them" if baseline.num_diverged else ""
    return (
        f"{winner.label} is {verdict} the best baseline, {baseline.label}: "
        f"{board.objective} {ratio_text(winner)}, lower on {lower} of {len(seeds)} fresh seeds{diverged}"
        f"{_limits_text(board, winner)}.{tied}{_use_text(board, winner)}"
    )


def _limits_text(board: Leaderboard, row: Row) -> str:
    """Where, and by what, the schedule is not better than the baseline, as the end of a sentence."""
    return _elsewhere_text(board, row) + worse_text(board.by_measures(row))


def _elsewhere_text(board: Leaderboard, row: Row) -> str:
    """How the schedule compares to the baseline in other settings, as the end of a sentence; the worst first."""
    texts: list[tuple[int, str]] = []
    for setting in board.settings:
        held = setting.row_of(row.record.number)
        if row.record.number in setting.failed:
            texts.append((0, f"failed with {setting.setting}"))
        elif held is None or held.ratio is None:
            texts.append((3, f"not compared with {setting.setting}"))
        else:
            word, change = _VERDICTS[held.verdict], change_text(held.ratio)
            than = _other_baseline(board, setting)
            text = f"{word} with {setting.setting} ({change}{than})"
            texts.append((list(_VERDICTS).index(held.verdict), text))
    if not texts:
        return ""
    texts.sort(key=lambda entry: entry[0])
    return f"; {'but ' if texts[0][0] == 0 else ''}{', '.join(text for _, text in texts)}"


def _other_baseline(board: Leaderboard, setting: InSetting) -> str:
    """Whom schedules are compared with in the setting, where it is another one than in the search."""
    if board.baseline is None or setting.baseline in (None, board.baseline.record.number):
        return ""
    return f" against {board.label_of(setting.baseline)}"


def _use_text(board: Leaderboard, seen: Row) -> str:
    """What is to be used instead of the best as searched, where that does not hold."""
    winner = board.winner
    if winner is None or winner is seen:
        return ""
    if winner.record.purpose is Purpose.BASELINE:
        several = " Of the baselines it loses least where it is not the best." if _has_several(board) else ""
        here = f" ({board.objective} {ratio_text(winner)} as searched)" if winner.ratio is not None else ""
        none = "no schedule that is shown to be better anywhere holds in every setting"
        return f" So the answer is {winner.label}{here}: {none}.{several}"
    return (
        f" So the answer is {winner.label}: {board.objective} {ratio_text(winner)} as searched"
        f"{_limits_text(board, winner)}."
    )


def _has_several(board: Leaderboard) -> bool:
    """Whether more than one baseline was tried in other settings."""
    return sum(board.held(row) != () and row.record.purpose is Purpose.BASELINE for row in board.rows) > 1


def _missing_text(board: Leaderboard) -> str:
    if not board.best:
        return ""
    open_in = [found.setting for found in board.settings if not found.is_compared]
    elsewhere = f" The comparison with {', '.join(open_in)} is not at its end." if open_in else ""
    if not board.num_missing:
        return elsewhere
    return f" The confirmation is not at its end: {board.num_missing} trials are missing.{elsewhere}"


def _tied_text(board: Leaderboard, winner: Row) -> str:
    others = [row for row in board.best if row is not winner]
    if not others:
        return ""
    text = f" Tied with it: {', '.join(_tied_label(board, row, winner) for row in others)}."
    if winner is board.best[0]:
        return text
    reason = "a baseline" if winner.record.purpose is Purpose.BASELINE else f"{winner.num_options} options"
    return f"{text} Of these it is taken as the simplest ({reason})."


def setting_lines(board: Leaderboard) -> list[str]:
    """How finalists were chosen by other settings; for each how schedules compare there, and in which order."""
    return shortlist_lines(board) + [
        line for found in board.settings for line in _setting_lines(board, found)
    ]


def shortlist_lines(board: Leaderboard) -> list[str]:
    """Which proposals did best in all settings, on one seed, and after which setting the others were out."""
    listed = board.shortlist
    if not listed or not listed[0].values:
        return []
    last = listed[0].values.keys()
    stayed = [f"trial {one.record.number} {one.mean:.3g}" for one in listed if one.values.keys() == last]
    out: dict[str, list[str]] = {}
    for one in listed[len(stayed) :]:
        setting = list(one.values)[-1] if one.values else "the search"
        out.setdefault(setting, []).append(str(one.record.number))
    left = "".join(f"; out after {setting}: {', '.join(numbers)}" for setting, numbers in out.items())
    return [f"Shortlist, geometric means of the search and the settings tried: {', '.join(stayed)}{left}."]


def _setting_lines(board: Leaderboard, found: InSetting) -> Iterator[str]:
    compared = [
        f"{board.label_of(held.record.number)} {_compared_text(held, held.ratio)}"
        for held in found.rows
        if held.ratio is not None
    ] + [f"{board.label_of(number)} failed" for number in found.failed]
    missing = "" if found.is_over else " Trials are missing there."
    against = board.label_of(found.baseline)
    yield f"With {found.setting}, against {against}: {', '.join(compared) or 'not tried'}.{missing}"
    order = found.correlation
    if order.value is not None:
        interval = "" if order.low is None else f" [{order.low:.2f}, {order.high:.2f}]"
        yield f"  Rank correlation with the search: {order.value:.2f}{interval}, {order.num_pairs} schedules."


def _compared_text(held: Held, ratio: Estimate) -> str:
    if held.left_out:
        return f"left out after one seed ({percent_text(ratio.mean)})"
    return f"{_VERDICTS[held.verdict]} ({change_text(ratio)})"


def measure_lines(board: Leaderboard) -> list[str]:
    """How the answer compares by each other measure, and what was not measured."""
    answers = (row for row in (board.best_as_searched, board.winner) if row is not None)
    found = {row.label: board.by_measures(row) for row in answers}
    return [
        *(line for measure in board.measures for line in _measure_lines(board, measure, found)),
        *problem_lines([r for row in board.compared_by_measures() for r in row.replicates.values()]),
        *(f"The samples were not measured by {name}: {why}" for name, why in board.missing_judges.items()),
    ]


def _measure_lines(
    board: Leaderboard, measure: Measure, found: Mapping[str, Sequence[ByMeasure]]
) -> Iterator[str]:
    compared = [
        f"{label} {_VERDICTS[by.verdict]} ({by.text})"
        for label, all_by in found.items()
        for by in all_by
        if by.measure == measure
    ]
    if compared:
        yield f"By {measure.text}, against {board.baseline_label}: {', '.join(compared)}."


def noise_line(board: Leaderboard) -> str | None:
    """How much seeds alone make, in one line."""
    if not board.noise:
        return None
    noise = board.noise[max(board.noise)]
    by_chance = math.exp(noise.factor(0.95) * math.sqrt(2) * noise.sd)
    return (
        f"Noise between seeds: sd {noise.sd:.2f} of ln {board.objective}, {noise.degrees} degrees of freedom. "
        f"On one seed each, equal schedules differ by a factor of up to {by_chance:.2f} (95 %)."
    )


def stability_line(board: Leaderboard) -> str | None:
    """What the winner's seeds leave open, in one line; None without a winner, or where `sentence` has it."""
    if board.winner is None or board.winner.instability:
        return None
    return unseen_text(board.winner.label, len(board.winner.values))


def _tied_label(board: Leaderboard, row: Row, winner: Row) -> str:
    """With its ratio to the baseline, if that is the winner, and where it is worse than the baseline there."""
    number = row.record.number
    held = {found.setting: found.row_of(number) for found in board.settings if found.baseline != number}
    worse = [setting for setting, one in held.items() if one is not None and one.verdict == "worse"]
    texts = [
        *([ratio_text(row)] if board.baseline is winner else []),
        *([f"worse with {', '.join(worse)}"] if worse else []),
    ]
    return f"{row.label} ({'; '.join(texts)})" if any(texts) else row.label
