"""What a search file must be to be run on another machine, which gets the file and nothing of what it names."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from search.file.kinds import registry_of
from search.file.yaml12 import SpecError, read_document
from search.file.yaml_walk import Place
from trainable.storage.path import expanded


def check_paths_absolute(file: str | Path) -> None:
    """SpecError for a path of data or features that is relative: its folder is not there. The file is a valid one."""
    document = read_document(file)
    problems = [
        document.problem(place, _why_absolute(path))
        for place, path in _paths(document.data, ())
        if not expanded(path).is_absolute()
    ]
    if problems:
        raise SpecError(problems)


def _why_absolute(path: str) -> str:
    return (
        f"must be an absolute path of the cluster, which gets the search file without its folder, but got {path}. Copy "
        "the file or folder there, and name its place there"
    )


def _paths(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Every path that a choice of data or features has, wherever it stands in the file."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*place, index))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key in ("data", "extractor") and isinstance(item, Mapping):
                chosen = registry_of(key)[item["name"]]
                yield from (
                    ((*place, key, option), item[option]) for option in chosen.PATHS if item.get(option)
                )
            yield from _paths(item, (*place, key))
