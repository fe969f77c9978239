"""What a stopping rule is: a pure decision on the values at one rung."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import ConfigDict

from spaces.registry import STRICT, Registry


@dataclass(frozen=True)
class Rung:
    """The values known at one rung.

    step: optimizer steps. values: trial number -> objective there. earlier: the same at the rungs below, by step.
    noise: standard deviation of ln(objective) at this rung between seeds of one schedule; None if not measured.
    """

    step: int
    values: Mapping[int, float]
    earlier: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    noise: float | None = None


@dataclass(frozen=True, kw_only=True)
class StoppingRule(ABC):
    """Options of a stopping rule. It keeps no state: what it needs is in the study, so a restart loses nothing.

    rungs: fractions of the budget, increasing, below 1, at which a trial is measured and may be stopped.
    NEEDS_RUNGS: whether it refuses to have none. USES_NOISE: whether it needs `Rung.noise` to be measured.
    """

    rungs: tuple[float, ...] = ()

    NEEDS_RUNGS: ClassVar[bool] = False
    USES_NOISE: ClassVar[bool] = False
    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        if list(self.rungs) != sorted(set(self.rungs)) or not all(0 < rung < 1 for rung in self.rungs):
            raise ValueError(
                f"`rungs` must increase and lie strictly between 0 and 1, but got {list(self.rungs)}"
            )
        if self.NEEDS_RUNGS and not self.rungs:
            raise ValueError("`rungs` must name at least one fraction of the budget; without: `name: none`")

    def steps(self, total_steps: int) -> tuple[int, ...]:
        """Steps at which trials are measured: the rungs, then the full budget."""
        return (*(max(1, round(rung * total_steps)) for rung in self.rungs), total_steps)

    @abstractmethod
    def stops(self, number: int, rung: Rung) -> bool:
        """Whether trial `number`, whose value is in `rung`, ends here."""


STOPPING: Registry[StoppingRule] = Registry("search.stopping", StoppingRule, "stopping rule")  # type: ignore[type-abstract]
