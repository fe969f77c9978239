"""What every choice of a folder is: a frozen, validated record of options that knows what to search."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import Any, ClassVar, get_type_hints

from optuna.distributions import BaseDistribution

from spaces.registry import STRICT, name_of

_SCALARS: Mapping[Any, tuple[tuple[type, ...], str]] = {
    float: ((float, int), "a number"),
    int: ((int,), "an integer"),
    bool: ((bool,), "true or false"),
    int | None: ((int, NoneType), "an integer or nothing"),
    float | None: ((float, int, NoneType), "a number or nothing"),
}


@cache
def _scalar_options(cls: type) -> tuple[tuple[str, tuple[type, ...], str], ...]:
    """(option, types that it may have, the same in words) of the options that are one number or truth value."""
    hints = get_type_hints(cls)
    return tuple((name, *_SCALARS[hint]) for name, hint in hints.items() if hint in _SCALARS)


@cache
def _defaults(cls: type) -> tuple[tuple[str, Any], ...]:
    """(option, its default) in their order."""
    return tuple((field.name, field.default) for field in dataclasses.fields(cls))


@dataclass(frozen=True)
class Remark:
    """What `list` adds to a choice: `figures` to its JSON, `text` to its lines for people."""

    figures: Mapping[str, Any]
    text: str


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Options with their limits. Equal options are equal choices; they hash and pickle.

    BOUNDS: the closed interval of values that an option accepts; anything else, and another type, raises ValueError.
    SPACE: what a search draws by default. An option that is missing here keeps its default value.
    SEARCHED: whether a search that names no families proposes this one.
    A rule between two options goes into `__post_init__`, after `super().__post_init__()`.
    """

    __pydantic_config__ = STRICT
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {}
    SEARCHED: ClassVar[bool] = True

    def __post_init__(self) -> None:
        cls: Any = type(self)  # mypy takes no class of ours for hashable
        for option, types, what in _scalar_options(cls):
            value = getattr(self, option)
            # A bool is an int to Python, and to no reader of a search file.
            if type(value) not in types and (isinstance(value, bool) or not isinstance(value, types)):
                raise ValueError(f"`{option}` must be {what}, but got {option}={value!r:.60}")
        for option, (low, high) in self.BOUNDS.items():
            value = getattr(self, option)
            if value is not None and not low <= value <= high:  # NaN fails too
                raise ValueError(f"`{low:g} <= {option} <= {high:g}` must hold, but got {option}={value!r}")

    @classmethod
    def remark(cls) -> Remark | None:
        """What holds at the defaults and the options do not say; None: nothing to add."""
        return None

    def describe(self) -> str:
        """One short word for tables: the name with what is searched or differs from its default."""
        cls: Any = type(self)
        shown = {
            option: value
            for option, default in _defaults(cls)
            if (value := getattr(self, option)) != default or option in self.SPACE
        }
        options = ", ".join(
            f"{option}={f'{value:.4g}' if isinstance(value, float) else value}"
            for option, value in shown.items()
        )
        return f"{name_of(self)}({options})" if options else name_of(self)
