"""How estimates are written wherever people read them."""

from collections.abc import Callable

from search.evidence.intervals import Estimate


def change_text(ratio: Estimate) -> str:
    """A ratio as a change in per cent: `-71 % [-76, -65]`."""
    interval = interval_text(bounds_of(ratio), lambda bound: percent_text(bound)[:-2])
    return f"{percent_text(ratio.mean)}{interval}"


def difference_text(difference: Estimate) -> str:
    """A difference with its interval: `-0.12 [-0.2, -0.04]`."""
    return f"{difference.mean:+.2g}{interval_text(bounds_of(difference), '{:+.2g}'.format)}"


def bounds_of(estimate: Estimate | None) -> list[float] | None:
    """Of its interval, for JSON; None without one."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return None
    return [estimate.low, estimate.high]


def interval_text(interval: list[float] | None, text: Callable[[float], str]) -> str:
    """` [low, high]`; nothing without one."""
    return "" if interval is None else f" [{text(interval[0])}, {text(interval[1])}]"


def percent_text(ratio: float) -> str:
    """What a ratio is above 1, in per cent: `-71 %`. What is a hundred times as large or more is not told apart."""
    return f"{100 * (ratio - 1):+.0f} %" if ratio < 100 else ">+9900 %"


def number_text(value: float) -> str:
    """A value of the objective; below 1, as that of a script may be, with three digits."""
    if abs(value) < 1:
        return f"{value:.3g}"
    return f"{value:.1f}" if abs(value) < 1e5 else f"{value:.0e}"
