"""Is all of the study there, as it was written? What is not, is one line: what, where, what is lost, how to go on."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from search.decision import Decision
from search.errors import OperationFailed
from search.machine.sqlite_health import damage_of
from search.machine.sqlite_url import database_in
from search.machine.urls import shown_url
from search.policy.budget import Spending
from search.policy.trials import CLOSED_BECAUSE, JUDGES, SPENT, KeptTrial, measured_in
from search.study.records import record_of, spent_by
from search.study.sums import Facts, began_sum, ended_sum_of
from search.study.waiting import Waiting

RESTORE = "Restore it from a copy"
# What reading raises where a row is not what it should be.
UNREADABLE = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
)
_MOST_NAMED = 8

# What every search keeps in its study when it begins, with its type, and what its policy may add.
_HEADER: Mapping[str, type | tuple[type, ...]] = {
    "study_id": str,
    "search": dict,
    "identity": dict,
    "objective": str,
    "data_sha256": (str, type(None)),  # None where a script trains
    "extractor_sha256": (str, type(None)),
    "versions": dict,
    "git_commit": (str, type(None)),
}


class DamagedStudy(OperationFailed):
    """A study that has lost something, or that was changed by somebody else."""


def check_file(url: str) -> None:
    """DamagedStudy for a SQLite file that is not whole. What else is wrong with it, whoever opens it is told."""
    database = database_in(url)
    if not database or not Path(database).is_file():
        return
    verdict = damage_of(Path(database))
    if verdict is not None:
        what = " ".join(verdict.split())[:200]
        raise DamagedStudy(
            f"the study's database {shown_url(url)} is damaged ({what}): its trials cannot be relied on. {RESTORE}"
        )


def check_header(header: Mapping[str, Any], where: str) -> None:
    """DamagedStudy where the facts of a search are not what it keeps in `where`."""
    lost = [key for key, kind in _HEADER.items() if key not in header or not isinstance(header[key], kind)]
    for key, read in (
        (SPENT, Spending().restore),
        (CLOSED_BECAUSE, lambda plain: Decision(**plain).why),
        (JUDGES, lambda plain: [(judge["extractor_sha256"], judge["problem"]) for judge in plain.values()]),
    ):
        try:
            if header.get(key):
                read(header[key])
        except UNREADABLE:
            lost.append(key)
    if lost:
        raise DamagedStudy(f"{where} has lost what it kept of the search: {', '.join(lost)}. {RESTORE}")


def check_there(facts: Facts, where: str, beside: Path | None) -> None:
    """DamagedStudy where there is no study, but was one."""
    if facts.study_id is None and not facts.began:
        return
    raise DamagedStudy(
        f"{where} does not hold the study any more, in which {_trials(facts.began) or 'no trial'} had been kept: "
        f"it was emptied, moved or made anew. {RESTORE}. To begin anew, remove {beside.parent if beside else 'it'}"
    )


class Check:
    """Holds the trials that were read against what was written.

    where: the database, for messages. beside: the file with `facts`.
    """

    def __init__(self, facts: Facts, where: str, beside: Path | None):
        self._facts, self._where, self._beside = facts, where, beside

    def study(self, study_id: str | None) -> None:
        """DamagedStudy if this is not the study that the facts are of."""
        if None not in (study_id, self._facts.study_id) and study_id != self._facts.study_id:
            raise DamagedStudy(
                f"{self._where} holds another study than the one that {_trials(self._facts.began) or 'no trial'} had "
                f"been kept in: it was made anew. {RESTORE}. To begin anew, remove {self._folder}"
            )

    def numbers(self, numbers: Sequence[int]) -> None:
        """DamagedStudy unless each of the study's trials has a number of its own."""
        seen: set[int] = set()
        twice = []
        for number in numbers:
            if number in seen:
                twice.append(number)
            seen.add(number)
        if twice:
            raise unreadable(twice, self._where, ValueError("the number is there twice"))

    def have_content(self, numbers: Collection[int]) -> None:
        """DamagedStudy where a trial without anything of ours was one of ours."""
        emptied = [number for number in numbers if number in self._facts.began]
        if emptied:
            raise unreadable(emptied, self._where, KeyError("trial"))

    def trials(self, trials: Mapping[int, FrozenTrial], next_number: int) -> list[str]:
        """What is to be told, in one line each; DamagedStudy where a trial that had ended is gone, or was changed.

        trials: ours by number. next_number: above the numbers of all trials that the study has.
        """
        ended, began = self._facts.ended, self._facts.began
        lost = sorted(number for number in {*ended, *began} if number not in trials)
        gone = [number for number in lost if number in ended or number < next_number]
        if gone:
            raise DamagedStudy(
                f"{self._where} has lost {_trials(gone)} of {len({*ended, *began})}: it was cut, or is an older copy. "
                f"{RESTORE} that has them; to go on without, remove {self._beside}"
            )
        originals = {trial.user_attrs["trial"].get("replicate_of") for trial in trials.values()} - {None}
        if absent := sorted(
            originals - trials.keys()
        ):  # of an early version's study, of which no sums are kept
            raise DamagedStudy(f"{self._where} has lost {_trials(absent)}, which others repeat. {RESTORE}")
        changed = [number for number, trial in trials.items() if self._was_changed(number, trial)]
        if changed:
            raise DamagedStudy(
                f"{self._where}: {_trials(changed)} {'is' if len(changed) == 1 else 'are'} not as written. {RESTORE}; "
                f"to take what is there now, remove {self._beside}"
            )
        return [*self._told(lost, trials)]

    def _was_changed(self, number: int, trial: FrozenTrial) -> bool:
        began, ended = self._facts.began.get(number), self._facts.ended.get(number)
        if began is not None and began != began_sum(trial):
            return True
        return ended is not None and trial.state.is_finished() and ended != ended_sum_of(trial)

    def _told(self, lost: Sequence[int], trials: Mapping[int, FrozenTrial]) -> Iterator[str]:
        if lost:
            yield f"{self._where} has lost {_trials(lost)}, which had not ended: other schedules take the numbers"
        again = [n for n in self._facts.ended if n in trials and not trials[n].state.is_finished()]
        if again:
            yield f"{self._where} has lost the end of {_trials(again)}: what had ended goes on from its checkpoint"
        if self._facts.num_unreadable:
            yield (
                f"{self._beside} has {self._facts.num_unreadable} lines that cannot be read: of the trials named there "
                "it is not known whether the study has them as they were"
            )

    @property
    def _folder(self) -> Path | str:
        return self._beside.parent if self._beside is not None else "its database"


