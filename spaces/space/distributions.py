"""What a search may draw one option from: suggested, described, looked at from its ends."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


class Trial(Protocol):
    """What proposes values: optuna's Trial, FixedTrial or FrozenTrial."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(name, low, high, step=step, log=log)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(name, low, high, step=step, log=log)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
    raise TypeError(f"{name}: unsupported distribution {distribution!r}")


def single_value(read: Any) -> Any:
    """A distribution over one value is that value."""
    return corners(read)[0] if isinstance(read, BaseDistribution) and read.single() else read


def contains(distribution: BaseDistribution, value: Any) -> bool:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return value in choices
        case FloatDistribution() | IntDistribution():
            low, high, step = distribution.low, distribution.high, distribution.step
            return value is not None and low <= value <= high and on_step(value - low, step)
    raise TypeError(f"unsupported distribution {distribution!r}")


_END = 0.02  # share of a range that counts as its end


def at_end(distribution: BaseDistribution, value: Any, bounds: tuple[float, float]) -> bool:
    """Whether the value lies at an end of the range that is within the bounds."""
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        return False
    low, high = float(distribution.low), float(distribution.high)
    x, start, end = (math.log(v) if distribution.log else v for v in (value, low, high))
    near_low, near_high = (x - start <= _END * (end - start), end - x <= _END * (end - start))
    return bool((near_low and low > bounds[0]) or (near_high and high < bounds[1]))


def on_step(distance: float, step: float | None) -> bool:
    """Whether the distance is a multiple of step, to the 1e-8 that Optuna allows too."""
    steps = 0.0 if step is None else distance / step
    return math.isfinite(steps) and abs(steps - round(steps)) < 1e-8


def describe(distribution: BaseDistribution) -> dict[str, Any]:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return {"choices": list(choices)}
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return {"low": low, "high": high, "log": log} | ({} if step is None else {"step": step})
        case IntDistribution(low=low, high=high, step=step, log=log):
            return {"low": low, "high": high, "log": log} | ({} if step == 1 else {"step": step})
    raise TypeError(f"unsupported distribution {distribution!r}")


def corners(distribution: BaseDistribution) -> tuple[Any, ...]:
    match distribution:
        case CategoricalDistribution(choices=choices):
            numbers = [choice for choice in choices if isinstance(choice, int | float)]
            others = [choice for choice in choices if not isinstance(choice, int | float)]
            return *others, *dict.fromkeys([min(numbers), max(numbers)] if numbers else [])
        case FloatDistribution(low=low, high=high) | IntDistribution(low=low, high=high):
            return low, high
    raise TypeError(f"unsupported distribution {distribution!r}")
