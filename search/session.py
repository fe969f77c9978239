"""A search on disk: found by name or file, opened once, described once."""

import fcntl
import importlib.metadata
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.commit import git_commit
from search.conductor import BUDGET_SPENT, CONFIRM_ANYWAY, Plan
from search.errors import InputError, OperationFailed
from search.export import export_document, export_text
from search.leaderboard import Leaderboard, leaderboard
from search.places import local_root
from search.race import standing
from search.record import Stage, TrialRecord
from search.sampling import read_found, read_sampling, sampling_of
from search.service.driver import LOCK_FILE
from search.service.package import is_shipped
from search.service.searches import SPEC_FILE, places, searches_in
from search.service.stores import tracking_environment
from search.spec import AMOUNT, SearchSpec, changed_fields, load_spec
from search.spending import Limits
from search.study import StudyStore
from search.tracking import ParentInfo, Projection
from spaces import PRESETS
from spaces.registry import name_of
from trainable.assets import Assets
from trainable.atomic import write_atomically
from trainable.extractor import objective_name

if TYPE_CHECKING:
    from search.result import Result

DEFAULT_STORAGE = "runs"
LOG_FILE = "search.log"  # all that libraries have to say
COMPARED_TO = "ict"  # the preset that others are compared to where presets are all there is
_PACKAGES = ("ray", "optuna", "torch", "mlflow", "sqlalchemy", "numpy")


def find_spec(name_or_file: str, storage: str = DEFAULT_STORAGE) -> SearchSpec:
    """The search called so in `storage`, or described by the file of that name.

    Where no other storage is named, the searches that were run on this machine as the head of a cluster count too.
    """
    path = Path(name_or_file)
    if path.suffix in (".yaml", ".yml") or os.sep in name_or_file:
        return load_spec(path)
    found = known_searches(storage)
    if name_or_file not in found:
        known = f"There: {', '.join(sorted(found))}." if found else "There is none at all."
        where = "on this cluster" if is_shipped() else f"in {storage.rstrip('/')}/"
        remedy = (
            "Or give its search file"
            if is_shipped()
            else "Or give its search file, or its place with --storage"
        )
        raise InputError(f"no search named {name_or_file!r} {where}. {known} {remedy}")
    return load_spec(found[name_or_file] / SPEC_FILE)


def known_searches(storage: str = DEFAULT_STORAGE) -> dict[str, Path]:
    """Name -> folder of the searches that `find_spec` finds by name."""
    return searches_in([local_root(storage), *(places() if storage == DEFAULT_STORAGE else [])])


def plan_of(spec: SearchSpec, max_concurrent: int) -> Plan:
    """What the conductor needs of a search file."""
    return Plan(
        space=spec.space,
        baselines={name: PRESETS[name].schedule for name in spec.presets},
        algorithm=spec.algorithm,
        stopping=spec.stopping,
        total_steps=spec.training.total_steps,
        max_trials=spec.budget.max_trials,
        limits=Limits(
            hours=spec.budget.max_hours,
            cpu_hours=spec.budget.max_cpu_hours,
            gpu_hours=spec.budget.max_gpu_hours,
            cpu=spec.resources.cpu,
            gpu=spec.resources.gpu,
        ),
        noise_seeds=spec.noise_floor.seeds if spec.presets else 0,
        race=spec.confirm.rules,
        audit_share=spec.audit,
        equal_schedules=spec.equal_schedules,
        max_concurrent=max_concurrent,
        seed=spec.seed,
    )


def objective_of(spec: SearchSpec) -> str:
    """Name of what is minimised: `fid` or `fd_<network>`."""
    return objective_name(name_of(spec.objective.extractor))


def open_store(spec: SearchSpec) -> StudyStore:
    """The study of an existing search."""
    store = StudyStore.open(spec.study_url_resolved, spec.name) if spec.folder.exists() else None
    if store is None:
        raise InputError(f"search {spec.name!r} has not been started. Run: python -m search run FILE")
    return store


def open_or_create(spec: SearchSpec, assets: Assets) -> StudyStore:
    """The study of this search, new if there is none; refused if it is that of another search."""
    store = StudyStore.open(spec.study_url_resolved, spec.name)
    if store is None:
        return StudyStore.create(spec.study_url_resolved, spec.name, _header(spec, assets))
    header = store.header
    changed = changed_fields(header["identity"], spec.fingerprint_fields())
    if changed:
        amount = [field for field in changed if field.partition(".")[0] in AMOUNT]
        remedy = (
            f"Do more of it with `extend {spec.name}` or `confirm {spec.name}`"
            if amount == changed
            else "Give this one another `name`"
        )
        raise InputError(
            f"search {spec.name!r} exists with another {', '.join(changed)}. {remedy}, "
            f"or undo the change (its file is {spec.folder / SPEC_FILE})"
        )
    for key, what in (("data_sha256", "data set"), ("extractor_sha256", "feature network")):
        if header[key] != getattr(assets, key):
            raise InputError(
                f"search {spec.name!r} was measured with another {what} (checksum {header[key][:12]}, now "
                f"{getattr(assets, key)[:12]}): distances cannot be compared. Give this search another `name`"
            )
    return store


