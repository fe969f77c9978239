"""The wording of what is wrong with a search file: rule and value, in the user's terms, on one line."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from search.file.yaml12 import resolve_scalar
from search.file.yaml_walk import Place

LONGEST_NAME = 64
NAME = rf"^[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}$"


class Misfit(ValueError):
    """Problems inside one value: where (below it) and what."""

    def __init__(self, *items: tuple[Place, str]):
        self.items = items
        super().__init__("; ".join(message for _, message in items))


UNKNOWN_FIELD = ("extra_forbidden", "unexpected_keyword_argument")
_TYPES = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "dataclass_exact_type": "a mapping",
    "finite_number": "finite",
    "none_required": "left out",
}
_LIMITS = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}
_LIMIT_KEYS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}


def flatten(error: ValidationError) -> Iterator[tuple[Place, str, str]]:
    """(place, message, pydantic's kind) of everything in `error`, nested Misfits taken apart."""
    for entry in error.errors(include_url=False):
        place = tuple(entry["loc"])
        inner = entry.get("ctx", {}).get("error")
        if entry["type"] == "default_factory_not_called":
            continue  # its cause, an error in the field that the default follows, is reported itself
        if isinstance(inner, Misfit):
            for below, message in inner.items:
                yield (*place, *below), message, "misfit"
        elif isinstance(inner, ValidationError):
            for below, message, kind in flatten(inner):
                yield (*place, *below), message, kind
        else:
            yield place, message_of(entry), entry["type"]


def message_of(entry: Any) -> str:
    """Rule and value of one pydantic error, in one line."""
    kind, value, context = entry["type"], entry["input"], entry.get("ctx", {})
    if kind == "missing":
        return "is required, but is missing"
    if kind in _LIMITS:
        return f"must be {_LIMITS[kind]} {context[_LIMIT_KEYS[kind]]:g}, but got {shown(value)}"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, but got {shown(value)}{_hint(kind, value)}"
    if kind == "string_pattern_mismatch":
        if context["pattern"] == NAME:
            rule = f"1 to {LONGEST_NAME} letters, digits and any of _ . - (first a letter or digit)"
        else:
            rule = f"text like {context['pattern']}"
        return f"must be {rule}, but got {shown(value)}"
    if kind == "literal_error":
        return f"must be {context['expected']}, but got {shown(value)}"
    if kind == "value_error":
        return " ".join(str(context["error"]).split())
    message = " ".join(entry["msg"].split())
    return f"{message[:1].lower()}{message[1:]}, but got {shown(value)}"


def _hint(kind: str, value: Any) -> str:
    """The likely remedy for a value of the wrong type."""
    if kind.startswith("int") and isinstance(value, float) and value == int(value):
        return f" (write {int(value)})"
    if kind.startswith(("int", "float")) and isinstance(value, str):
        try:
            number = resolve_scalar(value.strip().replace("_", ""))
        except ValueError:
            return ""
        if isinstance(number, int | float) and not isinstance(number, bool):
            return f" (write {number})"
    if kind.startswith("bool") and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off"):
        return f" (write {'true' if value.lower() in ('yes', 'on') else 'false'})"
    return ""


def shown(value: Any) -> str:
    """A value in a message: one line, never long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    is_list = isinstance(value, list | tuple)
    text = f"[{', '.join(map(shown, value))}]" if is_list else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def did_you_mean(word: object, known: Any) -> str:
    close = difflib.get_close_matches(str(word), [str(name) for name in known], n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def unknown_field(key: object, known: Any) -> str:
    names = ", ".join(str(name) for name in known)
    if not names:
        return "unknown field. There are no options here"
    return f"unknown field{did_you_mean(key, known)}. Known: {names}"
