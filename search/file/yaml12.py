"""Reads a search file: YAML 1.2 scalars, every value's line kept, nothing that can surprise.

PyYAML reads YAML 1.1: `1e-3` is a string there, `no` is False, `012` is ten, of two equal keys the
last wins, and a few hundred bytes of aliases expand to gigabytes. So only PyYAML's event parser is
used here; scalars are resolved by the YAML 1.2.2 core schema (section 10.3.2) and aliases, tags,
merges and duplicate keys are refused. The size, the depth and the length of numbers are limited.
"""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from search.errors import InputError
from search.file.yaml_walk import Located, Place, located

_LIBYAML = getattr(yaml, "CSafeLoader", None)  # five times as quick, where PyYAML was built with it
MAX_BYTES = 2**20
MAX_DEPTH = 32  # the deepest sensible search file has 5 levels
MAX_VALUES = 10_000  # keys not counted; a large search file has 200
MAX_SHOWN = 50  # problems written out; the rest is counted
MAX_NUMBER_CHARS = 64  # Python refuses to read an integer of more than 4300 digits, with a traceback


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file. line: counted from 1, None if unknown; field: "" for the whole file."""

    file: str
    line: int | None
    field: str
    message: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


class SpecError(InputError):
    """All problems found in a search file, in the order of its lines; its text has one line for each."""

    def __init__(self, problems: list[Problem]):
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line or 0))
        lines = [str(problem) for problem in self.problems[:MAX_SHOWN]]
        if len(self.problems) > MAX_SHOWN:
            lines.append(f"... and {len(self.problems) - MAX_SHOWN} more problems")
        super().__init__(*lines)


@dataclass(frozen=True)
class Document:
    """A file's content as plain dict, list, str, int, float, bool and None, and where each value stands."""

    file: str
    data: Any
    lines: Mapping[Place, int]

    def line_of(self, place: Place) -> int | None:
        """The line of the value at `place`, or of the nearest thing around it that is in the file."""
        for end in range(len(place), -1, -1):
            line = self.lines.get(place[:end])
            if line is not None:
                return line
        return None

    def problem(self, place: Place, message: str) -> Problem:
        return Problem(self.file, self.line_of(place), field_name(place), message)


