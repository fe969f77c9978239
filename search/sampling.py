"""Sampling levels of a search: whose model they are measured on, where they are kept, what the export says."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from search.errors import InputError, OperationFailed
from search.leaderboard import Row
from search.record import State, TrialRecord
from spaces import NoiseSchedule
from spaces.export_document import SAMPLER
from trainable.atomic import write_atomically

SAMPLING_FILE = "sampling.json"  # in the folder of the trial whose model was sampled


def trial_folder(search_folder: Path, number: int) -> Path:
    """Where trial `number` keeps its files."""
    return search_folder / "trials" / f"{number:05d}"


def median_trial(records: Iterable[TrialRecord], row: Row) -> TrialRecord | None:
    """The trial whose value is the median of the row's confirmed ones, the lower one of two; None without any.

    A model as good as the mean promises: the best of several seeds would be a lucky one.
    """
    values = row.values or {}
    own = sorted(
        (record.objective, record.number, record)
        for record in records
        if row.record.number in (record.number, record.replicate_of)
        and record.state is State.COMPLETE
        and record.objective is not None
        and values.get(record.seed) == record.objective
    )
    return own[(len(own) - 1) // 2][2] if own else None


def trial_to_measure(
    records: Sequence[TrialRecord], winner: Row | None, number: int | None, search: str
) -> TrialRecord:
    """Trial `number`, or the median one of the winner. InputError if that is none that can be sampled from."""
    if number is None:
        median = median_trial(records, winner) if winner is not None else None
        if median is None:
            raise InputError(
                f"search {search!r} has no schedule confirmed on fresh seeds: finish it with `run`, or name a "
                "finished trial with --trial N"
            )
        return median
    found = next((record for record in records if record.number == number), None)
    if found is None:
        raise InputError(f"search {search!r} has no trial {number}: there are {len(records)}, counted from 0")
    if found.state is not State.COMPLETE:
        raise InputError(
            f"trial {number} is {found.state}: only one that ran to its full budget can be sampled"
        )
    return found


def write_sampling(search_folder: Path, record: TrialRecord, measured: Mapping[str, Any]) -> Path:
    """Keep what was measured (`measure_trial`) beside the trial's model, and return where."""
    path = trial_folder(search_folder, record.number) / SAMPLING_FILE
    kept = {"trial": record.number, "replicate_of": record.replicate_of, **measured}
    try:
        write_atomically(path, (json.dumps(kept, indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise OperationFailed(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def read_sampling(search_folder: Path, records: Sequence[TrialRecord], row: Row) -> dict[str, Any] | None:
    """What was measured on the row's median trial; else on another one of its trials; None if nothing was."""
    median = median_trial(records, row)
    own = [record.number for record in records if row.record.number in (record.number, record.replicate_of)]
    for number in sorted(own, key=lambda number: (median is None or number != median.number, number)):
        path = trial_folder(search_folder, number) / SAMPLING_FILE
        if path.exists():
            try:
                measured: dict[str, Any] = json.loads(path.read_bytes())
            except (OSError, ValueError) as error:
                raise OperationFailed(
                    f"{path} cannot be read ({error}). Measure again: `sampling`"
                ) from error
            return measured
    return None


def sampling_part(schedule: NoiseSchedule, measured: Mapping[str, Any] | None) -> dict[str, Any]:
    """The `sampling` part of an exported document: levels for each number of network evaluations.

    measured: of `read_sampling`. Without, one evaluation at sigma_max, which needs no measurement.
    """
    grid = schedule.grid
    part: dict[str, Any] = {
        "sampler": SAMPLER,
        "sigma_min": grid.sigma_min,
        "sigma_max": grid.sigma_max,
        "steps": {"1": [grid.sigma_max]},
        "measured": None,
    }
    if measured is None:
        return part
    best = measured["best"]
    part["steps"] = {n: row["sigmas"] for n, row in best.items()}
    part["measured"] = {
        **{key: measured[key] for key in ("method", "objective", "num_samples", "extractor_sha256", "trial")},
        "search_seed": measured["search_seed"],
        "held_out_seeds": measured["held_out_seeds"],
        "distances": {n: row["distance"] for n, row in best.items()},
        "baselines": [
            {
                "name": row["name"],
                "network_evaluations": int(n),
                "sigmas": row["sigmas"],
                "distance": row["distance"],
            }
            for n, rows in measured["baselines"].items()
            for row in rows
        ],
    }
    return part


def lines(measured: Mapping[str, Any]) -> list[str]:
    """The table for a terminal: for each number of network evaluations the levels found, then what they compare to."""
    name = measured["objective"]
    width = max(len(name), 10)
    text = [f"nfe  {name:>{width}}  {'levels':<36} how"]
    for n, best in measured["best"].items():
        for row in [best, *measured["baselines"].get(n, [])]:
            levels = ", ".join(f"{sigma:.4g}" for sigma in row["sigmas"])
            text.append(f"{n:<4} {row['distance']:>{width}.2f}  {levels:<36} {row['name']}")
    return text
