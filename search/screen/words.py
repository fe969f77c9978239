"""How times, values, states and trials are written wherever people read them."""

from search.record import State, TrialRecord

ENDED_WORDS = {
    State.COMPLETE: "done",
    State.STOPPED: "stopped",
    State.DIVERGED: "diverged",
    State.FAILED: "failed",
}
STATE_WORDS = {State.RUNNING: "running", **ENDED_WORDS}


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
    """`trial 7`, `trial 2 (ict)`, `trial 31 (trial 7 again, seed 5)`."""
    if not record.is_comparable:
        return (
            f"trial {record.number} (trial {record.replicate_of} with {record.setting}, seed {record.seed})"
        )
    if record.replicate_of is not None:
        return f"trial {record.number} (trial {record.replicate_of} again, seed {record.seed})"
    return f"trial {record.number} ({record.preset})" if record.preset else f"trial {record.number}"
