"""JSON read strictly: how large a number, a text and a document may be, and nothing that can surprise.

All raise ValueError, in one line without the name of the file.
"""

import json
import math
import os
from collections.abc import Mapping
from typing import Any

from spaces.curriculum import MAX_STAGE_VALUES

# What a search may come to is refused before it runs if its export would be too large (`spaces.checks.check_values`).
MAX_VALUES = MAX_STAGE_VALUES + 100_000  # the largest that the default search space can give has 0.1 million
MAX_BYTES = 32 * MAX_VALUES  # a number, its indent and its comma take at most 31
MAX_DEPTH = 16
_MAX_TEXT = 100_000
_MAX_KEY = 200
_MAX_NUMBER = 400  # characters


def load(path: str | os.PathLike[str]) -> Any:
    """What is in a file: JSON as RFC 8259 has it, without NaN, duplicate keys and numbers that Python cannot hold."""
    return _parsed(_content(path))


def _content(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as file:
            content: bytes = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise ValueError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MAX_BYTES:
        raise ValueError(f"must have at most {MAX_BYTES} bytes, but has more")
    return content


def _parsed(content: bytes) -> Any:
    # Before anything is made of it: an empty list is two bytes there and 56 in memory.
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise ValueError(f"must have at most {MAX_VALUES} values, but has more")
    try:
        return json.loads(
            content.decode("utf-8"),
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_number,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError(f"must be nested at most {MAX_DEPTH} deep, but is deeper") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"must be UTF-8 text, but has the byte 0x{content[error.start]:02x}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg}, line {error.lineno} column {error.colno}") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"numbers must be finite, but got {name}")


def _integer(text: str) -> int:
    if len(text) > _MAX_NUMBER:  # Python itself refuses 4,301 digits, with an error of its own
        raise ValueError(f"integers must have at most 63 bits, but one has {len(text)} digits")
    return int(text)


def _number(text: str) -> float:
    if len(text) > _MAX_NUMBER:
        raise ValueError(f"numbers must have at most {_MAX_NUMBER} characters, but one has {len(text)}")
    return float(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r:.60} stands twice in one object")
        found[key] = value
    return found


def plain_copy(value: Any) -> Any:
    """Data of limited size and depth that holds nothing but what JSON can hold, in Python's own types."""
    return _Copier().copy(value, depth=0)


class _Copier:
    def __init__(self) -> None:
        self._values_left = MAX_VALUES

    def copy(self, value: Any, depth: int) -> Any:
        self._take(1)
        if not isinstance(value, Mapping | list | tuple):
            return _plain_scalar(value)
        if depth == MAX_DEPTH:
            raise ValueError(f"must be nested at most {MAX_DEPTH} deep, but is deeper")
        if isinstance(value, Mapping):
            return {_plain_key(key): self.copy(item, depth + 1) for key, item in value.items()}
        if set(map(type, value)) == {float} and all(map(math.isfinite, value)):
            self._take(len(value))  # most of a document
            return list(value)
        return [self.copy(item, depth + 1) for item in value]

    def _take(self, num_values: int) -> None:
        self._values_left -= num_values
        if self._values_left < 0:
            raise ValueError(f"must have at most {MAX_VALUES} values, but has more")


def _plain_scalar(value: Any) -> bool | int | float | str | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if abs(value) >= 2**63:
            raise ValueError("integers must have at most 63 bits, but one has more")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"numbers must be finite, but got {value!r}")
        return float(value)
    if isinstance(value, str):
        if len(value) > _MAX_TEXT:
            raise ValueError(f"texts must have at most {_MAX_TEXT} characters, but one has {len(value)}")
        return str(value)
    raise ValueError(f"plain values are needed, but got one of type {type(value).__name__}")


def _plain_key(key: Any) -> str:
    if not isinstance(key, str) or len(key) > _MAX_KEY:
        raise ValueError(f"keys must be texts of at most {_MAX_KEY} characters, but one is not")
    return str(key)
