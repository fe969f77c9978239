"""How times, values, states and trials are written wherever people read them."""

import math

from search.record import State, TrialRecord

ENDED_WORDS = {
    State.COMPLETE: "done",
    State.STOPPED: "stopped",
    State.DIVERGED: "diverged",
    State.FAILED: "failed",
}
QUARTER = 1.25  # what is said to be about so long is off by this factor at most
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


def left_text(least: float, most: float) -> str:
    """`about 2m left`, or `12m to 25m left` while that is not known to within a quarter; most may be without end."""
    least, most = max(1.0, least), max(1.0, most)
    if math.isinf(most):
        return f"at least {_rough_text(least)} left"
    about, least_text, most_text = map(_rough_text, (math.sqrt(least * most), least, most))
    if most <= QUARTER**2 * least or least_text == most_text:
        return f"about {about} left"
    return f"{least_text} to {most_text} left"


def _rough_text(seconds: float) -> str:
    """A rough estimate is shown roughly."""
    rough = max(10, 10 * round(seconds / 10)) if seconds < 120 else 60 * round(seconds / 60)
    return seconds_text(rough).removesuffix(" 00s")


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
