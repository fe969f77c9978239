"""How a run of a search ended."""

from dataclasses import dataclass

from search.errors import EXIT_INTERRUPTED
from search.running.result import Result


@dataclass(frozen=True)
class Outcome:
    """How a run ended. already_finished: it had nothing to do. left: what MLflow lacks, in one line, if anything.

    stop_code: the exit code for a run that was stopped, by the signal that stopped it.
    """

    result: Result
    already_finished: bool = False
    left: str | None = None
    stop_code: int = EXIT_INTERRUPTED
