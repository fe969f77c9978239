"""What every choice of a folder is: a frozen, validated record of options that knows what to search."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optuna.distributions import BaseDistribution

from spaces.registry import STRICT, name_of


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Options with their limits. Equal options are equal choices; they hash and pickle.

    BOUNDS: the closed interval of values that an option accepts; anything else raises ValueError.
    SPACE: what a search draws by default. An option that is missing here keeps its default value.
    SEARCHED: whether a search that names no families proposes this one.
    A rule between two options goes into `__post_init__`, after `super().__post_init__()`.
    """

    __pydantic_config__ = STRICT
    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {}
    SPACE: ClassVar[Mapping[str, BaseDistribution]] = {}
    SEARCHED: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for option, (low, high) in self.BOUNDS.items():
            value = getattr(self, option)
            if value is not None and not low <= value <= high:  # NaN fails too
                raise ValueError(f"`{low:g} <= {option} <= {high:g}` must hold, but got {option}={value!r}")

    def describe(self) -> str:
        """One short word for tables: the name with what is searched or differs from its default."""
        shown = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name in self.SPACE or getattr(self, field.name) != field.default
        }
        options = ", ".join(
            f"{option}={f'{value:.4g}' if isinstance(value, float) else value}"
            for option, value in shown.items()
        )
        return f"{name_of(self)}({options})" if options else name_of(self)
