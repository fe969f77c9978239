"""The file of a search that was started: the folder in which it is found is the search's, wherever that was moved."""

from pathlib import Path

from search.errors import InputError
from search.file.spec import SearchSpec, load_spec, overridden
from search.machine.urls import shown_url
from search.running.known import LOG_FILE, SPEC_FILE
from trainable.storage.location import is_bucket


def spec_in(folder: Path) -> SearchSpec:
    """The search that was started in `folder`, with that folder as its own. InputError where it cannot be."""
    return _belonging_to(_as_it_was(load_spec(folder / SPEC_FILE)), folder.absolute())


def _as_it_was(spec: SearchSpec) -> SearchSpec:
    """A search that version 0.2.0 kept measured its samples by nothing else, and is not unfinished for that."""
    is_older = "measures" not in spec.model_fields_set and spec.script is None
    return overridden(spec, {"measures": {"judges": []}}) if is_older else spec


def spec_at(file: Path) -> SearchSpec:
    """The search that `file` describes; see `spec_in` where it is the one that a search keeps."""
    is_kept = file.name == SPEC_FILE and any((file.parent / name).exists() for name in (LOG_FILE, "study.db"))
    return spec_in(file.parent) if is_kept else load_spec(file)


def _belonging_to(spec: SearchSpec, folder: Path) -> SearchSpec:
    """The search with its storage where its folder was found: a relative path meant another folder, or it was moved."""
    if folder.resolve() == spec.folder.resolve():
        return spec
    if folder.name != spec.name:
        raise InputError(
            f"{folder} holds the search {spec.name!r}, whose folder must be called {spec.name!r}. Rename it; a copy "
            "goes into another folder, which --storage names"
        )
    if is_bucket(spec.storage.path):
        raise InputError(
            f"{folder} is what the driver keeps of a search whose trials are in {spec.trials}, and works only in "
            f"{spec.folder}. Put it back there"
        )
    urls = {"study": spec.storage.study_url, "MLflow": spec.storage.mlflow_uri}
    shared = [f"its {what}, {shown_url(url)}" for what, url in urls.items() if url is not None]
    if shared and (spec.folder / SPEC_FILE).exists():
        raise InputError(
            f"{folder} is a copy of {spec.folder}, but {' and '.join(shared)}, was not copied and is that of the "
            f"original. Go on with the original, or name other databases in {folder / SPEC_FILE}"
        )
    return overridden(spec, {"storage.path": str(folder.parent)})