def amend(spec: SearchSpec, store: StudyStore) -> None:
    """Make `spec` the search file of an existing search: what only `extend` and `confirm` may do.

    A larger budget opens the search again. A confirmation that is asked for by itself may exceed it.
    """
    changed = changed_fields(store.header["identity"], spec.fingerprint_fields())
    sections = {field.partition(".")[0] for field in changed}
    assert sections <= set(AMOUNT), changed
    store.set_header("search", spec.resolved())
    store.set_header("identity", spec.fingerprint_fields())
    if "budget" in sections:
        store.set_header(BUDGET_SPENT, False)
    store.set_header(CONFIRM_ANYWAY, "budget" not in sections)
    write_atomically(spec.folder / SPEC_FILE, spec.to_yaml().encode())


def _header(spec: SearchSpec, assets: Assets) -> dict[str, Any]:
    return {
        "study_id": secrets.token_hex(8),
        "search": spec.resolved(),
        "identity": spec.fingerprint_fields(),
        "objective": assets.objective,
        "data_sha256": assets.data_sha256,
        "extractor_sha256": assets.extractor_sha256,
        "extractor_accuracy": assets.extractor_accuracy,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "git_commit": git_commit(),
    }


def projection_settings(spec: SearchSpec, store: StudyStore) -> dict[str, Any]:
    """The search's place in MLflow: the arguments of a `Projection`."""
    return {
        "uri": spec.mlflow_uri_resolved,
        "search_name": spec.name,
        "objective": objective_of(spec),
        "total_steps": spec.training.total_steps,
        "folder": spec.folder,
        "kept_at": spec.trials,
        "study_id": store.header["study_id"],
        # A value belongs to what it was measured with.
        "trial_tags": {
            "num_samples": spec.objective.num_samples,
            "extractor_sha256": store.header["extractor_sha256"],
        },
    }


def projection_of(spec: SearchSpec, store: StudyStore) -> Projection:
    """What brings MLflow to the state of the search, in this process."""
    os.environ.update(tracking_environment(spec))
    return Projection(**projection_settings(spec, store))


def track_sampling(spec: SearchSpec, store: StudyStore, record: TrialRecord) -> str | None:
    """Bring the sampling levels of a trial, and the export that holds them, to MLflow; what is behind, if it fails."""
    from search.result import Result, command

    projection = projection_of(spec, store)
    measured = sampling_of(spec.trials, record.number)
    assert measured is not None
    try:
        projection.sync_sampling(record, measured)
        result = Result.read(spec, store)
        projection.sync_parent(parent_info(spec, store, result.mlflow_status(), result))
    except Exception as error:  # MLflow is a projection: what it lacks can be brought in later
        reason = " ".join(str(error).split())[:200]
        return f"MLflow did not take it ({reason}); run `{command(spec, 'reconcile')}`"
    return None


def parent_info(
    spec: SearchSpec, store: StudyStore, status: str, result: "Result | None" = None
) -> ParentInfo:
    """What the search's own run in MLflow shows. status: `Result.mlflow_status`, or RUNNING when it begins."""
    header = store.header
    tags = {f"version.{name}": version for name, version in header["versions"].items()}
    tags |= {
        "objective": header["objective"],
        "git_commit": header["git_commit"] or "unknown",
        "data_sha256": header["data_sha256"],
        "extractor_sha256": header["extractor_sha256"],
    }
    files = {SPEC_FILE: spec.to_yaml()}
    if result is not None:
        text = [*result.table(len(result.board.rows)), "", result.conclusion]
        files["leaderboard.txt"] = "\n".join(text) + "\n"
        if result.board.winner is not None and result.no_winner is None:
            files["best_schedule.json"] = export_text(document_of(spec, result.board, header))
    return ParentInfo(tags=tags, params=spec.resolved(), files=files, status=status)


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


def board_of(spec: SearchSpec, records: list[TrialRecord]) -> Leaderboard:
    """The leaderboard of this search."""
    plan = plan_of(spec, 1)
    # In a comparison nothing is proposed and nobody is left out: no value was selected by, nobody leaves a race.
    compares = spec.confirm.top == 0 and spec.confirm.baselines >= len(spec.presets) > 0
    race = None if compares else plan.race
    board = leaderboard(
        spec.name,
        objective_of(spec),
        records,
        race=standing(records, race, plan.fresh_seeds) if race else None,
        num_finalists=spec.confirm.top,
        own_values=compares,
        reference=COMPARED_TO if compares and COMPARED_TO in spec.presets else None,
    )
    best = board.winner or board.best_unconfirmed
    if best is None or best.record.stage is not Stage.SEARCH:
        return board
    ends = spec.space.at_ends(best.record.schedule)
    if not ends:
        return board
    note = f"{best.label} lies at an end of what was searched: {', '.join(ends)}. A wider range may hold a better one."
    return replace(board, notes=(note,))


@contextmanager
def only_driver(folder: Path) -> Iterator[None]:
    """Hold the search: a second driver is refused as long as this one lives, killed or not."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise OperationFailed(
                f"search {folder.name!r} is being run by process {lock.read().strip() or 'unknown'}. "
                f"Wait for it, or run: python -m search stop {folder.name}"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
