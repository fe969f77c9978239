"""The page of one or more searches: read, made, kept in a file."""

import time
from collections.abc import Sequence
from pathlib import Path

from search.errors import InputError, OperationFailed
from search.evidence.row import Row
from search.machine.cache_folder import cache_folder
from search.machine.driver import is_driven
from search.machine.output import write_file
from search.report.found import Export, Found
from search.report.page import page
from search.running.known import PAGE_FILE
from search.running.reported import found_of, unreadable
from search.running.result import Result
from search.running.search import Search
from search.winner.pictures import are_missing, compared_rows, make_grids


def page_file(search: Search) -> Path:
    """Where the page of a search lies by itself."""
    return search.folder / PAGE_FILE


def page_text(searches: Sequence[Found]) -> str:
    """The page as HTML, with the time of now."""
    return page(searches, time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))


def found(search: Search) -> Found:
    """The search as it stands. One whose study cannot be relied on is shown as far as it can be read.

    InputError where it was not started.
    """
    try:
        search.check_started()
        result = search.result()
    except OperationFailed as error:
        return unreadable(search.spec, str(error))
    is_running = is_driven(search.folder)
    if result.finished and not is_running:
        _make_pictures(search, result)
    return _found(search, result, is_running=is_running)


def write_page(search: Search, result: Result) -> None:
    """Write the page of a search that this process has driven. OperationFailed where it cannot be kept."""
    write_file(page_file(search), page_text([_found(search, result, is_running=False)]).encode())


def _found(search: Search, result: Result, *, is_running: bool) -> Found:
    def export(winner: Row) -> Export:
        return Export(search.export_key(winner), lambda: search.document(result.board))

    return found_of(search.spec, result, export, is_running=is_running)


def _make_pictures(search: Search, result: Result) -> None:
    """Images that are not kept, where their models and the data are here: nothing is downloaded for a page."""
    if search.spec.script is not None:
        return
    rows, data, cache = compared_rows(result.board), search.spec.own_setting.data, cache_folder()
    try:
        if not are_missing(search.spec, rows) or not all(r.path.exists() for r in data.downloads(cache)):
            return
        make_grids(search.spec, rows, data.load(cache).x_NCHW)
    except (InputError, OperationFailed, ValueError, OSError):
        return  # the page says which are missing
