"""What a page is made of: one search as it was read."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution

from search.evidence.leaderboard import Leaderboard
from search.evidence.row import Row
from search.record import State, TrialRecord, has_diverged
from search.screen.words import STATE_WORDS
from search.winner.pictures import Grid, compared_rows
from spaces import SearchSpace


@dataclass(frozen=True)
class Export:
    """What can be exported of a search. key: of all that its use follows from, the rest of the document does not.

    document: makes the document, which takes a while; raises InputError or OperationFailed where it cannot be had.
    """

    key: str
    document: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Found:
    """One search.

    conclusion: in a sentence. state: "finished", "running" or "stopped". facts: what it was about, by name. evidence:
    how far it can be trusted, in a line each. problem: why its study cannot be read; then records may be missing.
    total_steps: a trial's full budget. rungs: where trials are measured. seed: of all trials but replicates.
    cpu, gpu: what a trial holds. export: of its winner, None without one. grids: images by number of
    network evaluations, 0 for real ones. commands: by what they do, as they are typed. folder: where what takes long to
    work out may be kept.
    """

    name: str
    objective: str
    conclusion: str
    state: str
    board: Leaderboard
    records: tuple[TrialRecord, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    problem: str | None = None
    total_steps: int = 0
    rungs: tuple[int, ...] = ()
    space: SearchSpace | None = None
    seed: int = 0
    cpu: float = 1.0
    gpu: float = 0.0
    export: Export | None = None
    grids: Mapping[int, tuple[Grid, ...]] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def status(self) -> str:
        """How it stands, in a sentence or two."""
        counts = Counter(record.state for record in self.records)
        words = STATE_WORDS if self.state == "running" else {**STATE_WORDS, State.RUNNING: "not ended"}
        trials = ", ".join(f"{counts[state]} {words[state]}" for state in State if counts[state])
        how = {
            "finished": "The search is finished",
            "running": "The search is running",
            "stopped": "The search is not finished and nobody runs it",
        }.get(self.state, "The search cannot be read")
        return f"{how}: {trials or 'no trial yet'}."

    @cached_property
    def by_number(self) -> Mapping[int, TrialRecord]:
        return {record.number: record for record in self.records}

    @cached_property
    def shown_rows(self) -> tuple[Row, ...]:
        """The schedules that pictures compare."""
        return compared_rows(self.board)

    @cached_property
    def distributions(self) -> Mapping[str, BaseDistribution]:
        """What the space searched, by the name of Optuna's parameter."""
        return self.space.distributions() if self.space is not None else {}


def plotted(value: float) -> float:
    """On a logarithmic axis: with four digits, a page is to be small; a distance that rounding left nothing of counts
    as in `search.record.ln`."""
    return float(f"{max(value, 1e-12):.4g}")


def measured(record: TrialRecord) -> bool:
    """Whether it has a value that says something: one that diverged has the worst there is."""
    return record.objective is not None and not has_diverged(record.objective)
