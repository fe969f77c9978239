"""The table: of each setting one file of recorded curves (`search/simulator/table.py` has the format), with more in it.

A curve also has `measures`, of its last samples: by number of network evaluations, the Frechet distance by each kind
of features; none where the trial diverged. `made`: which entry of `about.made` says where it was trained, and with
which code. `extractor_sha256` is that of the objective's features, `about.extractor_sha256` has those of all.

While curves are recorded they are rows: a mapping with `schedule`, `seed`, `origin`, `values`, `cpu_seconds`,
`outcome`, `measures` and `made`, the last in full and with `search`, the options that it was trained with.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.transfer.recording import Row, key_of
from bench.transfer.schedules import TABLE, Chosen
from bench.transfer.settings import SEEDS, Setting
from search.errors import InputError
from search.simulator.table import MEASURED_WITH, changed_since, write_table
from spaces.registry import name_of
from trainable.extractor import objective_name
from trainable.task import WORST_OBJECTIVE


def measured_with(setting: Setting) -> dict[str, Any]:
    """What trials of one table agree in, as plain values."""
    resolved = setting.spec.fingerprint_fields()
    plain: dict[str, Any] = json.loads(json.dumps({name: resolved[name] for name in MEASURED_WITH}))
    return plain


def rows_of(setting: Setting, folder: Path = TABLE) -> list[Row]:
    """What the table holds of a setting, as rows. InputError where the file is something else."""
    path = folder / f"{setting.name}.json"
    if not path.exists():
        return []
    try:
        document = json.loads(path.read_bytes())
        made = [{**each, "search": document["search"]} for each in document["about"]["made"]]
        return [
            _row(row, int(seed), curve, made[curve["made"]])
            for row in document["schedules"]
            for seed, curve in row["curves"].items()
        ]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            f"{path} is no table of this benchmark ({type(error).__name__}: {error}): take it from git again"
        ) from error


def _row(schedule: Row, seed: int, curve: Mapping[str, Any], made: Mapping[str, Any]) -> Row:
    values = [WORST_OBJECTIVE if value is None else value for value in curve["values"]]
    return {
        "schedule": schedule["schedule"],
        "seed": seed,
        "origin": schedule["origin"],
        "values": values,
        "cpu_seconds": [curve["cpu_seconds"]],
        "outcome": "diverged" if values[-1] >= WORST_OBJECTIVE else "complete",
        "measures": curve["measures"],
        "made": made,
    }


def together(setting: Setting, *rows: Iterable[Row]) -> list[Row]:
    """The rows of all, each trial once: as it was found first.

    InputError where they were recorded with other options than the setting has, or their features differ.
    """
    found: dict[str, Row] = {}
    for row in (row for some in rows for row in some):
        found.setdefault(key_of(row), row)
    for text in {json.dumps(row["made"]["search"], sort_keys=True) for row in found.values()}:
        changed = changed_since(json.loads(text), setting.spec)
        if changed:
            raise InputError(
                f"{setting.name}: trials were recorded with another {', '.join(changed)}: give the setting as it is "
                "now another name in bench/transfer/settings.py"
            )
    check_alike(map(features_of, found.values()))
    return list(found.values())


def on_all_seeds(rows: Sequence[Row]) -> list[Row]:
    """Those of schedules that were trained on each of SEEDS."""

    def schedule_of(row: Row) -> str:
        return json.dumps(row["schedule"], sort_keys=True)

    count = Counter(schedule_of(row) for row in rows)
    return [row for row in rows if count[schedule_of(row)] == len(SEEDS)]


def check_alike(features: Iterable[Any]) -> None:
    """InputError where `features_of` several rows differ."""
    different = sorted({json.dumps(each, sort_keys=True) for each in features})
    if len(different) > 1:
        raise InputError(
            "trials of one table must be measured with the same data and feature networks, which another kind of "
            f"machine trains a little differently, but got {' and '.join(different)}: record on one kind of machine"
        )


def features_of(row: Row) -> Any:
    """Checksums of the data and of the feature networks that a row was measured with."""
    return {name: row["made"][name] for name in ("data_sha256", "extractor_sha256")}


def write(setting: Setting, rows: Sequence[Row], order: Sequence[Chosen], folder: Path = TABLE) -> Path:
    """Write the table of a setting from all its rows (at least one); schedules in the order given."""
    made = [json.loads(text) for text in sorted({_made(row) for row in rows})]
    by_key = {key_of(row): row for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    schedules = []
    for chosen in order:
        schedule = chosen.schedule.to_dict()
        present = [(seed, by_key.get(key_of({"schedule": schedule, "seed": seed}))) for seed in seeds]
        curves = {str(seed): _curve(row, setting, made) for seed, row in present if row is not None}
        if curves:
            schedules.append({"origin": chosen.origin, "schedule": schedule, "curves": curves})
    count = sum(len(row["curves"]) for row in schedules)
    if count != len(by_key):
        raise InputError(f"{setting.name}: {len(by_key) - count} curves are of schedules that are not listed")
    features = features_of(rows[0])
    sha256 = dict(sorted(features["extractor_sha256"].items()))
    hours = sum(row["cpu_seconds"][-1] for row in rows) / 3600
    header = {
        "search": measured_with(setting),
        "steps": list(setting.steps),
        "data_sha256": features["data_sha256"],
        "extractor_sha256": sha256[objective_name(name_of(setting.spec.objective.extractor))],
        "about": {
            "command": "python -m bench transfer",
            "made": made,
            "extractor_sha256": sha256,
            "num_curves": count,
            "cpu_hours": round(hours, 2),
        },
    }
    path = folder / f"{setting.name}.json"
    write_table(path, header, schedules)
    return path


def _curve(row: Row, setting: Setting, made: Sequence[Any]) -> dict[str, Any]:
    values = [value if value < WORST_OBJECTIVE else None for value in row["values"]]
    values += [None] * (len(setting.steps) - len(values))
    return {
        "cpu_seconds": row["cpu_seconds"][-1],
        "values": values,
        "measures": row["measures"],
        "made": made.index(json.loads(_made(row))),
    }


def _made(row: Row) -> str:
    """Where it was trained and with which code, as JSON: without the options, which all have."""
    return json.dumps(
        {name: value for name, value in row["made"].items() if name != "search"}, sort_keys=True
    )