def field_name(place: Place) -> str:
    """`("space", "noise", 0)` -> "space.noise[0]", safe to print."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            # Keys come from the file: one that is not a plain word is quoted, a long one is cut.
            shown = part if re.fullmatch(r"[\w-]{1,64}", part, re.ASCII) else repr(part[:64])
            text += f".{shown}" if text else shown
    return text


def read_document(path: str | Path) -> Document:
    """The YAML file at `path`. Raises SpecError for a file that is missing, too large or not YAML."""
    file = str(path)
    try:
        with open(path, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError([Problem(file, None, "", "no such file")]) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError([Problem(file, None, "", f"cannot be read: {reason}")]) from None
    return parse_document(content, file)


def parse_document(content: bytes | str, file: str = "<text>") -> Document:
    """The YAML text `content`; `file` names it in errors. Raises SpecError."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    if len(content) > MAX_BYTES:
        message = f"must have at most {MAX_BYTES} bytes (1 MiB), but is larger"
        raise SpecError([Problem(file, None, "", message)])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"must be UTF-8 text, but has the byte 0x{content[error.start]:02x}"
        raise SpecError([Problem(file, line, "", message)]) from None
    if _LIBYAML is not None:
        with suppress(yaml.YAMLError):  # PyYAML's own parser says what is wrong
            return _Builder(file).build(yaml.parse(text, Loader=_LIBYAML))
    try:
        return _Builder(file).build(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(f"{error.problem or error.context}".split())
        raise SpecError([Problem(file, mark.line + 1 if mark else None, "", f"not YAML: {what}")]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"must be printable text, but has the character {chr(error.character)!a}"
        raise SpecError([Problem(file, line, "", message)]) from None


_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_INT_PREFIXED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN")


def resolve_scalar(text: str) -> str | int | float | bool | None:
    """The value of a plain (unquoted) scalar: YAML 1.2.2 core schema, section 10.3.2.

    Raises ValueError for a number that is not finite or has more than 64 characters.
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    is_number = _FLOAT.fullmatch(text) or _INT_PREFIXED.fullmatch(text)
    if is_number and len(text) > MAX_NUMBER_CHARS:
        raise ValueError(f"a number must have at most {MAX_NUMBER_CHARS} characters, but has {len(text)}")
    if _INT.fullmatch(text):
        return int(text)
    if _INT_PREFIXED.fullmatch(text):
        return int(text, 0)
    if is_number:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"a number must be finite, but {text} is beyond what a float holds")
        return value
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"a number must be finite, but got {text}")
    return text


class _Builder:
    """Events in, plain data out."""

    def __init__(self, file: str):
        self.file = file
        self.problems: list[Problem] = []
        self.lines: dict[Place, int] = {}
        self.open: dict[Place, dict[str, Any] | list[Any]] = {}  # lists and mappings by their place

    def build(self, events: Iterator[yaml.Event]) -> Document:
        root: Any = None
        num_documents = 0
        for node in located(events):
            if isinstance(node.event, yaml.DocumentStartEvent):
                num_documents += 1
                if num_documents > 1:
                    raise self._end(node.line, "must hold one document")
                continue
            self._refuse_references(node)
            if node.is_key:
                self._take_key(node)
            else:
                value = self._taken_value(node)
                root = root if node.place else value
        if self.problems:
            raise SpecError(self.problems)
        return Document(self.file, root, self.lines)

    def _refuse_references(self, node: Located) -> None:
        anchor, tag = getattr(node.event, "anchor", None), getattr(node.event, "tag", None)
        if isinstance(node.event, yaml.AliasEvent):
            self._refuse(node, f"aliases are not allowed, but got *{anchor}: write values out")
        elif anchor is not None:
            self._refuse(node, f"anchors are not allowed, but got &{anchor}: write values out")
        if tag is not None:
            self._refuse(node, f"tags are not allowed, but got {tag[:64]!a}")

    def _take_key(self, node: Located) -> None:
        if not isinstance(node.event, yaml.ScalarEvent):
            message = "a key must be plain text, but got a list, a mapping or an alias"
            raise self._end(node.line, message, node.place)
        *around, key = node.place
        if key in self.open[tuple(around)]:
            self._refuse(node, f"duplicate key: also on line {self.lines[node.place]}")
            return
        self.lines[node.place] = node.line
        if key == "<<":
            self._refuse(node._replace(place=tuple(around)), "merges are not allowed: write the keys out")

    def _taken_value(self, node: Located) -> Any:
        value = self._value(node)
        if len(self.lines) >= MAX_VALUES:
            raise self._end(node.line, f"must hold at most {MAX_VALUES} values, but holds more")
        self.lines.setdefault(node.place, node.line)  # a mapping's value has the line of its key
        self._put(node.place, value)
        if isinstance(value, dict | list):
            if len(node.place) >= MAX_DEPTH:
                raise self._end(node.line, f"must be nested at most {MAX_DEPTH} deep, but goes deeper")
            self.open[node.place] = value
        return value

    def _value(self, node: Located) -> Any:
        event = node.event
        if isinstance(event, yaml.MappingStartEvent):
            return {}
        if isinstance(event, yaml.SequenceStartEvent):
            return []
        if not isinstance(event, yaml.ScalarEvent):
            return None
        if not event.implicit[0]:  # quoted, or a block of text
            return event.value
        try:
            return resolve_scalar(event.value)
        except ValueError as error:
            self._refuse(node, str(error))
            return None

    def _put(self, place: Place, value: Any) -> None:
        parent = self.open[place[:-1]] if place else None
        if isinstance(parent, list):
            parent.append(value)
        elif parent is not None:
            parent[str(place[-1])] = value

    def _refuse(self, node: Located, message: str) -> None:
        self.problems.append(Problem(self.file, node.line, field_name(node.place), message))

    def _end(self, line: int, message: str, place: Place = ()) -> SpecError:
        """What is raised where the rest cannot be read."""
        return SpecError([*self.problems, Problem(self.file, line, field_name(place), message)])
