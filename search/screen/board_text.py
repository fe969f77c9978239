"""A running search as text."""

import math

from search.record import State, TrialRecord
from search.screen.board import LiveState
from spaces.sparkline import with_density

_WORDS = {
    State.RUNNING: "running",
    State.STOPPED: "stopped",
    State.COMPLETE: "done",
    State.DIVERGED: "diverged",
    State.FAILED: "failed",
}


def seconds_text(seconds: float) -> str:
    """`41s`, `3m 05s`, `2h 07m`, `3d 04h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02}h"


def value_text(value: float) -> str:
    """Four digits: seed noise is far above the fifth."""
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.3g}"


def rate_text(per_second: float) -> str:
    return f"{per_second:.0f} steps/s" if per_second >= 10 else f"{per_second:.2g} steps/s"


def title_of(record: TrialRecord) -> str:
    """`trial 7`, `trial 2 (ict)`, `trial 31 (trial 7, seed 5)`."""
    if record.replicate_of is not None:
        return f"trial {record.number} (trial {record.replicate_of} again, seed {record.seed})"
    return f"trial {record.number} ({record.preset})" if record.preset else f"trial {record.number}"


def ended_text(record: TrialRecord, objective: str, total_steps: int, is_best: bool) -> str:
    """One line on a trial that ended, without its schedule."""
    title = title_of(record)
    if record.state is State.FAILED:
        return f"{title} failed: {record.reason or 'unknown reason'}"
    if record.state is State.DIVERGED:
        return f"{title} diverged"
    step = record.reports[-1].step if record.reports else 0
    value = f"{objective} {value_text(record.objective)}" if record.objective is not None else "no value"
    where = f" at step {step} of {total_steps}" if record.state is State.STOPPED else ""
    best = ", best so far" if is_best else ""
    return f"{title} {_WORDS[record.state]}{where}: {value}{best}"


def counts_text(board: LiveState) -> str:
    """`2 running, 5 stopped, 4 done`; diverged and failed ones only if there are any."""
    always = (State.RUNNING, State.STOPPED, State.COMPLETE)
    counts = {state: board.count(state) for state in (*always, State.DIVERGED, State.FAILED)}
    return ", ".join(f"{n} {_WORDS[state]}" for state, n in counts.items() if n or state in always)


def phase_text(board: LiveState) -> str:
    """`search 7/20`, or just the name where there is nothing to count."""
    total = board.totals.get(board.phase)
    return f"{board.phase} {board.ended_in(board.phase)}/{total}" if total else board.phase


def time_text(board: LiveState, now: float) -> str:
    """`3m 05s, about 2m left`."""
    elapsed = seconds_text(now - board.start)
    left = board.seconds_left(now)
    if left is None or not math.isfinite(left):
        return elapsed
    # A rough estimate is shown roughly.
    rough = max(10, 10 * round(left / 10)) if left < 120 else 60 * round(left / 60)
    return f"{elapsed}, about {seconds_text(rough).removesuffix(' 00s')} left"


def summary_text(board: LiveState, now: float) -> str:
    """The whole board in one line."""
    parts = [phase_text(board), counts_text(board)]
    best = board.best()
    if best is not None and best.objective is not None:
        parts.append(f"best {board.objective} {value_text(best.objective)} ({title_of(best)})")
    parts += [rate_text(board.rate.per_second(now)), time_text(board, now)]
    return "; ".join(parts)


def best_lines(board: LiveState) -> list[str]:
    """The leader and its schedule."""
    best = board.best()
    if best is None or best.objective is None:
        return [f"best {board.objective}: none yet"]
    step = best.reports[-1].step
    where = "" if step >= board.total_steps else f" at step {step} of {board.total_steps}"
    return [
        f"best {board.objective} {value_text(best.objective)}{where}: {title_of(best)}, one seed",
        with_density(best.schedule),
    ]


def confirm_lines(board: LiveState) -> list[str]:
    """Of each trial being confirmed: mean over its fresh seeds so far. The best four."""
    groups: dict[int, list[float]] = {}
    for record in board.of("confirm"):
        values = groups.setdefault(record.number if record.replicate_of is None else record.replicate_of, [])
        if record.state in (State.COMPLETE, State.DIVERGED) and record.objective is not None:
            values.append(record.objective)
    rows = [(sum(values) / len(values), number, len(values)) for number, values in groups.items() if values]
    lines = []
    for mean, number, count in sorted(rows)[:4]:
        first = board.records.get(number)
        title = title_of(first) if first else f"trial {number}"
        seeds = "seed" if count == 1 else "seeds"
        lines.append(f"mean {board.objective} {value_text(mean)} over {count} fresh {seeds}: {title}")
    return lines


def running_text(board: LiveState) -> str:
    """`#12 1500/2000  #13 500/2000`, at most six."""
    running = [record.number for record in board.records.values() if record.state is State.RUNNING]
    shown = "  ".join(f"#{number} {board.steps[number]}/{board.total_steps}" for number in running[:6])
    return shown + (f"  and {len(running) - 6} more" if len(running) > 6 else "")
