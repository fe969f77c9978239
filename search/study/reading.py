"""A study that is looked at: what `StudyStore` reads, without what it writes with."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.trial import FrozenTrial

from search.errors import InputError, OperationFailed
from search.machine.sqlite_url import database_in
from search.machine.urls import shown_url
from search.policy.trials import Enqueued, KeptTrial
from search.record import TrialRecord
from search.study import sqlite_tables, whole
from search.study.sums import Sums
from search.study.waiting import Waiting

if TYPE_CHECKING:
    from search.study.store import StudyStore

T = TypeVar("T")
# Whatever is wrong, busy, of another version: `StudyStore` reads it, or says what it is.
_PROBLEMS = (*whole.UNREADABLE, sqlite3.Error, OSError, InputError, OperationFailed)


class StudyReader:
    """The trials of one search in a SQLite file of this machine, to be looked at.

    Its methods answer and raise as those of `StudyStore` do.
    """

    def __init__(self, url: str, name: str, sums: Path | None):
        self._url, self._name, self._sums = url, name, sums
        self._file, self._where = Path(database_in(url)), f"the study's database {shown_url(url)}"
        self._header: dict[str, Any] | None = None
        self._waiting: Sequence[Enqueued] | None = None

    @classmethod
    def open(cls, url: str, name: str, sums: Path | None = None) -> "StudyReader | StudyStore | None":
        """The study `name`, None where it does not exist yet; see `StudyStore.open`, which is taken for what is not a
        SQLite file as this program writes them.
        """
        found = cls(url, name, sums)
        try:
            if database_in(url) and "search" in found._read_header():
                whole.check_file(url)
                return found
        except _PROBLEMS:
            pass
        from search.study.store import StudyStore

        return StudyStore.open(url, name, sums)

    @property
    def header(self) -> dict[str, Any]:
        """The facts given at creation, as they were when first read."""
        if self._header is None:
            self._header = self._either(self._read_header, lambda store: store.header)
        return self._header

    def check_header(self) -> None:
        """DamagedStudy where facts that every search keeps are lost."""
        whole.check_header(self.header, self._where)

    def load(self) -> list[FrozenTrial]:
        """All trials of ours by number. DamagedStudy where some are lost, or not as they were written."""
        return self._either(self._load, lambda store: store.load())

    def read(self) -> list[KeptTrial]:
        """All trials by number, as the policy needs them."""
        return self._either(
            lambda: whole.kept(self._load(), self.header, self._where), lambda store: store.read()
        )

    def records(self) -> list[TrialRecord]:
        """All trials by number, as the rest of the program sees them."""
        return [trial.record for trial in self.read()]

    def enqueued(self) -> Sequence[Enqueued]:
        """What other programs have put into the queue and was not begun or refused yet, in its order."""
        if self._waiting is None:
            self.load()
        return self._waiting or ()

    def _either(self, quick: Callable[[], T], thorough: "Callable[[StudyStore], T]") -> T:
        try:
            return quick()
        except _PROBLEMS:
            from search.study.store import StudyStore

            store = StudyStore.open(self._url, self._name, self._sums)
            if store is None:
                raise
        found = thorough(store)
        self._waiting = store.enqueued()
        store.close()
        return found

    def _read_header(self) -> dict[str, Any]:
        with sqlite_tables.opened(self._file) as connection:
            self._header = sqlite_tables.study_in(connection, self._name)[1]
        return self._header

    def _load(self) -> list[FrozenTrial]:
        sums = Sums(self._sums)
        check = whole.Check(sums.read(), self._where, sums.path)  # first: a driver may be adding to both
        check.study(self.header.get("study_id"))
        waiting = Waiting(self._where)
        with sqlite_tables.opened(self._file) as connection:
            study_id, _ = sqlite_tables.study_in(connection, self._name)
            found = sqlite_tables.trials_in(connection, study_id)
        ours, _ = whole.ours(found, check, waiting)
        self._waiting = waiting.waiting
        return list(ours.values())
