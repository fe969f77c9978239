"""A table of recorded learning curves: of each schedule, on several training seeds, the objective at some steps.

The file is JSON, format `learning-curves/1`:

    {"format": "learning-curves/1",
     "search": {"data": ..., "network": ..., "training": ..., "objective": ..., "space": ..., "presets": ...},
     "data_sha256": "...", "extractor_sha256": "...",
     "about": {...},                                    machine, versions, commit, cost: for the reader
     "steps": [250, 500, ..., 2000],                    the last is the full budget
     "schedules": [
       {"origin": "preset ict", "schedule": {...},      as NoiseSchedule.to_dict() gives it
        "curves": {"0": {"cpu_seconds": 4.31, "values": [91.2, ..., 26.8]}, "1": ...}}, ...]}

The keys of `curves` are training seeds. A value is exactly what a trial with that seed reports at that step, null
from where it diverged on. cpu_seconds: of the whole trial, measurements included.

Axes: S schedules, R training seeds, T steps.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.errors import InputError
from search.file.identity import changed_fields
from search.file.spec import SearchSpec, spec_of
from search.file.yaml12 import Document
from spaces import NoiseSchedule
from spaces.registry import name_of
from spaces.schedule import USUAL
from trainable.storage.atomic import write_atomically
from trainable.task import WORST_OBJECTIVE

FORMAT = "learning-curves/1"
FOLDER = Path(__file__).parent / "curves"
# What must be equal for a recorded value to be the one that a trial would report. `space` and `presets` are not:
# they say which schedules were recorded.
MEASURED_WITH = ("data", "network", "training", "objective")
# Of fewer schedules, the nearest to a proposal is not near: with 21 and with 40 no search ended with a schedule that
# holds, where each of five real ones did.
FEWEST_ELSEWHERE = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class CurveTable:
    """Recorded curves in memory.

    schedules: S of them. seeds: the R training seeds. values_SRT: objective, WORST_OBJECTIVE from where a
    trial diverged on, NaN where a schedule was not trained on a seed. seconds_SR: CPU seconds of a whole trial,
    NaN likewise. search: the recorded search, as in the file.
    """

    schedules: tuple[NoiseSchedule, ...]
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    values_SRT: NDArray[np.float64]
    seconds_SR: NDArray[np.float64]
    search: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.schedules), len(self.seeds), len(self.steps))
        assert self.values_SRT.shape == shape and self.seconds_SR.shape == shape[:2]
        if not len(self.common_seeds) >= 2:
            raise InputError(
                f"a table of curves needs two training seeds on which every schedule was trained, "
                f"but this one has {len(self.common_seeds)}"
            )

    @property
    def recorded_SR(self) -> NDArray[np.bool_]:
        """Whether a schedule was trained on a seed."""
        return ~np.isnan(self.seconds_SR)

    @property
    def common_seeds(self) -> tuple[int, ...]:
        """Seeds on which every schedule was trained."""
        return tuple(
            seed for seed, recorded_S in zip(self.seeds, self.recorded_SR.T, strict=True) if recorded_S.all()
        )

    @property
    def true_S(self) -> NDArray[np.float64]:
        """What a schedule is worth: its mean objective at the full budget over all seeds recorded."""
        return np.nanmean(self.values_SRT[:, :, -1], axis=1)


def read_table(path: Path) -> CurveTable:
    """The table in the file. InputError, in one line, for anything else."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as a table of curves: {error}") from error
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise InputError(f"{path}: `format` must be {FORMAT!r}, but got {found!r}")
    try:
        return _table_of(document)
    except InputError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, AssertionError) as error:
        raise InputError(f"{path} is no table of curves: {type(error).__name__}: {error}") from error


def _table_of(document: Mapping[str, Any]) -> CurveTable:
    rows, steps = document["schedules"], tuple(document["steps"])
    seeds = sorted({int(seed) for row in rows for seed in row["curves"]})
    column = {seed: index for index, seed in enumerate(seeds)}
    values_SRT = np.full((len(rows), len(seeds), len(steps)), math.nan)
    seconds_SR = np.full((len(rows), len(seeds)), math.nan)
    for index, row in enumerate(rows):
        for seed, curve in row["curves"].items():
            values = [WORST_OBJECTIVE if value is None else value for value in curve["values"]]
            values_SRT[index, column[int(seed)]] = values
            seconds_SR[index, column[int(seed)]] = curve["cpu_seconds"]
    return CurveTable(
        schedules=tuple(NoiseSchedule.from_dict(row["schedule"]) for row in rows),
        seeds=tuple(seeds),
        steps=steps,
        values_SRT=values_SRT,
        seconds_SR=seconds_SR,
        search=document["search"],
        about={key: document[key] for key in ("about", "data_sha256", "extractor_sha256")},
    )


