"""A promise is a function of a choice's name that raises `Broken`."""

import dataclasses
import inspect
import json
import math
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from spaces.choice import Choice
from spaces.registry import Registry, required_options

Promise = Callable[[str], None]


class Broken(ValueError):
    """A promise that is not kept, in one line."""


def need(kept: object, message: str) -> None:
    """Broken unless `kept`."""
    if not kept:
        raise Broken(message)


def plain_data(registry: Registry[Any], choice: Any) -> None:
    """Broken unless JSON and pickle give the choice back."""
    again = registry.build(json.loads(json.dumps(registry.describe(choice))))
    need(again == choice, f"JSON gives back {again}, not {choice}")
    need(pickle.loads(pickle.dumps(choice)) == choice, f"pickle does not give back {choice}")


def at_its_defaults(registry: Registry[Any], name: str) -> Any:
    """The choice; None where something has to be named for it."""
    try:
        choice = None if required_options(registry[name]) else registry.build(name)
        if choice is not None:
            choice.check()
    except ValueError:
        return None
    return choice


def documented(cls: type) -> None:
    """Broken unless `list` has something to print of it."""
    line = (inspect.getdoc(cls) or "").partition("\n")[0] if cls.__doc__ else ""
    need(
        line.endswith((".", ":", ";")) and not line.startswith(f"{cls.__name__}("),
        f"the first line of {cls.__name__}'s docstring is what `list` prints: a sentence with a full stop",
    )


def good_options(cls: type[Choice]) -> None:
    """Broken unless the options are frozen, documented, have defaults and keep to their limits."""
    documented(cls)
    options = {field.name: field for field in dataclasses.fields(cls)}
    for what, named in (("SPACE", cls.SPACE), ("BOUNDS", cls.BOUNDS)):
        strange = sorted(set(named) - set(options))
        need(not strange, f"{what} has {', '.join(strange)}, which is no option")
    for option, field in options.items():
        need(field.default is not dataclasses.MISSING, f"{option} needs a default")
    for option, limits in cls.BOUNDS.items():
        _within(cls, option, limits)
    for option, field in options.items():
        try:
            setattr(cls(), option, field.default)
        except dataclasses.FrozenInstanceError:
            continue
        raise Broken(f"{option} can be changed: make it @dataclass(frozen=True, kw_only=True)")


def _within(cls: type[Choice], option: str, limits: tuple[float, float]) -> None:
    low, high = limits
    for outside in (low - 1, high + 1, math.nan):
        given: Mapping[str, Any] = {option: outside}
        try:
            cls(**given)
        except ValueError as error:
            need(
                f"{option}=" in str(error),
                f"what is said of {option}={outside:g} must have `{option}=` in it",
            )
        else:
            raise Broken(f"{option}={outside:g} is taken, but BOUNDS has {low:g} to {high:g}")
