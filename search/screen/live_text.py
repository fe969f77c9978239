"""A running search as text."""

from search.record import State, TrialRecord
from search.screen.live_state import LiveState
from search.screen.words import STATE_WORDS, left_text, rate_text, seconds_text, title_of, value_text
from spaces.sparkline import with_density


def ended_text(record: TrialRecord, objective: str, total_steps: int, is_best: bool) -> str:
    """One line on a trial that ended, without its schedule."""
    title = title_of(record)
    if record.state is State.FAILED:
        return f"{title} failed: {record.reason or 'unknown reason'}"
    if record.state is State.DIVERGED:
        return f"{title} diverged"
    step = record.reports[-1].step if record.reports else 0
    value = f"{objective} {value_text(record.objective)}" if record.objective is not None else "no value"
    is_stopped = record.state is State.STOPPED
    where = f" at step {step} of {total_steps}" if is_stopped else ""
    why = f", {record.decisions[-1].why}" if is_stopped and record.decisions else ""
    best = ", best so far" if is_best else ""
    return f"{title} {STATE_WORDS[record.state]}{where}: {value}{best}{why}"


def counts_text(live: LiveState) -> str:
    """`2 running, 5 stopped, 4 done`; diverged and failed ones only if there are any."""
    always = (State.RUNNING, State.STOPPED, State.COMPLETE)
    counts = {state: live.count(state) for state in (*always, State.DIVERGED, State.FAILED)}
    return ", ".join(f"{n} {STATE_WORDS[state]}" for state, n in counts.items() if n or state in always)


def phase_text(live: LiveState) -> str:
    """`search 7/20`, or just the name where there is nothing to count."""
    total = live.totals.get(live.phase)
    return f"{live.phase} {live.ended_in(live.phase)}/{total}" if total else live.phase


def time_text(live: LiveState, now: float) -> str:
    """`3m 05s, about 2m left`, or `3m 05s, 12m to 25m left` while that is not known to within a quarter.

    `at least 2m left` before a setting was trained in of which nothing is known.
    """
    elapsed, left = seconds_text(now - live.start), live.seconds_left()
    return elapsed if left is None else f"{elapsed}, {left_text(*left)}"


def summary_text(live: LiveState, now: float) -> str:
    """The whole search in one line."""
    parts = [phase_text(live), counts_text(live)]
    best = live.best()
    if best is not None and best.objective is not None:
        parts.append(f"best {live.objective} {value_text(best.objective)} ({title_of(best)})")
    parts += [rate_text(live.per_second(now)), time_text(live, now)]
    return "; ".join(parts)


def best_lines(live: LiveState) -> list[str]:
    """The leader and its schedule."""
    best = live.best()
    if best is None or best.objective is None:
        return [f"best {live.objective}: none yet"]
    step = best.reports[-1].step
    where = "" if step >= live.total_steps else f" at step {step} of {live.total_steps}"
    return [
        f"best {live.objective} {value_text(best.objective)}{where}: {title_of(best)}, one seed",
        with_density(best.schedule),
    ]


def confirm_lines(live: LiveState) -> list[str]:
    """Of each trial being confirmed: mean over its fresh seeds so far. The best four."""
    groups: dict[int, list[float]] = {}
    for record in live.of("confirm"):
        values = groups.setdefault(record.number if record.replicate_of is None else record.replicate_of, [])
        if record.state in (State.COMPLETE, State.DIVERGED) and record.objective is not None:
            values.append(record.objective)
    rows = [(sum(values) / len(values), number, len(values)) for number, values in groups.items() if values]
    lines = []
    for mean, number, count in sorted(rows)[:4]:
        first = live.records.get(number)
        title = title_of(first) if first else f"trial {number}"
        seeds = "seed" if count == 1 else "seeds"
        lines.append(f"mean {live.objective} {value_text(mean)} over {count} fresh {seeds}: {title}")
    return lines


def running_text(live: LiveState) -> str:
    """`#12 1500/2000  #13 500/2000`, at most six."""
    running = [record.number for record in live.records.values() if record.state is State.RUNNING]
    shown = "  ".join(f"#{number} {live.steps[number]}/{live.total_steps}" for number in running[:6])
    return shown + (f"  and {len(running) - 6} more" if len(running) > 6 else "")