def write_table(path: Path, header: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table. header: everything but `format` and `schedules`. rows: the schedules; one a line."""
    document = {"format": FORMAT, **header}
    head = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in document.items()]
    body = [json.dumps(row, separators=(",", ":"), allow_nan=False) for row in rows]
    text = "{" + ",\n".join(head) + ',\n"schedules": [\n' + ",\n".join(body) + "\n]}\n"
    write_atomically(path, text.encode())


def shipped_path(spec: SearchSpec) -> Path:
    """Where curves of such schedules lie: of spaces with a gap, a weight or a loss, in a table of their own."""
    return FOLDER / f"{name_of(spec.data)}{'_recipe' if spec.space.unusual else ''}.json"


def table_path(spec: SearchSpec) -> Path:
    """The same. InputError if none were recorded."""
    path = shipped_path(spec)
    if not path.exists():
        known = ", ".join(sorted(found.stem for found in FOLDER.glob("*.json"))) or "none"
        raise InputError(
            f"no curves were recorded for the data {name_of(spec.data)!r}"
            f"{' with other gaps, weights or losses' if spec.space.unusual else ''}; there are: {known}. "
            "Record them with python -m bench.quality.record_curves FILE, or name a table with --curves"
        )
    return path


def tables_elsewhere(spec: SearchSpec, folder: Path = FOLDER) -> dict[str, CurveTable]:
    """By name, the settings of `holds_at` in which curves were recorded, at all steps where trials are measured there.

    Those of the presets must be among them: what is compared with them would else be compared with others.
    folder: of each data set a folder of tables.
    """
    found = {}
    for path in sorted((folder / name_of(spec.own_setting.data)).glob("*.json")):
        table = read_table(path)
        recorded = _recorded(table.search)
        for setting in spec.settings:
            steps = spec.stopping.steps(setting.training.total_steps)
            is_measured_alike = recorded.objective.num_samples == spec.objective.num_samples
            is_recorded = recorded.own_setting.is_like(setting) and is_measured_alike
            has_presets = set(spec.baselines.values()) <= set(table.schedules)
            is_enough = has_presets and len(table.schedules) >= FEWEST_ELSEWHERE
            if is_recorded and is_enough and set(steps) <= set(table.steps):
                found[setting.name] = table
    return found


def _recorded(search: Mapping[str, Any]) -> SearchSpec:
    """Through the models of today: an option that did not exist when the table was made has its default."""
    measured = {name: search[name] for name in MEASURED_WITH}
    return spec_of(Document("recorded", {"name": "recorded", **measured}, {}))


def changed_since(recorded: Mapping[str, Any], spec: SearchSpec) -> list[str]:
    """Names of the fields in which this search differs from the recorded one, of those that a value depends on."""
    then = _recorded(recorded)
    fields = [
        {name: fields[name] for name in MEASURED_WITH}
        for fields in (then.fingerprint_fields(), spec.fingerprint_fields())
    ]
    return changed_fields(*fields)


def check_recorded(table: CurveTable, spec: SearchSpec, steps: Sequence[int]) -> None:
    """InputError unless trials of this search, measured at these steps, are what was recorded."""
    changed = changed_since(table.search, spec)
    if spec.start is not None:
        changed.append("start")
    if spec.sampling.sigma_start is not None:
        changed.append("sampling.sigma_start")
    if changed:
        raise InputError(
            f"the curves were recorded with another {', '.join(changed)}: simulate a search that agrees in "
            f"{', '.join(MEASURED_WITH)}, or record its own with python -m bench.quality.record_curves FILE"
        )
    _check_parts(table, spec)
    missing = [step for step in steps if step not in table.steps]
    if missing:
        fractions = ", ".join(f"{step / table.steps[-1]:g}" for step in table.steps[:-1])
        raise InputError(
            f"stopping.rungs: trials were not recorded at step {', '.join(map(str, missing))}. "
            f"Recorded fractions of the budget: {fractions}"
        )


def _check_parts(table: CurveTable, spec: SearchSpec) -> None:
    """InputError where a trial of the search may have a gap, weight or loss that no recorded schedule has."""
    baselines = spec.baselines.values()
    unusual = {*spec.space.unusual, *(part for baseline in baselines for part in baseline.unusual)}
    for part in sorted(unusual):
        choices = {getattr(schedule, part) for schedule in table.schedules}
        recorded = {name_of(choice) for choice in choices}
        families = {family.name for family in getattr(spec.space, part)}
        missing = (families | {name_of(getattr(baseline, part)) for baseline in baselines}) - recorded
        if choices == {USUAL[part][1]}:
            raise InputError(
                f"the curves were recorded with the usual {part} only: simulate a search whose space and presets leave "
                "that out"
            )
        if missing:
            raise InputError(
                f"the curves were recorded with no {part} of {', '.join(sorted(missing))}, but of "
                f"{', '.join(sorted(recorded))}: leave out what is not among them"
            )
