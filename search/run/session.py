"""A search on disk: found by name or file, opened once, described once."""

import fcntl
import importlib.metadata
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.errors import InputError, OperationFailed
from search.file.identity import AMOUNT, changed_fields
from search.file.spec import SearchSpec, load_spec
from search.machine.checkout import git_commit, is_shipped
from search.machine.driver import LOCK_FILE
from search.machine.search_folders import local_root
from search.policy.trials import CONFIRM_ANYWAY, SEARCH_CLOSED
from search.run.known import SPEC_FILE, places, searches_in
from search.study.store import StudyStore
from trainable.metric.assets import Assets
from trainable.storage.atomic import write_atomically

DEFAULT_STORAGE = "runs"
LOG_FILE = "search.log"  # all that libraries have to say
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
        store.set_header(SEARCH_CLOSED, False)
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
