"""What a search has found so far, told in one way: on the screen, by the exit code and in MLflow."""

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from search.evidence.leaderboard import Leaderboard
from search.file.spec import SearchSpec
from search.machine.checkout import is_shipped
from search.policy.conductor import Conductor
from search.policy.trials import Trials
from search.record import Purpose, State, TrialRecord
from search.run.plan_of import board_of, plan_of
from search.run.session import DEFAULT_STORAGE, LOG_FILE
from search.screen.leaderboard_text import evidence_lines, lines
from search.winner.document import export_document
from search.winner.sampling import median_trial, read_found, read_sampling


def command(spec: SearchSpec, verb: str, *options: str) -> str:
    """The command line that does `verb` with this search, for a message."""
    words = ["python -m search", verb, spec.name, *options]
    if is_shipped():
        words += ["--address", "URL"]
    elif spec.storage.path != DEFAULT_STORAGE:
        words += ["--storage", shlex.quote(spec.storage.path)]
    return " ".join(words)


def unmeasured(spec: SearchSpec, board: Leaderboard) -> TrialRecord | None:
    """The trial whose sampling levels the search file asks for and that has none yet."""
    if not spec.sampling.nfe or board.winner is None:
        return None
    measured = read_sampling(spec.trials, board.winner)
    if measured is not None and set(map(str, spec.sampling.nfe)) <= set(measured["best"]):
        return None
    return median_trial(board.winner)


@dataclass(frozen=True)
class NoWinner:
    """Why a search that is over has nothing to export, and what to do, in one line.

    failed: what its file asks for went wrong; else it did not ask for a winner, or did not allow the time.
    """

    message: str
    failed: bool


@dataclass(frozen=True)
class Result:
    """A search as it stands. finished: nothing is left to do."""

    spec: SearchSpec
    records: tuple[TrialRecord, ...]
    board: Leaderboard
    finished: bool

    @classmethod
    def of(cls, spec: SearchSpec, conductor: Conductor) -> "Result":
        """As the conductor has it."""
        records = tuple(conductor.records.values())
        board = board_of(spec, list(records))
        return cls(spec, records, board, conductor.finished and unmeasured(spec, board) is None)

    @classmethod
    def read(cls, spec: SearchSpec, trials: Trials) -> "Result":
        """As the study has it."""
        return cls.of(spec, Conductor(plan_of(spec, 1), trials))

    @cached_property
    def no_winner(self) -> NoWinner | None:
        """Why there is nothing to export; None if there is, or while the search is not finished."""
        if not self.finished:
            return None
        spec, winner = self.spec, self.board.winner
        name = f"search {spec.name!r}"
        searched = [record for record in self.records if record.replicate_of is None]
        states = Counter(record.state for record in searched)
        if not searched:
            more = command(spec, "extend", "--hours H")
            return NoWinner(f"{name} has no trial: its budget is too small for one. More: {more}", True)
        if states[State.FAILED] == len(searched):
            return NoWinner(
                f"every trial of {name} failed, {self._first_failure(searched)}. Mend the cause, and give the search "
                "another `name`",
                True,
            )
        if not states[State.COMPLETE]:
            return NoWinner(f"no trial of {name} ran to its end: {self._why_none_ended(searched)}", True)
        if winner is not None and median_trial(winner) is not None:
            return None
        seen = f"Take the best value seen, which is partly luck, with: {command(spec, 'export', '--unconfirmed')}"
        if winner is not None:
            return NoWinner(f"whatever {name} confirmed diverged on fresh seeds. {seen}", True)
        if spec.confirm.rules is None:
            more = command(spec, "confirm", "--top 4")
            return NoWinner(
                f"{name} confirms nothing (confirm.top=0), so it has no winner. Confirm it with: {more}. {seen}",
                False,
            )
        confirming = [record for record in self.records if record.purpose is Purpose.CONFIRM]
        num_failed = sum(record.state is State.FAILED for record in confirming)
        if num_failed:
            return NoWinner(
                f"{num_failed} of {len(confirming)} confirmation trials of {name} failed, "
                f"{self._first_failure(confirming)}. {seen}",
                True,
            )
        return NoWinner(
            f"{name} ended with nothing confirmed: its budget, or confirm.max_trials, was too small. {seen}",
            False,
        )

    def _first_failure(self, records: list[TrialRecord]) -> str:
        reason = next(record.reason for record in records if record.state is State.FAILED)
        return f"first with: {reason}. See {self.spec.folder / LOG_FILE}"

    def _why_none_ended(self, searched: list[TrialRecord]) -> str:
        counts = Counter(str(record.state) for record in searched)
        text = ", ".join(f"{count} {state}" for state, count in counts.most_common())
        if counts[State.FAILED]:
            text += f" ({self._first_failure(searched)})"
        if counts[State.STOPPED]:
            return f"{text}. The budget was too small. More: {command(self.spec, 'extend', '--hours H')}"
        return f"{text}. Lower training.learning_rate or narrow `space`, and give the search another `name`"

    @property
    def failed(self) -> list[TrialRecord]:
        """Trials that are no result."""
        return [record for record in self.records if record.state is State.FAILED]

    def mlflow_status(self, *, driven: bool = False) -> str:
        """Of the search's own run. driven: somebody runs the search now."""
        if not self.finished:
            return "RUNNING" if driven else "KILLED"
        return "FAILED" if self.no_winner is not None and self.no_winner.failed else "FINISHED"

    def table(self, limit: int = 12) -> list[str]:
        """The leaderboard, how far it can be trusted, and what failed; for a terminal."""
        evidence = evidence_lines(self.board)
        if self.failed and not (self.no_winner is not None and self.no_winner.failed):
            evidence.append(
                f"{len(self.failed)} of {len(self.records)} trials failed, {self._first_failure(self.failed)}"
            )
        return [*lines(self.board, limit), *([""] if evidence else []), *evidence]

    @property
    def conclusion(self) -> str:
        """What to make of it, in a line or two."""
        return self.no_winner.message if self.no_winner is not None else self.board.sentence()

    def to_dict(self) -> dict[str, Any]:
        """The leaderboard as plain values, with what it leaves out."""
        return {
            **self.board.to_dict(),
            "no_winner": self.no_winner.message if self.no_winner is not None else None,
            "failed": [{"number": record.number, "reason": record.reason} for record in self.failed],
        }


def document_of(
    spec: SearchSpec, board: Leaderboard, header: Mapping[str, Any], *, unconfirmed: bool = False
) -> dict[str, Any]:
    """The export of this search's winner, with what its trials' folders hold of it."""
    return export_document(
        board,
        header,
        unconfirmed=unconfirmed,
        measured=lambda row: read_sampling(spec.trials, row),
        found=lambda row: read_found(spec.trials, row),
    )
