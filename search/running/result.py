"""What a search has found so far, told in one way: on the screen, by the exit code and in MLflow."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from search.evidence.conclusion import sentence
from search.evidence.leaderboard import Leaderboard
from search.file.spec import SearchSpec
from search.policy.agenda import Agenda
from search.record import Purpose, State, TrialRecord
from search.running.known import LOG_FILE, command
from search.running.plan_of import board_of
from search.screen.leaderboard_text import evidence_lines, lines
from search.study.trial_storage import TrialStorage
from search.winner.sampling import median_trial, read_sampling


def unmeasured(spec: SearchSpec, board: Leaderboard) -> TrialRecord | None:
    """The trial whose sampling levels the search file asks for and that has none yet."""
    if not spec.sampling.nfe or board.winner is None:
        return None
    measured = read_sampling(TrialStorage(spec.trials), board.winner)
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
    is_exhausted: bool = False  # the search space holds no schedule that was not trained
    num_enqueued: int = 0  # in the study's queue

    @classmethod
    def of(
        cls, spec: SearchSpec, agenda: Agenda, header: Mapping[str, Any], num_enqueued: int = 0
    ) -> "Result":
        """From the trials so far, and those to come. header: of the study. num_enqueued: what waits in its queue."""
        records = tuple(agenda.records.values())
        board = board_of(spec, list(records), header)
        finished = agenda.finished and not board.to_measure() and unmeasured(spec, board) is None
        return cls(spec, records, board, finished, agenda.is_exhausted, num_enqueued)

    @cached_property
    def no_winner(self) -> NoWinner | None:
        """Why there is nothing to export; None if there is, or while the search is not finished."""
        if not self.finished:
            return None
        searched = [record for record in self.records if record.replicate_of is None]
        if not any(record.state is State.COMPLETE for record in searched):
            return NoWinner(self._why_none_ended(searched), failed=True)
        if self.board.winner is not None and median_trial(self.board.winner) is not None:
            return None
        return self._none_confirmed()

    def _why_none_ended(self, searched: list[TrialRecord]) -> str:
        name = f"search {self.spec.name!r}"
        counts = Counter(record.state for record in searched)
        if not searched:
            more = command(self.spec, "extend", "--hours H")
            return f"{name} has no trial: its budget is too small for one. More: {more}"
        if counts[State.FAILED] == len(searched):
            return (
                f"every trial of {name} failed, {self._first_failure(searched)}. Mend the cause, and give the search "
                "another `name`"
            )
        text = ", ".join(f"{count} {state}" for state, count in counts.most_common())
        if counts[State.FAILED]:
            text += f" ({self._first_failure(searched)})"
        remedy = "Lower training.learning_rate or narrow `space`, and give the search another `name`"
        if counts[State.STOPPED]:
            remedy = f"The budget was too small. More: {command(self.spec, 'extend', '--hours H')}"
        return f"no trial of {name} ran to its end: {text}. {remedy}"

    def _none_confirmed(self) -> NoWinner:
        name = f"search {self.spec.name!r}"
        unconfirmed = command(self.spec, "export", "--unconfirmed")
        seen = f"Take the best value seen, which is partly luck, with: {unconfirmed}"
        confirming = [record for record in self.records if record.purpose is Purpose.CONFIRM]
        num_failed = sum(record.state is State.FAILED for record in confirming)
        failed = True
        if self.board.winner is not None:
            why = f"whatever {name} confirmed diverged on fresh seeds"
        elif self.spec.confirm.rules is None:
            more = command(self.spec, "confirm", "--top 4")
            why = f"{name} confirms nothing (confirm.top=0), so it has no winner. Confirm it with: {more}"
            failed = False
        elif num_failed:
            why = (
                f"{num_failed} of {len(confirming)} confirmation trials of {name} failed, "
                f"{self._first_failure(confirming)}"
            )
        else:
            why = f"{name} ended with nothing confirmed: its budget, or confirm.max_trials, was too small"
            failed = False
        return NoWinner(f"{why}. {seen}", failed)

    def _first_failure(self, records: list[TrialRecord]) -> str:
        reason = next(record.reason for record in records if record.state is State.FAILED)
        return f"first with: {reason}. See {self.spec.folder / LOG_FILE}"

    @property
    def failed(self) -> list[TrialRecord]:
        """Trials that are no result."""
        return [record for record in self.records if record.state is State.FAILED]

    def mlflow_status(self, *, driven: bool = False) -> str:
        """Of the search's own run. driven: somebody runs the search now."""
        if not self.finished:
            return "RUNNING" if driven else "KILLED"
        return "FAILED" if self.no_winner is not None and self.no_winner.failed else "FINISHED"

    @property
    def evidence(self) -> list[str]:
        """How far it can be trusted, and what failed, in a line each."""
        evidence = evidence_lines(self.board)
        if self.is_exhausted:
            trials = f"{len(self.board.rows)} of {self.spec.budget.max_trials} trials"
            evidence.append(
                f"The search ended after {trials}: its space seems to hold no schedule that was not trained. A wider "
                "`space` is another search"
            )
        if self.finished and self.num_enqueued:
            evidence.append(self._what_waits())
        if self.failed and not (self.no_winner is not None and self.no_winner.failed):
            evidence.append(
                f"{len(self.failed)} of {len(self.records)} trials failed, {self._first_failure(self.failed)}"
            )
        return evidence

    def table(self, limit: int = 12) -> list[str]:
        """The leaderboard, how far it can be trusted, and what failed; for a terminal."""
        evidence = self.evidence
        return [*lines(self.board, limit), *([""] if evidence else []), *evidence]

    def _what_waits(self) -> str:
        waiting = "1 trial waits" if self.num_enqueued == 1 else f"{self.num_enqueued} trials wait"
        if self.is_exhausted:
            return f"{waiting} in the study's queue, but nothing is started any more"
        option = "--hours H" if self.spec.budget.max_trials is None else f"--trials {self.num_enqueued}"
        more = command(self.spec, "extend", option)
        return f"{waiting} in the study's queue, beyond the budget. Train what waits with: {more}"

    @property
    def conclusion(self) -> str:
        """What to make of it, in a line or two."""
        return self.no_winner.message if self.no_winner is not None else sentence(self.board)

    def to_dict(self) -> dict[str, Any]:
        """The leaderboard as plain values, with what it leaves out."""
        return {
            **self.board.to_dict(),
            "no_winner": self.no_winner.message if self.no_winner is not None else None,
            "failed": [{"number": record.number, "reason": record.reason} for record in self.failed],
        }
