"""What was decided about a trial or a search, and why: as data, and as a line for the log, the study and the screen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Why something was decided, as the end of a sentence about the trial.
CAUSES = {
    "preset": "a baseline of the literature, {preset}",
    "seed_noise": "trial {trial} on another seed, to measure the noise between seeds",
    "proposed": "proposed by {algorithm}",
    "enqueued": "put into the study's queue by somebody",
    "equal": "the proposal equals trial {trial}, which is trained on another seed instead",
    "shortlisted": "trial {trial} is one of the best, tried in another setting before any is confirmed, {setting}",
    "finalist": "trial {trial} is a finalist, the {nth:th} of {of} fresh seeds",
    "holds": "trial {trial} once more in another setting, {setting}",
    "rung": "{rank:th} of {of} at rung {step}",
    "audit": "{rank:th} of {of} at rung {step}, which is stopped elsewhere; it runs on as an audit",
    "budget": "the rest does not fit into the budget",
    "memory": "its GPU memory was not enough, once more with {micro_batch} images at once",
    "exhausted": "the search space seems to hold no schedule that was not trained",
    "spent": "no further trial fits into the budget of time",
}


@dataclass(frozen=True)
class Decision:
    """action: such as "started" or "stopped". cause: a key of CAUSES. facts: what its sentence names."""

    action: str
    cause: str
    facts: Mapping[str, str | int] = field(default_factory=dict)

    def __str__(self) -> str:
        """`stopped: 4th of 9 at rung 1000`."""
        return f"{self.action}: {self.why}"

    @property
    def why(self) -> str:
        """`4th of 9 at rung 1000`."""
        facts = {key: _Ordinal(fact) if isinstance(fact, int) else fact for key, fact in self.facts.items()}
        return CAUSES[self.cause].format(**facts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"action": self.action, "cause": self.cause, "facts": dict(self.facts)}


class _Ordinal(int):
    """A number that `{:th}` writes as `4th`."""

    def __format__(self, spec: str) -> str:
        if spec != "th":
            return super().__format__(spec)
        is_teen = 10 <= self % 100 < 20
        return f"{int(self)}{'th' if is_teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(self % 10, 'th')}"
