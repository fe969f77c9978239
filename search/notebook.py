"""A search in Python and in notebooks: `from search import Search`; the same code as the command line."""

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.machine.output import check_file, write_file
from search.machine.search_folders import DEFAULT_STORAGE
from search.run import search as started
from search.run.page import found, page_file, page_text
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

    def __init__(self, name_or_file: str | Path, storage: str = DEFAULT_STORAGE):
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

        trials = self.store.load()
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
