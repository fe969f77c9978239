"""The searches of a cluster's head, found by name wherever their files say that they are kept."""

import os
import secrets
from pathlib import Path

from search.machine.search_folders import local_root
from search.machine.service import service_here
from search.machine.state_folder import home, make_home

SPEC_FILE = "search.yaml"
_INDEX = "searches"


def remember(folder: Path) -> None:
    """Make the search in `folder` known on this machine by its name; the latest of a name counts."""
    index = make_home() / _INDEX
    index.mkdir(mode=0o700, exist_ok=True)
    link = index / f".{folder.name}.{secrets.token_hex(4)}"
    link.symlink_to(folder)
    os.replace(link, index / folder.name)


def places() -> list[Path]:
    """Folders of this machine's service that hold searches by name; none where nothing was run for a cluster."""
    found = [home() / _INDEX]
    service = service_here()
    if service is not None:
        found.append(local_root(service.storage))
    return [place for place in found if place.is_dir()]


def searches_in(roots: list[Path]) -> dict[str, Path]:
    """Name -> its folder, for every search in `roots`; the first root that has a name wins."""
    found: dict[str, Path] = {}
    for root in roots:
        for kept in sorted(root.glob(f"*/{SPEC_FILE}")):
            found.setdefault(kept.parent.name, kept.parent.resolve())
    return found
