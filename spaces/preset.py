"""Schedules of the literature, to be run as baselines: one file each in `spaces/presets/`."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spaces.registry import modules_in
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


class Presets(Mapping[str, Preset]):
    """The `PRESET` of each file in a folder, by file name. The folder is read at the first look-up."""

    def __init__(self, package: str):
        self.package = package
        self._presets: dict[str, Preset] | None = None

    def _load(self) -> dict[str, Preset]:
        if self._presets is None:
            presets = {}
            for name, module in modules_in(self.package):
                preset = getattr(module, "PRESET", None)
                if not isinstance(preset, Preset):
                    where = module.__name__.replace(".", "/")
                    raise ImportError(f"{where}.py must define PRESET = Preset(...), but it is {preset!r}")
                presets[name] = dataclasses.replace(preset, name=name)
            self._presets = presets
        return self._presets

    def __getitem__(self, name: str) -> Preset:
        try:
            return self._load()[name]
        except KeyError:
            raise ValueError(
                f"Unknown preset {name!r}. Known: {', '.join(self._load())}. "
                f"Add one in {self.package.replace('.', '/')}/."
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._load()

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())


PRESETS = Presets("spaces.presets")
