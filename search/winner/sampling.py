"""Sampling levels of a search: whose model they are measured on, where they are kept, what the export says."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from search.errors import InputError
from search.evidence.row import Row
from search.record import State, TrialRecord
from search.study.trial_storage import DamagedFile, TrialStorage
from spaces import NoiseSchedule
from trainable.task import FOUND_FILE, SAMPLING_FILE


def median_trial(row: Row) -> TrialRecord | None:
    """The trial whose value is the median of the row's confirmed ones, the lower one of two; None without any.

    A model as good as the mean promises: the best of several seeds would be a lucky one.
    """
    whole = [record for record in row.replicates.values() if record.state is State.COMPLETE]
    own = sorted(whole, key=lambda record: (record.reports[-1].objective, record.number))
    return own[(len(own) - 1) // 2] if own else None


def trial_to_measure(
    records: Sequence[TrialRecord], winner: Row | None, number: int | None, search: str
) -> TrialRecord:
    """Trial `number`, or the median one of the winner. InputError if that is none that can be sampled from."""
    if number is None:
        median = median_trial(winner) if winner is not None else None
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


def sampling_of(trials: TrialStorage, number: int) -> dict[str, Any] | None:
    """What was measured on the model of one trial, None if nothing was."""
    try:
        measured: dict[str, Any] | None = trials.read_json(number, SAMPLING_FILE)
        if measured is not None and not _is_whole(measured):
            where = trials.location_of(number, SAMPLING_FILE)
            raise DamagedFile(f"{where} does not hold what was measured: it was cut or edited")
    except DamagedFile as error:
        raise DamagedFile(f"{error}. Measure again: `sampling`") from error
    return measured


_KEPT = (
    *("trial", "objective", "num_samples", "extractor_sha256", "method", "search_seed", "held_out_seeds"),
    "num_evaluations",
)


def _is_whole(measured: Any) -> bool:
    """Whether it has all that `measure_trial` gives, each of its kind."""
    try:
        lines(measured)
        rows = [*measured["best"].values(), *(row for rows in measured["baselines"].values() for row in rows)]
        return (
            all(key in measured for key in _KEPT)
            and all(isinstance(row["distance"], float) and 0 <= row["distance"] < math.inf for row in rows)
            and all(isinstance(sigma, float | int) and sigma > 0 for row in rows for sigma in row["sigmas"])
            and all(isinstance(value, float) for value in measured["metrics"].values())
            and all(number.isdecimal() for number in (*measured["best"], *measured["baselines"]))
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def read_sampling(trials: TrialStorage, row: Row) -> dict[str, Any] | None:
    """What was measured on the row's median trial; else on another one of its trials; None if nothing was."""
    median = median_trial(row)
    own = sorted({row.record.number, *(record.number for record in row.replicates.values())})
    for number in [median.number, *own] if median is not None else own:
        measured = sampling_of(trials, number)
        if measured is not None:
            return measured
    return None


def read_found(trials: TrialStorage, row: Row) -> NoiseSchedule | None:
    """What the row's adaptive schedule had become at the end of training; None if that is not kept.

    That of the median trial, or of the row's own where nothing is confirmed. DamagedFile where it cannot be read.
    """
    record = median_trial(row) or row.record
    found = trials.read_json(record.number, FOUND_FILE)
    try:
        return None if found is None else NoiseSchedule.from_dict(found)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        where = trials.location_of(record.number, FOUND_FILE)
        raise DamagedFile(
            f"{where} does not hold the schedule at the end of training: it was edited"
        ) from error


def sampling_part(
    schedule: NoiseSchedule, measured: Mapping[str, Any] | None, sigma_start: float | None = None
) -> dict[str, Any]:
    """The `sampling` part of an exported document: levels for each number of network evaluations.

    measured: of `read_sampling`. Without, those of the search: one evaluation at sigma_max, or Heun's.
    """
    from spaces.document.format import sampler_of

    grid, levels = schedule.grid, schedule.sampled_from(sigma_start)
    part: dict[str, Any] = {
        "sampler": sampler_of(schedule),
        "sigma_min": grid.sigma_min,
        "sigma_max": levels[0],
        "steps": {str(schedule.loss.num_evaluations): list(levels)},
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
