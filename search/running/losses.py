"""What a search has lost and can do without is told when it is run, and what is left of it is cleared away."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from search.running.search import Search
from search.screen.view import ProgressView
from search.study.retention import remove_unknown

_log = logging.getLogger(__name__)


class _Shown(logging.Handler):
    def __init__(self, view: ProgressView):
        super().__init__(logging.WARNING)
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        self._view.note(f"warning: {record.getMessage()}")


@contextmanager
def shown_warnings(logger: logging.Logger, view: ProgressView) -> Iterator[None]:
    """In this block the warnings of `logger` are on the screen too, not in the log alone."""
    handler = _Shown(view)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def tell_losses(search: Search, view: ProgressView) -> None:
    """Say what the study has lost and the search can do without; numbers that are given anew have no old files."""
    notes = search.store.complete_sums()
    number = search.store.first_unknown
    removed = remove_unknown(search.trial_storage, number)
    if removed:
        notes.append(
            f"files of {removed} trials from {number} on, which the study does not know, are removed from "
            f"{search.trial_storage.location}"
        )
    for note in notes:
        _log.warning(note)
        view.note(f"warning: {note}")
