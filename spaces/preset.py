"""Schedules of the literature, to be run as baselines: one file each in `spaces/presets/`."""

import dataclasses
from dataclasses import dataclass
from types import ModuleType

from spaces.registry import Choices
from spaces.schedule import NoiseSchedule


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A published schedule. Only the schedule: optimizer, EMA and batch are the search file's.

    summary: one line with the citation. published: the published figure, its setting and how far
    both were verified. name: the file's, filled in by `Presets`.
    """

    name: str = ""
    schedule: NoiseSchedule
    summary: str
    published: str


class Presets(Choices[Preset]):
    """The `PRESET` of each file in a folder, by file name."""

    def _choice_in(self, name: str, module: ModuleType) -> Preset:
        preset = getattr(module, "PRESET", None)
        if not isinstance(preset, Preset):
            where = module.__name__.replace(".", "/")
            raise ImportError(f"{where}.py must define PRESET = Preset(...), but it is {preset!r}")
        return dataclasses.replace(preset, name=name)


PRESETS = Presets("spaces.presets", "preset")
