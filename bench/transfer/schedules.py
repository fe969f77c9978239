"""Which schedules are trained: presets, the best of the recorded curves, points that fill the search space.

    python -m bench.transfer.schedules

writes them to table/schedules.json, where they stay when the presets, the curves or the space change: every setting
must have the same ones. Their order is that of the work, so that any first part holds some of each kind.
"""

import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import qmc

from search.file.spec import load_spec
from search.machine.checkout import ROOT
from search.simulator.nearest import Nearest
from search.simulator.table import CurveTable, read_table, table_path
from spaces import PRESETS, NoiseSchedule, SearchSpace
from spaces.noise.lognormal import LogNormal
from trainable.storage.atomic import write_atomically

TABLE = Path(__file__).parent / "table"
SCHEDULES = TABLE / "schedules.json"
_SEED = 1618
_FIRST = ("ict", "hang_gu_laplace", "gokmen_constant", "cosine_scaled", "ict_short", "gokmen_sinusoidal")
# Of the recorded curves: so far apart from one another (`search.simulator.nearest`), so many of a noise family.
_NUM_BEST, _APART, _OF_A_FAMILY = 8, 0.15, 3
_NUM_FLOORED, _FLOOR = 4, 0.05  # the best of them once more, with that uniform floor
_NUM_FILLING = 40
_MOST_FLOOR = 0.2
_COUNT = 60  # of all


@dataclass(frozen=True)
class Chosen:
    """A schedule and where it comes from."""

    origin: str
    schedule: NoiseSchedule


@dataclass
class Point:
    """An Optuna trial, as far as a search space asks for one: each parameter is a coordinate of a point in (0, 1).

    A parameter's coordinate is its place among `names`, which grows by those that are new. families: choices made
    beforehand, by parameter.
    """

    u_D: Sequence[float]
    names: list[str]
    families: Mapping[str, str]

    def _at(self, name: str, low: float, high: float) -> float:
        if name not in self.names:
            self.names.append(name)
        return low + (high - low) * self.u_D[self.names.index(name)]

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Between low and high; no parameter of the space has a step."""
        assert step is None
        if log:
            return float(np.exp(self._at(name, np.log(low), np.log(high))))
        return float(self._at(name, low, high))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Rounded."""
        assert step == 1
        return round(self.suggest_float(name, low, high, log=log))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """The family given beforehand."""
        assert self.families[name] in choices
        return self.families[name]


def filling(space: SearchSpace, count: int) -> Iterator[Chosen]:
    """Points of a scrambled Sobol sequence; families in turn; every other point without a uniform floor."""
    families = itertools.cycle(itertools.product(space.noise, space.curriculum))
    u_ND = qmc.Sobol(16, seed=_SEED).random_base2(int(np.ceil(np.log2(count))))
    names: list[str] = []
    for index, (u_D, (noise, curriculum)) in enumerate(zip(u_ND[:count].tolist(), families, strict=False)):
        point = Point(u_D, names, {"noise": noise.prefix, "curriculum": curriculum.prefix})
        drawn = space.suggest(point)
        # Floors by pairs of rounds through the families, so that each has both.
        with_floor = (index + index // 12) % 2 == 1
        floor = round(point.suggest_float("uniform_floor", 0, _MOST_FLOOR), 4) if with_floor else 0.0
        yield Chosen(f"filling {index}", replace(drawn, uniform_floor=floor))


def best_recorded(table: CurveTable, count: int) -> list[NoiseSchedule]:
    """The truly best ones that are no preset, apart from one another, of several noise families."""
    presets = {preset.schedule for preset in PRESETS.values()}
    found: list[NoiseSchedule] = []
    for index in np.argsort(table.true_S).tolist():
        schedule = table.schedules[index]
        of_family = sum(type(other.noise) is type(schedule.noise) for other in found)
        if schedule in presets or of_family == _OF_A_FAMILY:
            continue
        if found and Nearest(found).distances(schedule).min() < _APART:
            continue
        found.append(schedule)
        if len(found) == count:
            break
    return found


def chosen() -> list[Chosen]:
    """All schedules in the order of the work: whatever its length, a first part has some of each kind."""
    spec = load_spec(ROOT / "searches/digits.yaml")
    names = [*_FIRST, *(name for name in PRESETS if name not in _FIRST)]
    presets = [Chosen(f"preset {name}", PRESETS[name].schedule) for name in names]
    noise = LogNormal(p_mean=-1.33, p_std=1.32)
    longer = replace(PRESETS["ict"].schedule, noise=noise, uniform_floor=0.06)
    presets.insert(3, Chosen("found at 8,000 steps, with the grid and curriculum of ict", longer))
    best = best_recorded(read_table(table_path(spec)), _NUM_BEST)
    recorded = []
    for place, schedule in enumerate(best):
        recorded.append(Chosen(f"recorded, best {place + 1}", schedule))
        if place < _NUM_FLOORED:
            floored = replace(schedule, uniform_floor=_FLOOR)
            recorded.append(Chosen(f"recorded, best {place + 1}, floor {_FLOOR}", floored))
    kinds = [presets, recorded, list(filling(spec.space, _NUM_FILLING))]
    placed = [
        ((place + 0.5) / len(kind), number, one)
        for number, kind in enumerate(kinds)
        for place, one in enumerate(kind)
    ]
    unique = {one.schedule: one for _, _, one in sorted(placed, key=lambda found: found[:2])}
    return list(unique.values())[:_COUNT]


def kept(path: Path = SCHEDULES) -> list[Chosen]:
    """Those in the file, in order."""
    rows = json.loads(path.read_bytes())
    return [Chosen(row["origin"], NoiseSchedule.from_dict(row["schedule"])) for row in rows]


def main() -> int:
    """Write the file anew."""
    rows = [json.dumps({"origin": one.origin, "schedule": one.schedule.to_dict()}) for one in chosen()]
    write_atomically(SCHEDULES, ("[\n" + ",\n".join(rows) + "\n]\n").encode())
    print(f"{len(rows)} schedules: {SCHEDULES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
