"""Reads a cluster file the way Ray and kubectl do (YAML 1.1, anchors allowed), and keeps every value's line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from search.errors import InputError
from search.file.yaml12 import MAX_BYTES, MAX_VALUES, Document
from search.file.yaml_walk import Place, located

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
    if len(content) > MAX_BYTES:
        raise InputError(f"{file}: must have at most {MAX_BYTES} bytes, but has {len(content)}")
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
    lines = _lines_of(root, file)
    loader = yaml.SafeLoader("")
    try:
        return ClusterFile(file, loader.construct_document(root), lines, text)
    finally:
        loader.dispose()


def _lines_of(root: yaml.Node, file: str) -> dict[Place, int]:
    """The line of every value; a mapping's value has that of its key."""
    lines: dict[Place, int] = {}
    for node in located(_written_out(root)):
        # Aliases count as often as they are used: a few hundred bytes can stand for gigabytes.
        if len(lines) >= MAX_VALUES or len(node.place) > _MAX_DEPTH:
            raise InputError(
                f"{file}: must hold at most {MAX_VALUES} values, {_MAX_DEPTH} deep, aliases written out, but holds more"
            )
        if node.is_key and node.place in lines:
            raise InputError(
                f"{file}:{node.line}: duplicate key {node.place[-1]!r}: also on line {lines[node.place]}, "
                "and YAML would silently use the last"
            )
        lines.setdefault(node.place, node.line)
    return lines


def _written_out(node: yaml.Node) -> Iterator[yaml.Event]:
    """The events of a document with aliases and merges written out: each with the line where it stands in full."""
    start, end = node.start_mark, node.end_mark
    if isinstance(node, yaml.SequenceNode):
        yield yaml.SequenceStartEvent(None, node.tag, True, start, end)
        for item in node.value:
            yield from _written_out(item)
        yield yaml.SequenceEndEvent(start, end)
    elif isinstance(node, yaml.MappingNode):
        yield yaml.MappingStartEvent(None, node.tag, True, start, end)
        for key, value in _pairs(node):
            yield yaml.ScalarEvent(None, key.tag, (True, True), str(key.value), key.start_mark, key.end_mark)
            yield from _written_out(value)
        yield yaml.MappingEndEvent(start, end)
    else:
        yield yaml.ScalarEvent(None, node.tag, (True, True), node.value, start, end)


def _pairs(mapping: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Its own keys with their values, then those of `<<: *anchor` or `<<: [*a, *b]` that are not among them."""
    own = [(key, value) for key, value in mapping.value if key.tag != _MERGE]
    yield from own
    given = {str(key.value) for key, _ in own}
    for merged in (value for key, value in mapping.value if key.tag == _MERGE):
        for source in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
            for key, value in _pairs(source) if isinstance(source, yaml.MappingNode) else ():
                if str(key.value) not in given:
                    given.add(str(key.value))
                    yield key, value


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
