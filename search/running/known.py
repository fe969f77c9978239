"""Searches by their names: where they are found on this machine, and the command lines that name them."""

import os
import secrets
import shlex
from pathlib import Path

from search.errors import InputError
from search.file.spec import SearchSpec
from search.machine.checkout import is_shipped
from search.machine.search_folders import DEFAULT_STORAGE, local_root
from search.machine.service import service_here
from search.machine.state_folder import home, make_home

# In the folder of a search.
SPEC_FILE = "search.yaml"
LOG_FILE = "search.log"  # all that libraries have to say
PAGE_FILE = "report.html"  # made by `report`, and at the end of the search
SUMS_FILE = "trials.sums"  # checksums of what the study was told of each trial

_INDEX = "searches"  # in the state folder of a cluster's head


def known_searches(storage: str | None = None) -> dict[str, Path]:
    """Name -> folder of the searches kept in `storage`; None: where they usually are.

    Where no other storage is named, the searches that were run on this machine as the head of a cluster count too. The
    first root that has a name wins.
    """
    storage = storage or DEFAULT_STORAGE
    roots = [local_root(storage), *(_roots_of_the_head() if storage == DEFAULT_STORAGE else [])]
    found: dict[str, Path] = {}
    for root in roots:
        for kept in sorted(root.glob(f"*/{SPEC_FILE}")):
            found.setdefault(kept.parent.name, kept.parent.resolve())
    return found


def folder_of(name: str, storage: str | None = None) -> Path:
    """The folder of the search called so. InputError if there is none."""
    found = known_searches(storage)
    if name in found:
        return found[name]
    known = f"There: {', '.join(sorted(found))}." if found else "There is none at all."
    where, remedy = f"in {_shown(storage)}", "Or give its search file, or its place with --storage"
    if is_shipped():
        where, remedy = "on this cluster", "Or give its search file"
    raise InputError(f"no search named {name!r} {where}. {known} {remedy}")


def latest_search(storage: str | None = None) -> str:
    """The name of the search in `storage` that was written to last. InputError if there is none."""
    found = known_searches(storage)
    if not found:
        raise InputError(
            f"there is no search in {_shown(storage)} yet. Run one: python -m search run searches/digits.yaml"
        )
    return max(found, key=lambda name: (_written_at(found[name]), name))


def _shown(storage: str | None) -> str:
    return f"{(storage or DEFAULT_STORAGE).rstrip('/')}/"


def _written_at(folder: Path) -> float:
    """When a driver last wrote to the search's folder, in seconds since 1970."""
    files = (folder / name for name in (SUMS_FILE, LOG_FILE, SPEC_FILE))
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def remember(folder: Path) -> None:
    """Make the search in `folder` known on this machine by its name; the latest of a name counts."""
    index = make_home() / _INDEX
    index.mkdir(mode=0o700, exist_ok=True)
    link = index / f".{folder.name}.{secrets.token_hex(4)}"
    link.symlink_to(folder)
    os.replace(link, index / folder.name)


def command(spec: SearchSpec, verb: str, *options: str) -> str:
    """The command line that does `verb` with this search, for a message."""
    words = ["python -m search", verb, spec.name, *options]
    if is_shipped():
        words += ["--address", "URL"]
    elif spec.storage.path != DEFAULT_STORAGE:
        words += ["--storage", shlex.quote(spec.storage.path)]
    return " ".join(words)


def _roots_of_the_head() -> list[Path]:
    """Folders of this machine's service that hold searches by name; none where nothing was run for a cluster."""
    found = [home() / _INDEX]
    service = service_here()
    if service is not None:
        found.append(local_root(service.storage))
    return [root for root in found if root.is_dir()]
