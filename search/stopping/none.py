"""Every trial runs to the end."""

from dataclasses import dataclass

from search.stopping_rule import Rung, StoppingRule


@dataclass(frozen=True, kw_only=True)
class NoStopping(StoppingRule):
    """Every trial runs to its full budget; rungs, if any, are only measured."""

    def stops(self, number: int, rung: Rung) -> bool:
        return False
