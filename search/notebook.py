"""A search in Python and in notebooks: `from search import Search, run`; the same code as the command line."""

import html
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import OperationFailed
from search.file.spec import SearchSpec, load_spec, overridden, spec_of
from search.file.yaml12 import Document
from search.machine.interruption import Interruption
from search.machine.log_file import logged_to
from search.machine.output import check_file, write_file
from search.machine.search_folders import make_root
from search.running import search as started
from search.running.known import LOG_FILE
from search.running.page import found, page_file, page_text
from search.running.places import check_places
from search.running.runner import run_search
from search.screen.console import ReadConsole
from search.screen.view import ProgressView
from spaces import NoiseSchedule

if TYPE_CHECKING:
    from optuna import Study
    from pandas import DataFrame

_MOST_ROWS = 12  # that a notebook shows


class Search(started.Search):
    """A search that was started, by its name or its file: `Search("digits").leaderboard()`.

    Whatever is asked is read then, and changes nothing. InputError where there is no such search, OperationFailed where
    its study cannot be relied on. A notebook shows its conclusion and its leaderboard.
    """

    def __init__(self, name_or_file: str | Path, storage: str | None = None):
        super().__init__(started.Search.open(str(name_or_file), storage).spec)
        self.check_started()

    def leaderboard(self) -> "DataFrame":
        """One row for each schedule, the best first; the confirmed ones have a rank, a mean and its 95 % interval.

        ratio: to the best baseline, below 1 is better. search_value: seen in the search, partly luck.
        """
        from pandas import DataFrame

        return DataFrame([_plain(row) for row in self.board().to_dict()["rows"]])

    def best(self) -> NoiseSchedule:
        """The winner's schedule, as it is exported. OperationFailed where nothing is confirmed on fresh seeds."""
        return NoiseSchedule.from_dict(self.document()["schedule"])

    @property
    def study(self) -> "Study":
        """The Optuna study as it is now. A copy: what is done to it changes nothing."""
        import optuna

        trials = self.kept.load()
        copy = optuna.create_study(study_name=self.name, direction="minimize")
        copy.add_trials(trials)
        return copy

    def curves(self) -> "DataFrame":
        """One row for each value that was measured: trial, what it was for, step, objective, other metrics."""
        from pandas import DataFrame

        return DataFrame(
            [
                {
                    "trial": record.number,
                    "purpose": str(record.purpose),
                    "state": str(record.state),
                    "seed": record.seed,
                    "step": report.step,
                    **report.metrics,
                    self.objective: report.objective,
                }
                for record in self.records()
                for report in record.reports
            ]
        )

    def report(self, path: str | Path | None = None) -> Path:
        """Write its page and return where it lies. path: where; by default report.html in the search's folder."""
        place = page_file(self) if path is None else Path(path)
        check_file(place, "path")
        write_file(place, page_text([found(self)]).encode())
        return place.absolute()

    def _repr_html_(self) -> str:
        table = (
            self.leaderboard()
            .head(_MOST_ROWS)
            .to_html(index=False, float_format=lambda value: f"{value:.4g}")
        )
        return f"<p><b>{html.escape(self.name)}</b>: {html.escape(self.result().conclusion)}</p>\n{table}"

    def __repr__(self) -> str:
        return f"Search({self.name!r}, storage={self.spec.storage.path!r})"


def run(
    file_or_dict: str | Path | Mapping[str, Any],
    progress: bool = True,
    *,
    storage: str | None = None,
    address: str | None = None,
) -> Search:
    """Run a search, or go on with it, as `python -m search run` does, and return it when it is finished.

    file_or_dict: a search file, or what would stand in one; paths in it are relative to the current folder. progress:
    whether it is shown. storage: instead of the file's `storage.path`. address: of a Ray cluster that runs the trials.
    InputError for what cannot be used, OperationFailed where the search failed or nothing was confirmed that it was to
    confirm. Ctrl-C, or a notebook's interrupt, stops it as it stops the command: KeyboardInterrupt when all is
    kept; the same call goes on. A second one ends this process.
    """
    spec = _spec_of(file_or_dict)
    if storage is not None:
        spec = overridden(spec, {"storage.path": storage})
    check_places(spec)
    make_root(spec.storage.path)
    one, interrupted = started.Search(spec), Interruption()
    console = ReadConsole(highlight=False, quiet=not progress)
    with (
        logged_to(one.folder / LOG_FILE),
        _optuna_logs_there(),
        interrupted.installed(),
        ProgressView(one.name, one.objective, spec.training.total_steps, console=console) as view,
    ):
        outcome = run_search(one, interrupted=interrupted, view=view, address=address)
    if not outcome.result.finished:
        raise KeyboardInterrupt
    no_winner = outcome.result.no_winner
    if no_winner is not None and no_winner.failed:
        raise OperationFailed(no_winner.message)
    return Search(spec.name, spec.storage.path)


@contextmanager
def _optuna_logs_there() -> Iterator[None]:
    """Optuna writes to stderr by itself; in this block it logs as all others do."""
    optuna = logging.getLogger("optuna")
    handlers, optuna.handlers, propagate, optuna.propagate = optuna.handlers, [], optuna.propagate, True
    try:
        yield
    finally:
        optuna.handlers, optuna.propagate = handlers, propagate


def _spec_of(file_or_dict: str | Path | Mapping[str, Any]) -> SearchSpec:
    if isinstance(file_or_dict, Mapping):
        return spec_of(Document("the search", dict(file_or_dict), {}), Path.cwd())
    return load_spec(file_or_dict)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the leaderboard as a table wants it."""
    (low, high), (ratio_low, ratio_high) = (
        row[key] or (None, None) for key in ("interval", "ratio_interval")
    )
    return {
        "rank": row["rank"],
        "tied": row["tied"],
        "trial": row["number"],
        "preset": row["preset"],
        "mean": row["mean"],
        "low": low,
        "high": high,
        "ratio": row["ratio"],
        "ratio_low": ratio_low,
        "ratio_high": ratio_high,
        "seeds": len(row["values"]),
        "search_value": row["search_value"],
        "state": row["state"],
        "step": row["step"],
        "schedule": row["describe"],
    }
