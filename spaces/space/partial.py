"""Some of a space's parameters, given by somebody: are they such, and which families do they mean?"""

import difflib
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from spaces.space.distributions import contains, describe
from spaces.space.family import Family


def completed(
    parts: Mapping[str, tuple[Family[Any], ...]],
    uniform_floor: float | BaseDistribution,
    params: Mapping[str, Any],
) -> dict[str, Any]:
    """`params`, with the family of each option among them. ValueError, in one line, for what is none of the space.

    parts: the families of grid, noise, curriculum and so on.
    """
    known: dict[str, BaseDistribution] = {
        f"{family.prefix}.{option}": distribution
        for families in parts.values()
        for family in families
        for option, distribution in family.free.items()
    }
    for part, families in parts.items():
        if len(families) > 1:
            known[part] = CategoricalDistribution([family.name for family in families])
    if isinstance(uniform_floor, BaseDistribution):
        known["uniform_floor"] = uniform_floor
    for name, value in params.items():
        _check_value(known, name, value)
    found = dict(params)
    for part, families in parts.items():
        if len(families) > 1:
            _complete_family(found, part, {family.prefix: family.name for family in families})
    return found


def _check_value(known: Mapping[str, BaseDistribution], name: str, value: Any) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, 3, 0.4) or sorted(known)[:8]
        raise ValueError(f"the search space has no parameter {name!r}, but for example {', '.join(near)}")
    distribution = known[name]
    is_categorical = isinstance(distribution, CategoricalDistribution)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_categorical or is_number) or not contains(distribution, value):
        raise ValueError(f"`{name}` must be of {describe(distribution)}, but is {value!r:.60}")


def _complete_family(found: dict[str, Any], part: str, names: Mapping[str, str]) -> None:
    """The family of one part, if options of one are given: they would have no effect with another.

    names: of the families, by the prefix of their options.
    """
    wanted = [
        name for prefix, name in names.items() if any(given.startswith(f"{prefix}.") for given in found)
    ]
    given = found.get(part, wanted[0] if wanted else None)
    others = [name for name in wanted if name != given]
    if others:
        raise ValueError(f"options of {others[0]!r} would have no effect with `{part}` {given!r}")
    if given is not None:
        found[part] = given
