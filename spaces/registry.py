"""A folder is a registry: each file in it is one choice, found by its file name.

Dropping `weibull.py` with one subclass of the folder's base class into the folder makes `weibull`
a choice everywhere: search files, the command line, contract tests. No list is kept by hand.
"""

import dataclasses
import importlib
import inspect
import json
import keyword
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from spaces import plugins

T = TypeVar("T")
V = TypeVar("V")

# Set as `__pydantic_config__` on every base class of a folder: options read from a file must have
# the declared type ("0.5" is not a number, True is not 1), be finite and be known.
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def name_of(choice: object) -> str:
    """The file name that holds the class of `choice` (an instance or the class itself)."""
    cls = choice if isinstance(choice, type) else type(choice)
    return cls.__module__.rpartition(".")[2]


def option_name(field: str) -> str:
    """An option as people write it: the field of one that is a word of Python's, as `class`, ends in an underscore."""
    word = field.removesuffix("_")
    return word if keyword.iskeyword(word) else field


def field_name(option: str) -> str:
    """The inverse of `option_name`."""
    return f"{option}_" if keyword.iskeyword(option) else option


def options_of(choice: object) -> dict[str, Any]:
    """The options of a choice, as plain data."""
    given = dataclasses.asdict(choice)  # type: ignore[call-overload]
    return {option_name(field): value for field, value in given.items()}


def required_options(cls: type) -> list[str]:
    """The options without a default."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(cls)
    return [option_name(f.name) for f in fields if f.default is missing and f.default_factory is missing]


def _lacking(cls: type) -> list[str]:
    """What its bases ask of it and it does not have: abstract methods, constants without a value."""
    declared = {
        name
        for base in cls.__mro__
        for name, hint in inspect.get_annotations(base).items()
        if get_origin(hint) is ClassVar and not hasattr(cls, name)
    }
    return sorted(declared | getattr(cls, "__abstractmethods__", frozenset()))


def summary_of(cls: type) -> str:
    """First line of the docstring: what `list` prints."""
    return (cls.__doc__ or "").strip().partition("\n")[0]


@lru_cache(maxsize=256)
def adapter(cls: Any) -> TypeAdapter[Any]:
    """pydantic's validator of a type, kept: making one costs more than using it."""
    return TypeAdapter(cls)


def validated(cls: type[T], fields: Mapping[str, Any]) -> T:
    """An instance of a dataclass from plain values, strictly validated.

    Raises pydantic.ValidationError (a ValueError) for an unknown field, a wrong type or a value that
    the class refuses, ValueError for what is not plain data.
    """
    hashable: Any = cls
    try:
        # Through JSON, where a strict tuple may be written as a list.
        text = json.dumps({field_name(option): value for option, value in dict(fields).items()})
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"plain values are needed, but {error}") from None
    return adapter(hashable).validate_json(text)


def complaint(error: ValidationError) -> tuple[tuple[str | int, ...], str]:
    """Where the first complaint is, `rule, but got value`, and how many more there are."""
    first, *others = error.errors(include_url=False)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "unexpected_keyword_argument":
        message = "unknown option"
    elif first["type"] != "value_error":  # a rule of the class names its values itself
        message = f"{message[:1].lower()}{message[1:]}, but got {first['input']!r:.60}"
    more = f" (and {len(others)} more)" if others else ""
    return first["loc"], f"{message}{more}"


def one_line(error: ValidationError, path: str) -> str:
    """`complaint` as `path.option: rule, but got value`."""
    place, message = complaint(error)
    return f"{'.'.join([path, *map(str, place)])}: {message}"


def names_in(package: str) -> tuple[str, ...]:
    """The names of the files in a package, in order, but for those that start with "_". None of them is imported."""
    folder = importlib.import_module(package)
    return tuple(
        sorted(
            entry.name for entry in pkgutil.iter_modules(folder.__path__) if not entry.name.startswith("_")
        )
    )


def module_in(package: str, name: str) -> ModuleType:
    """The file of this name. Raises ImportError, with the file's name, where it cannot be imported."""
    try:
        return importlib.import_module(f"{package}.{name}")
    except Exception as error:
        where = f"{package}.{name}".replace(".", "/")
        raise ImportError(f"{where}.py does not import: {error!r}") from error


class Choices(Mapping[str, V], ABC):
    """The choices of one folder, one in each file: by the name of the file.

    With those of the plugins in use (`spaces.plugins`). Files whose name starts with "_" hold shared code and are no
    choices. The folder is read at the first look-up, not at import, so that files in it may import the package they
    stand in. A file is imported when its choice is asked for: names alone, which every search file is checked against,
    cost nothing. One that cannot be imported or has not exactly one choice raises ImportError with its name.
    """

    def __init__(self, package: str, what: str):
        self.package = package
        self.what = what
        self._choices: dict[str, V] = {}  # by their modules, as far as they were asked for

    @abstractmethod
    def _choice_in(self, name: str, module: ModuleType) -> V:
        """The one choice of a file. Raises ImportError, with the file's name."""

    @cached_property
    def ours(self) -> Collection[str]:
        """The names of the folder itself, without those of plugins."""
        return names_in(self.package)

    def __getitem__(self, name: str) -> V:
        known = self._choices.get(f"{self.package}.{name}")
        if known is not None:
            return known
        module = (
            module_in(self.package, name) if name in self.ours else plugins.module_for(self.package, name)
        )
        if module is None:
            raise ValueError(
                f"Unknown {self.what} {name!r}. Known: {', '.join(self)}. "
                f"Add one in {self.package.replace('.', '/')}/."
            )
        if module.__name__ not in self._choices:
            self._choices[module.__name__] = self._choice_in(name, module)
        return self._choices[module.__name__]

    def _names(self) -> list[str]:
        return sorted([*self.ours, *plugins.names_for(self.package)])

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())


class Registry(Choices[type[T]], Generic[T]):
    """The choices of one folder: name -> the one concrete subclass of `base` in the file `name`.py."""

    def __init__(self, package: str, base: type[T], what: str):
        super().__init__(package, what)
        self.base = base

    def _choice_in(self, name: str, module: ModuleType) -> type[T]:
        found = [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, self.base)
            and value.__module__ == module.__name__
            and not value.__name__.startswith("_")
        ]
        if len(found) != 1:
            names = ", ".join(cls.__name__ for cls in found) or "none"
            raise ImportError(
                f"{module.__name__.replace('.', '/')}.py must define exactly one {self.base.__name__}, "
                f"but defines {names}"
            )
        if lacking := _lacking(found[0]):
            raise ImportError(
                f"{module.__name__.replace('.', '/')}.py: {found[0].__name__} lacks {', '.join(lacking)}, "
                f"which every {self.what} has"
            )
        return found[0]

    def build(self, options: Mapping[str, Any] | str) -> T:
        """The choice that `{"name": ..., **fields}` (or just the name) describes, strictly validated.

        Raises ValueError for an unknown name, pydantic.ValidationError (a ValueError) for an
        unknown field, a wrong type or a value that the class refuses.
        """
        fields = {"name": options} if isinstance(options, str) else dict(options)
        if not isinstance(fields.get("name"), str):
            raise ValueError(f"A {self.what} needs a `name`. Known: {', '.join(self)}")
        cls = self[fields.pop("name")]
        return validated(cls, fields)

    def describe(self, choice: T) -> dict[str, Any]:
        """The inverse of `build`: `{"name": ..., **fields}` of plain values, for JSON."""
        return {"name": name_of(choice), **options_of(choice)}
