"""`presets`: schedules of the literature by their names, and schedules of one's own from a file."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationInfo

from search.file.messages import LONGEST_NAME, NAME, Misfit, did_you_mean, shown
from search.file.paths import placed_path
from search.file.yaml_walk import Place
from spaces import PRESETS, NoiseSchedule, SearchSpace

_FIELDS = (("name", "file"), ("name", "schedule"))


@dataclass(frozen=True)
class OwnSchedule:
    """A schedule that is trained as a preset, under a name of its own."""

    name: str
    schedule: NoiseSchedule

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a search file that needs no other file."""
        return {"name": self.name, "schedule": self.schedule.to_dict()}


Preset = str | OwnSchedule  # by its name in the literature, or one's own


def label_of(preset: Preset) -> str:
    """The name under which it is trained."""
    return preset if isinstance(preset, str) else preset.name


def schedules_of(presets: Iterable[Preset], space: SearchSpace) -> dict[str, NoiseSchedule]:
    """By name, in their order. Diffusion models of the literature are sampled as those of the space are."""
    return {
        label_of(preset): _sampled_as_in(space, PRESETS[preset].schedule)
        if isinstance(preset, str)
        else preset.schedule
        for preset in presets
    }


def _sampled_as_in(space: SearchSpace, schedule: NoiseSchedule) -> NoiseSchedule:
    if not (space.denoises and schedule.loss.DENOISES):
        return schedule
    (loss,) = space.loss
    return replace(schedule, loss=loss.cls(**loss.fixed))


def usual_presets(fields: Mapping[str, Any]) -> list[str]:
    """Where a search file names none. fields: of the search, as far as they are read."""
    space = fields.get("space")
    return ["edm" if isinstance(space, SearchSpace) and space.denoises else "ict"]


def checked_presets(entries: list[Any], info: ValidationInfo) -> list[Preset]:
    """From names, and mappings with `name` and either `file` (JSON, as `export` writes it) or `schedule`.

    The context of the validation may have the `folder` of the search file, in which such files are.
    """
    folder = (info.context or {}).get("folder")
    presets: list[Preset] = []
    problems: list[tuple[Place, str]] = []
    for index, entry in enumerate(entries):
        try:
            preset = _preset(entry, folder)
        except ValueError as error:
            problems.append(((index,), str(error)))
            continue
        if label_of(preset) in map(label_of, presets):
            problems.append(((index,), f"must be given once, but {label_of(preset)!r} is given twice"))
        presets.append(preset)
    if problems:
        raise Misfit(*problems)
    return presets


def _preset(entry: Any, folder: Path | None) -> Preset:
    if isinstance(entry, OwnSchedule):
        return entry
    if isinstance(entry, str):
        if entry not in PRESETS:
            hint = did_you_mean(entry, PRESETS)
            raise ValueError(f"unknown preset {shown(entry)}{hint}. Known: {', '.join(PRESETS)}")
        return entry
    if not isinstance(entry, Mapping) or tuple(sorted(entry, key="name file schedule".find)) not in _FIELDS:
        raise ValueError(
            "must be a preset's name, or a mapping with `name` and one of `file`, `schedule` for a schedule of your "
            f"own, but got {shown(entry)}"
        )
    return OwnSchedule(_own_name(entry["name"]), _own_schedule(entry, folder))


def _own_name(name: Any) -> str:
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise ValueError(
            f"a name must be of letters, digits, _ . - and at most {LONGEST_NAME}, but got {shown(name)}"
        )
    if name in PRESETS:
        raise ValueError(f"{name!r} is a preset of the literature. Give your own schedule another name")
    return name


def _own_schedule(entry: Mapping[str, Any], folder: Path | None) -> NoiseSchedule:
    from spaces import load_schedule  # most search files have none

    if "schedule" in entry:
        if not isinstance(entry["schedule"], Mapping):
            raise ValueError(f"schedule: needs a mapping, but got {shown(entry['schedule'])}")
        return load_schedule(dict(entry["schedule"])).schedule
    if not isinstance(entry["file"], str):
        raise ValueError(f"file: must be a path, but got {shown(entry['file'])}")
    return load_schedule(placed_path(entry["file"], folder)).schedule
