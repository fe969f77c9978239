"""Every choice refuses an option of another type, also where no file is read."""

import dataclasses
from typing import Any, get_type_hints

import pytest

from spaces import LOSSES, NOISE, WEIGHTS
from spaces.choice import Choice
from spaces.curricula.exponential import Exponential
from spaces.curriculum import CURRICULA
from spaces.grid import GRIDS
from spaces.noise.lognormal import LogNormal

WRONG: dict[Any, list[Any]] = {
    float: ["x", True, None, [1.0]],
    int: [2.5, "x", True, None],
    bool: [1, "yes", None],
    int | None: [2.5, "x", True],
    float | None: ["x", True],
}
OPTIONS = [
    (cls, field.name, get_type_hints(cls)[field.name])
    for registry in (NOISE, CURRICULA, GRIDS, WEIGHTS, LOSSES)
    for cls in registry.values()
    for field in dataclasses.fields(cls)
]


@pytest.mark.parametrize(
    ("cls", "option", "kind"), OPTIONS, ids=[f"{cls.__name__}.{option}" for cls, option, _ in OPTIONS]
)
def test_another_type_is_refused_with_the_name_of_the_option(
    cls: type[Choice], option: str, kind: Any
) -> None:
    for value in WRONG.get(kind, []):
        with pytest.raises(ValueError, match=f"^`{option}` must be "):
            cls(**{option: value})


def test_the_message_names_rule_and_value() -> None:
    with pytest.raises(ValueError, match=r"^`s0` must be an integer, but got s0=2\.5$"):
        Exponential(s0=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^`p_mean` must be a number, but got p_mean='x'$"):
        LogNormal(p_mean="x")  # type: ignore[arg-type]


def test_a_whole_number_is_a_number() -> None:
    assert LogNormal(p_mean=-1) == LogNormal(p_mean=-1.0)
