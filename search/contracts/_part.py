"""What gaps, weights and losses keep alike, as parts of a schedule."""

import dataclasses
import json
import pickle
from typing import Any

from search.contracts._promise import Broken, good_options, need, plain_data
from spaces import PRESETS, NoiseSchedule, load_schedule
from spaces.document.writing import training_part, trial_document
from spaces.equality import distance, equal
from spaces.losses.pseudo_huber import ICT_HUBER_C
from spaces.registry import Registry
from spaces.schedule import USUAL
from spaces.space.reading import read_family

_STEPS = 200
ON_A_GRID = PRESETS["ict"].schedule
WITHOUT_A_GRID = PRESETS["cmt"].schedule
OF_A_DENOISER = NoiseSchedule.denoising(WITHOUT_A_GRID.noise)


def instances(registry: Registry[Any], name: str) -> list[Any]:
    """At its defaults, and at every corner of its space."""
    family = read_family(registry[name], name, None, (registry.package.rpartition(".")[2], name))
    return [registry[name](), *(registry[name](**options) for options in family.corners())]


def good_part(registry: Registry[Any], name: str, text: str) -> None:
    """Broken unless options are good and plain, and what exports state of it is one line. text: its constant's name."""
    good_options(registry[name])
    stated = getattr(registry[name], text)
    need(
        isinstance(stated, str) and stated.strip() and stated.isprintable(),
        f"{text} must be one line, but is {stated!r:.60}",
    )
    for choice in instances(registry, name):
        plain_data(registry, choice)
        need(hash(registry.build(registry.describe(choice))) == hash(choice), f"equal {name} have two hashes")


def told_apart(part: str, name: str) -> None:
    """Broken unless a schedule with it is another one than without, and than with other options, and says so."""
    registry, usual = USUAL[part]
    choices = instances(registry, name)
    for base in _bases(part, choices[0]):
        found: list[NoiseSchedule] = []
        for choice in choices:
            schedule = dataclasses.replace(base, **{part: choice})
            is_said = f" {part}={choice.describe()}" in schedule.describe()
            need(is_said == (choice != usual), f"{choice.describe()} is not what its schedule says")
            need(
                equal(schedule, schedule, _STEPS),
                f"a schedule with {choice.describe()} is not equal to itself",
            )
            for other in (base, *found):
                if schedule != other:
                    _need_another(schedule, other)
            found.append(schedule)


def _need_another(one: NoiseSchedule, other: NoiseSchedule) -> None:
    is_another = distance(one, other, _STEPS) > 0 and not equal(one, other, _STEPS)
    need(is_another, f"{one.describe()} counts as the same schedule as {other.describe()}")


def comes_back(schedule: NoiseSchedule) -> None:
    """Broken unless JSON, pickle and an export give the schedule back."""
    where = schedule.describe()
    need(
        NoiseSchedule.from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule,
        f"JSON changes {where}",
    )
    need(pickle.loads(pickle.dumps(schedule)) == schedule, f"pickle changes {where}")
    if schedule.adapts:  # what is exported is what it comes to
        return
    training = training_part(schedule, _STEPS, ICT_HUBER_C, 0.5)
    document = trial_document(schedule, _STEPS, "own", 0) | {"training": training}
    try:
        loaded = load_schedule(json.loads(json.dumps(document)))
    except ValueError as error:
        raise Broken(f"an export of {where} is not read: {error}") from error
    need(loaded.schedule == schedule, f"an export changes {where}")


def with_part(part: str, choice: Any) -> list[NoiseSchedule]:
    """The schedules that it is tried in: with a grid and without; of a diffusion model where that is its loss."""
    return [dataclasses.replace(base, **{part: choice}) for base in _bases(part, choice)]


def _bases(part: str, choice: Any) -> tuple[NoiseSchedule, ...]:
    if part == "loss" and choice.DENOISES:
        return (OF_A_DENOISER,)
    return (ON_A_GRID, WITHOUT_A_GRID)
