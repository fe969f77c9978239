"""What is known of one trial: the immutable view that everything but the engine works with.

The Optuna study is the truth; a `TrialRecord` is read from it (`search.study.records.record_of`) and handed to the
leaderboard, the tracker, the progress view and the export. It holds plain values only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from search.decision import Decision
from spaces import NoiseSchedule
from trainable.task import OWN, WORST_OBJECTIVE


class Purpose(StrEnum):
    """Why a trial was run."""

    BASELINE = "baseline"  # a literature preset, run first
    NOISE = "noise"  # a replicate of the first baseline on a fresh seed, to measure the noise between seeds
    SEARCH = "search"  # proposed by the search algorithm
    REPLICATE = "replicate"  # in place of a proposal that equals a finished trial: that one on a fresh seed
    SHORTLIST = "shortlist"  # one of the best once more in another setting: is it one to confirm?
    CONFIRM = "confirm"  # a replicate of a finalist on a fresh seed
    HOLD = "hold"  # a replicate on a fresh seed in another setting: does the finding hold there?


# What the budget of trials counts, until the finalists are known.
SEARCHED = (Purpose.BASELINE, Purpose.SEARCH, Purpose.REPLICATE)


class State(StrEnum):
    """How a trial stands. The first is open, the others are final."""

    RUNNING = "running"
    COMPLETE = "complete"  # ran to its full budget
    STOPPED = "stopped"  # stopped at a rung by the stopping rule (Optuna: PRUNED)
    DIVERGED = "diverged"  # a non-finite loss or sample: a result, told as the worst value
    FAILED = "failed"  # an error or lost machines: not a result


def has_diverged(objective: float) -> bool:
    """Whether a trial reported that it diverged: not a finite value below WORST_OBJECTIVE."""
    return not objective < WORST_OBJECTIVE


def ln(objective: float) -> float:
    """ln(objective), also where rounding left no distance at all."""
    return math.log(max(objective, 1e-12))


@dataclass(frozen=True)
class Report:
    """One evaluation of a trial, at a rung.

    step: optimizer steps done. objective: Frechet distance there (the worst finite value if the
    trial diverged). metrics: everything measured, the objective under its own name included.
    time_ms: wall-clock time in milliseconds since 1970, fixed when first made, so that replays are
    recognised as the same report.
    """

    step: int
    objective: float
    time_ms: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """The samples of a finished trial by other measures than the objective, as its search keeps it.

    values: by the key of the measure (`search.evidence.measures`), the worst finite value where a sample is not finite.
    problem: why there are no more of them; None: nothing went wrong.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    problem: str | None = None

    @classmethod
    def of(cls, kept: Mapping[str, Any], sha256s: Mapping[str, str]) -> "Measured":
        """From what is kept: the values on each feature network, and its checksum. ValueError where it is not whole.

        sha256s: of the feature networks now. Values on another of the same name cannot be compared: they are left out.
        """
        values = {
            key: value
            for name, judge in kept["judges"].items()
            if judge["extractor_sha256"] == sha256s.get(name)
            for key, value in judge["values"].items()
        }
        is_whole = isinstance(kept["problem"], str | None) and all(
            isinstance(value, float) for value in values.values()
        )
        if not is_whole:
            raise ValueError(f"no values by measures: {kept!r:.60}")
        return cls(values, kept["problem"])


@dataclass(frozen=True)
class TrialRecord:
    """One trial. `number` is its Optuna trial number, the key of its files and of its MLflow run."""

    number: int
    purpose: Purpose
    state: State
    schedule: NoiseSchedule
    seed: int
    params: Mapping[str, Any] = field(default_factory=dict)  # empty when outside the search space
    preset: str | None = None  # name of the literature preset
    replicate_of: int | None = None  # the number of the trial that this one repeats on a fresh seed
    setting: str = OWN  # in what it is trained: as searched, or a setting of `holds_at`
    condemned_at: int | None = None  # step at which the rule would have stopped it; it runs on, as an audit
    micro_batch: int | None = None  # images at once, in a second try: with more it ran out of GPU memory
    reports: tuple[Report, ...] = ()  # by increasing step
    measured: Measured | None = None  # its samples by other measures
    reason: str | None = None  # of a failure, one line
    decisions: tuple[Decision, ...] = ()  # about it, in their order
    start_ms: int | None = None
    end_ms: int | None = None

    @property
    def is_comparable(self) -> bool:
        """Whether its value may stand beside those that the search saw."""
        return self.setting == OWN

    @property
    def objective(self) -> float | None:
        """The objective at the last rung reached, None before the first report."""
        return self.reports[-1].objective if self.reports else None
