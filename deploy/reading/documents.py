"""Reads a cluster file the way Ray and kubectl do (YAML 1.1, anchors allowed), and keeps every value's line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from search.errors import InputError
from search.file.yaml12 import Document, Place

_MAX_BYTES = 2**20
_MAX_VALUES = 10_000  # aliases counted as often as they are used: a few hundred bytes can stand for gigabytes
_MAX_DEPTH = 64
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class ClusterFile(Document):
    """One document of a cluster file. text: the whole file as it stands, comments too."""

    text: str = ""


def read_documents(path: str | Path) -> list[ClusterFile]:
    """The YAML documents of the file at `path`. Raises InputError for a file that cannot be read as YAML."""
    file = str(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise InputError(f"{file}: must have at most {_MAX_BYTES} bytes, but has {len(content)}")
    try:
        nodes = list(yaml.compose_all(content, Loader=yaml.SafeLoader))
        return [_document(file, node, content.decode()) for node in nodes if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(f"{error.problem or error.context}".split())
        raise InputError(f"{file}:{mark.line + 1 if mark else 1}: not YAML: {what}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not YAML: {' '.join(str(error).split())[:200]}") from None


def _document(file: str, root: yaml.Node, text: str) -> ClusterFile:
    lines: dict[Place, int] = {}
    _note_lines(root, (), lines, file)
    loader = yaml.SafeLoader("")
    try:
        return ClusterFile(file, loader.construct_document(root), lines, text)
    finally:
        loader.dispose()


def _note_lines(node: yaml.Node, place: Place, lines: dict[Place, int], file: str) -> None:
    if len(lines) >= _MAX_VALUES or len(place) > _MAX_DEPTH:
        raise InputError(
            f"{file}: must hold at most {_MAX_VALUES} values, {_MAX_DEPTH} deep, aliases written out, but holds more"
        )
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _note_lines(item, (*place, i), lines, file)
    elif isinstance(node, yaml.MappingNode):
        merged = [value for key, value in node.value if key.tag == _MERGE]
        for key, value in node.value:
            if key.tag == _MERGE:
                continue
            inner = (*place, str(key.value))
            if inner in lines:
                raise InputError(
                    f"{file}:{key.start_mark.line + 1}: duplicate key {key.value!r}: also on line {lines[inner]}, "
                    "and YAML would silently use the last"
                )
            lines[inner] = key.start_mark.line + 1
            _note_lines(value, inner, lines, file)
        for source in merged:  # `<<: *anchor` or `<<: [*a, *b]`: what is not written here has its line there
            for each in source.value if isinstance(source, yaml.SequenceNode) else [source]:
                there: dict[Place, int] = {}
                _note_lines(each, place, there, file)
                lines.update({inner: line for inner, line in there.items() if inner not in lines})


def walk(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every scalar below `value` and where it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, (*place, str(key)))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from walk(inner, (*place, i))
    else:
        yield place, value


def keys(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every key of a mapping below `value`, and where what it names stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*place, str(key)), str(key)
            yield from keys(inner, (*place, str(key)))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from keys(inner, (*place, i))


def matches(value: Any, pattern: re.Pattern[str]) -> Iterator[tuple[Place, str]]:
    """Where the texts below `value` have `pattern`, and what they have there."""
    for place, text in walk(value):
        found = pattern.search(text) if isinstance(text, str) else None
        if found:
            yield place, found[0]


def at(value: Any, *place: str | int) -> Any:
    """What stands at `place` below `value`; None if nothing does."""
    for part in place:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value
