"""A search as MLflow sees it."""

import contextlib
import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from search.cluster.storage_defaults import tracking_environment
from search.errors import OperationFailed
from search.machine.driver import is_driven
from search.record import TrialRecord
from search.running.known import PAGE_FILE, SPEC_FILE
from search.running.result import Result
from search.running.search import Search
from search.tracking import ParentInfo, Projection
from search.winner.document import export_text
from search.winner.model import model_of
from search.winner.pictures import compared_rows
from search.winner.sampling import median_trial, sampling_of
from spaces.registry import name_of
from trainable.task import OWN

_log = logging.getLogger(__name__)


def projection_settings(search: Search) -> dict[str, Any]:
    """The search's place in MLflow: the arguments of a `Projection`."""
    spec, header = search.spec, search.header
    return {
        "uri": spec.mlflow_uri_resolved,
        "search_name": search.name,
        "objective": search.objective,
        "total_steps": spec.training.total_steps,
        "folder": search.folder,
        "kept_at": spec.trials,
        "study_id": header["study_id"],
        "of_script": spec.script is not None,
        "datasets": _datasets(search),
        # A value belongs to what it was measured with.
        "trial_tags": {"code_sha256": header["code_sha256"]}
        if spec.script is not None
        else {
            "num_samples": spec.objective.num_samples,
            "extractor_sha256": header["extractor_sha256"],
        },
    }


def _datasets(search: Search) -> dict[str, tuple[str, str]]:
    """By setting, name and checksum of the data; a script has its own, which nobody knows."""
    if search.spec.script is not None:
        return {}
    own = {OWN: (name_of(search.spec.own_setting.data), search.header["data_sha256"])}
    known = search.header.get("settings", {})
    return own | {
        setting.name: (name_of(setting.data), known[setting.name]["data_sha256"])
        for setting in search.spec.settings
        if setting.name in known
    }


def projection_of(search: Search) -> Projection:
    """What brings MLflow to the state of the search, in this process."""
    os.environ.update(tracking_environment(search.spec))
    return Projection(**projection_settings(search))


def models_of(search: Search, result: Result) -> list[tuple[TrialRecord, Callable[[], Any]]]:
    """Each finalist and the best baseline, and what makes the model that stands for it, of its median seed."""
    if search.spec.script is not None or not result.finished:
        return []
    rows = [row for row in compared_rows(result.board) if median_trial(row) is not None]
    return [(row.record, partial(model_of, search.spec, row)) for row in rows]


def track_sampling(search: Search, record: TrialRecord) -> str | None:
    """Bring the sampling levels of a trial, and the export that holds them, to MLflow; what is behind, if it fails."""
    projection = projection_of(search)
    measured = sampling_of(search.trial_storage, record.number)
    assert measured is not None
    try:
        projection.sync_sampling(record, measured)
        result = search.result()
        status = result.mlflow_status(driven=is_driven(search.folder))
        projection.sync_parent(parent_info(search, status, result))
    except Exception as error:  # MLflow is a projection: what it lacks can be brought in later
        reason = " ".join(str(error).split())[:200]
        return f"MLflow did not take it ({reason}); run `{search.command('reconcile')}`"
    return None


def parent_info(search: Search, status: str, result: Result | None = None) -> ParentInfo:
    """What the search's own run in MLflow shows. status: `Result.mlflow_status`, or RUNNING when it begins."""
    header = search.header
    tags = {f"version.{name}": version for name, version in header["versions"].items()}
    tags |= {
        "objective": header["objective"],
        "git_commit": header["git_commit"] or "unknown",
    }
    measures = ("data_sha256", "extractor_sha256", "code_sha256", "network_sha256", "plugins_sha256")
    tags |= {key: header[key] for key in measures if header.get(key) is not None}
    files = {SPEC_FILE: search.spec.to_yaml()}
    if result is not None:
        text = [*result.table(len(result.board.rows)), "", result.conclusion]
        files["leaderboard.txt"] = "\n".join(text) + "\n"
        if result.finished:
            with contextlib.suppress(OSError):  # it could not be made, which was said
                files[PAGE_FILE] = (search.folder / PAGE_FILE).read_text(encoding="utf-8")
        if result.board.winner is not None and result.no_winner is None:
            try:
                files["best_schedule.json"] = export_text(search.document(result.board))
            except OperationFailed as error:  # a file of a trial is lost: `export` says so again
                _log.warning("MLflow does not get best_schedule.json: %s", error)
    return ParentInfo(tags=tags, params=search.spec.resolved(), files=files, status=status)