def ours(
    found: Sequence[FrozenTrial], check: Check, waiting: Waiting
) -> tuple[dict[int, FrozenTrial], list[str]]:
    """Of all trials of a study ours by number, and what is to be told in a line each; `waiting` knows the others."""
    own = {trial.number: trial for trial in found if "trial" in trial.user_attrs}
    check.numbers([trial.number for trial in found])
    check.have_content([trial.number for trial in found if trial.number not in own])
    waiting.restart(found, own)
    return own, check.trials(own, waiting.next_number)


def kept(trials: Sequence[FrozenTrial], header: Mapping[str, Any], where: str) -> list[KeptTrial]:
    """The trials as the policy needs them. header: of their study."""
    found, bad, problem = [], [], None
    for trial in trials:
        try:
            record = record_of(trial, measured_in(header, trial.number))
            found.append(KeptTrial(record, trial.distributions, spent_by(trial)))
        except UNREADABLE as error:
            bad.append(trial.number)
            problem = error
    if problem is not None:
        raise unreadable(bad, where, problem) from problem
    return found


def unreadable(numbers: Sequence[int], where: str, error: BaseException) -> DamagedStudy:
    """The error for trials that cannot be made out; no number: for the study as a whole."""
    what = _trials(numbers) or "the study"
    reason = f"{type(error).__name__}: {error}".partition("\n")[0][:120]
    return DamagedStudy(f"{where}: {what} cannot be read ({reason}): it was cut or edited. {RESTORE}")


def _trials(numbers: Collection[int]) -> str:
    """`trial 3`, `trials 3, 4`; nothing for none."""
    if not numbers:
        return ""
    named = [str(number) for number in sorted(numbers)]
    rest = [f"and {len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
    return f"trial{'s' if len(named) > 1 else ''} {', '.join([*named[:_MOST_NAMED], *rest])}"
