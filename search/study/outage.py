"""Outlasting a database that is away: work is repeated until it succeeds, for a bounded time."""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from search.errors import InputError, OperationFailed
from search.study.whole import UNREADABLE, unreadable

PATIENCE_SECONDS = 300.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 2.0
# After which it is told that it is still waited for; then each time the waiting has doubled.
_TELL_SECONDS = 60.0
# Of SQLite's troubles those that pass: it is busy, it is locked, the disk is full.
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Away:
    """A database that is waited for. whom: it, and what it says. since: when that began, by the clock."""

    whom: str
    since: float


class Outlasting:
    """Does units of work on one database, which may be killed and come back at any time.

    where: the database for the user's eyes. gives_up: asked while waiting; True ends it. Once it has given up, it
    waits no more: whoever cleans up then must not wait again. away: while it waits.
    """

    def __init__(
        self,
        where: str,
        *,
        patience: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.gives_up: Callable[[], bool] = lambda: False
        self.away: Away | None = None
        self._where, self._patience, self._clock, self._sleep = where, patience, clock, sleep

    def do(self, work: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """The value of `work`, done until it succeeds. OperationFailed when it has not for too long.

        work: may be done twice with the effect of once. again: in its place from the second time on, for work that
        must see first whether it was done and only the answer was lost.
        """
        try:
            return work()
        except Exception as error:
            if not is_outage(error):
                self._explain(error)
                raise
            problem = error
        try:
            return self._waited_for(again or work, problem)
        finally:
            self.away = None

    def _waited_for(self, work: Callable[[], T], problem: Exception) -> T:
        _log.warning("%s does not answer (%s); waiting", self._where, _reason(problem))
        start, wait, tell_at = self._clock(), _FIRST_WAIT, _TELL_SECONDS
        while not self.gives_up() and (waited := self._clock() - start) < self._patience:
            self.away = Away(f"{self._where} ({_reason(problem)})", start)
            if waited >= tell_at:
                tell_at = 2 * waited
                _log.warning(
                    "%s has not answered for %.0f s (%s); waiting", self._where, waited, _reason(problem)
                )
            self._sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
            try:
                value = work()
            except Exception as error:
                if not is_outage(error):
                    self._explain(error)
                    raise
                problem = error
            else:
                _log.warning("%s answers again after %.0f s", self._where, self._clock() - start)
                return value
        waited = self._clock() - start
        self._patience = 0.0
        raise OperationFailed(
            f"{self._where} does not answer ({_reason(problem)}; waited {waited:.0f} s). What it had taken is "
            "kept, and so are the checkpoints of the trials: when it is back, the same command goes on"
        ) from problem

    def _explain(self, error: Exception) -> None:
        """Raise what the database will say again and again in words."""
        if isinstance(error, SQLAlchemyError | StorageInternalError):
            raise unusable(self._where, error) from error


@contextmanager
def readable(where: str) -> Iterator[None]:
    """In this block rows that are not what they should be raise DamagedStudy, and the database's errors one line."""
    try:
        yield
    except (InputError, OperationFailed):
        raise
    except UNREADABLE as error:
        raise unreadable([], where, error) from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise unusable(where, error) from error


def unusable(where: str, error: BaseException) -> OperationFailed:
    """The error for a database that answers, but not with what it should. where: the database."""
    return OperationFailed(
        f"{where} cannot be used ({_reason(error)}): it may be read-only, or damaged. Give your user the right to it, "
        "or restore it from a copy"
    )


def is_outage(error: BaseException) -> bool:
    """Whether the database is away or busy, so that the same work may succeed later."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if not isinstance(cause, DBAPIError):
        return False
    if isinstance(cause.orig, sqlite3.Error):
        return getattr(cause.orig, "sqlite_errorcode", 0) & 0xFF in _PASSING
    return cause.connection_invalidated or isinstance(cause, OperationalError | InterfaceError)


def _reason(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return " ".join(str(getattr(cause, "orig", cause)).split())[:200] or type(cause).__name__
