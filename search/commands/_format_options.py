"""Options of the export formats on the command line: each field of a format in `search/exports/` is one.

They are read from the source of the formats: importing these takes seconds that `--help` should not.
"""

import argparse
import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from search.errors import UsageError

_FOLDER = Path(__file__).parents[1] / "exports"
_READ: Mapping[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str}  # others: as JSON


@dataclass(frozen=True)
class _Option:
    """A field of a format. help: the sentence of its docstring that begins with the field's name."""

    field: str
    format: str
    type: str
    help: str


def format_names() -> list[str]:
    """The formats as the command line writes them."""
    return sorted(path.stem.replace("_", "-") for path in _sources())


def flag_of(field: str) -> str:
    """A field of a format as the command line writes it."""
    return f"--{field.replace('_', '-')}"


def add_format_options(parser: argparse.ArgumentParser) -> None:
    """One option for each field; formats with a field of the same name share it."""
    for field, sharing in groupby(_options(), key=lambda option: option.field):
        first, *others = sharing
        kind = first.type.removesuffix(" | None")
        text = "; ".join(f"{option.format}: {option.help}" for option in (first, *others))
        parser.add_argument(
            flag_of(field),
            dest=_dest(field),
            type=_READ.get(kind, json.loads),
            metavar=kind.upper(),
            help=text.replace("%", "%%"),
        )


def format_options(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """The fields of format `name` that the command line gives. UsageError for one that the format does not have."""
    given = {option.field: getattr(args, _dest(option.field)) for option in _options()}
    given = {field: value for field, value in given.items() if value is not None}
    foreign = given.keys() - {option.field for option in _options() if option.format == name}
    if foreign:
        flags = ", ".join(map(flag_of, sorted(foreign)))
        raise UsageError(f"{flags} has no effect with --format {name}: leave it out")
    return given


def _dest(field: str) -> str:
    return f"format_{field}"  # so that no field meets another option of the verb


def _sources() -> list[Path]:
    return sorted(_FOLDER.glob("[!_]*.py"))


@cache
def _options() -> list[_Option]:
    """Those of all formats, by their fields."""
    found = (option for path in _sources() for option in _options_in(path))
    return sorted(found, key=lambda option: (option.field, option.format))


_MAY_HAVE_FIELDS = re.compile(rb"^    (?!\w+: ClassVar)\w+: ", re.MULTILINE)


def _options_in(path: Path) -> Iterator[_Option]:
    source = path.read_bytes()
    if not _MAY_HAVE_FIELDS.search(source):  # to parse it is a hundredth of a second for all
        return
    classes = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    for node in classes:
        if any(ast.unparse(base) == "NamedTuple" for base in node.bases):  # what a format is made of
            continue
        docstring = " ".join((ast.get_docstring(node) or "").split())
        for line in node.body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                field, kind = line.target.id, ast.unparse(line.annotation)
                if "ClassVar" not in kind:
                    yield _Option(field, path.stem.replace("_", "-"), kind, _sentence(docstring, field))


def _sentence(docstring: str, field: str) -> str:
    match = re.search(rf"\b{field}: (.+?)(?:\.\s|\.?$)", docstring)
    return match[1] if match else "see its file"
