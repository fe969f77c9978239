"""`best_schedule.json`: the schedule, as options and as plain numbers, with the evidence for it."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from search.errors import OperationFailed
from search.evidence.conclusion import sentence
from search.evidence.leaderboard import INTERVALS, Leaderboard
from search.evidence.row import Row
from search.evidence.texts import bounds_of
from search.machine.output import write_file
from search.winner.sampling import sampling_part
from spaces import NoiseSchedule
from spaces.document.checksum import with_checksum
from spaces.document.format import format_of
from spaces.document.writing import foreign_objective_part, foreign_training_part, training_part
from spaces.thin_ends import thin_end
from trainable.dataset import DATASETS
from trainable.network import NETWORKS


def export_document(
    board: Leaderboard,
    header: Mapping[str, Any],
    *,
    unconfirmed: bool = False,
    measured: Callable[[Row], Mapping[str, Any] | None] = lambda row: None,
    found: Callable[[Row], NoiseSchedule | None] = lambda row: None,
) -> dict[str, Any]:
    """The winner of a search as plain data, self-contained.

    The confirmed winner; with `unconfirmed`, where nothing is confirmed, the best finished trial, and the
    document says `"confirmed": false`. header: what the study keeps of the search. measured: sampling levels of a
    row, where there are any (`winner.sampling.read_sampling`). found: of a row whose schedule adapts in training,
    the schedule at the end of it, with fixed probabilities and weights (`search.winner.sampling.read_found`): that is
    exported.
    Raises OperationFailed if there is nothing that may be exported.
    """
    row = _exported_row(board, unconfirmed=unconfirmed)
    trained = row.record.schedule
    schedule = found(row) if trained.adapts else trained
    if schedule is None:
        raise OperationFailed(
            f"{row.label} has a schedule that adapts in training, and the one that it ended with is no longer on "
            f"disk: train the search {board.name!r} again, or export another one"
        )
    document = {
        "format": format_of(schedule),
        "confirmed": row.confirmed,
        "schedule": schedule.to_dict(),
        "describe": schedule.describe(),
        "training": _training(schedule, header["search"]),
        "sampling": None if _script(header["search"]) else _sampling(schedule, measured(row), header),
        "objective": _objective(schedule, board, header),
        "searched_at": _searched_at(header),
        "holds_at": _holds_at(board, row, header["search"]),
        "measures": [by.to_dict() for by in board.by_measures(row)],
        "evidence": _evidence(board, row) | {"warning": _warning(schedule, header["search"])},
        "provenance": _provenance(board, row, header),
    }
    return with_checksum(document)


def _exported_row(board: Leaderboard, *, unconfirmed: bool) -> Row:
    """The winner; where there is none and `unconfirmed` allows it, the best finished trial."""
    if board.winner is not None:
        return board.winner
    if board.best_unconfirmed is None:
        raise OperationFailed(f"search {board.name!r} has no finished trial: nothing to export")
    if not unconfirmed:
        raise OperationFailed(
            f"search {board.name!r} has no schedule confirmed on fresh seeds: finish it with `run`, or take the "
            "best value seen, which is partly luck, with --unconfirmed"
        )
    return board.best_unconfirmed


def _script(search: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The trainer of a search whose trials a script trains; None: our own training."""
    return search.get("trainer")


def _training(schedule: NoiseSchedule, search: Mapping[str, Any]) -> dict[str, Any]:
    training = search["training"]
    if _script(search):
        return foreign_training_part(schedule, training["total_steps"])
    return training_part(schedule, training["total_steps"], training["huber_c"], training["sigma_data"])


def _sampling(
    schedule: NoiseSchedule, measured: Mapping[str, Any] | None, header: Mapping[str, Any]
) -> dict[str, Any]:
    return sampling_part(schedule, measured, header["search"].get("sampling", {}).get("sigma_start"))


def _warning(schedule: NoiseSchedule, search: Mapping[str, Any]) -> str | None:
    """Why the schedule may fail in other networks; None where nothing is known against it."""
    if _script(search):
        return None
    training = search["training"]
    thin = thin_end(schedule, training["total_steps"], training["sigma_data"])
    return f"It {thin}." if thin else None


def _objective(schedule: NoiseSchedule, board: Leaderboard, header: Mapping[str, Any]) -> dict[str, Any]:
    search = header["search"]
    if _script(search):
        return foreign_objective_part(board.objective)
    return {
        "name": board.objective,
        "num_samples": search["objective"]["num_samples"],
        "network_evaluations": schedule.loss.num_evaluations,
        "extractor_sha256": header["extractor_sha256"],
        "data": search["data"]["name"],
        "data_sha256": header["data_sha256"],
    }


def _searched_at(header: Mapping[str, Any]) -> dict[str, Any]:
    search = header["search"]
    script = _script(search)
    if script:
        return {"network": None, "training": search["training"], "data": None, "trainer": script}
    network = _network(search["network"], header.get("network_sha256"))
    found = {"network": network, "training": search["training"], "data": search["data"]["name"]}
    start = search.get("start")
    return {**found, "start": _start(start, header.get("start_sha256"))} if start else found


def _start(start: Mapping[str, Any], sha256: str | None) -> dict[str, Any]:
    """What trials started from: of a file its name alone, and its checksum."""
    if sha256 is None:
        return dict(start)
    return {"checkpoint": Path(start["checkpoint"]).name, "sha256": sha256}


def _network(network: Mapping[str, Any], sha256: str | None = None) -> dict[str, Any]:
    """Of the user's, its file by its name alone, and its checksum."""
    paths = NETWORKS[network["name"]].PATHS
    named = {key: Path(value).name if key in paths else value for key, value in network.items()}
    return named if sha256 is None else {**named, "sha256": sha256}


def _holds_at(board: Leaderboard, row: Row, search: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was found in other settings, with what is other there, as the search file has it."""
    return [
        {
            "setting": found.setting,
            **_without_paths(given),
            "baseline": board.label_of(found.baseline),
            "verdict": held.verdict,
            "ratio": held.ratio.mean,
            "interval": bounds_of(held.ratio),
            "values": _by_seed(_on(baseline.values, held.values)),
            "baseline_values": _by_seed(_on(held.values, baseline.values)),
        }
        # Where nothing was to be compared there, the board has none.
        for found, given in zip(board.settings, search.get("holds_at", {}).get("settings", []), strict=False)
        if found.is_compared
        and (held := found.row_of(row.record.number)) is not None
        and held.ratio is not None
        and found.baseline is not None
        and (baseline := found.row_of(found.baseline)) is not None
    ]


def _on(seeds: Collection[int], values: Mapping[int, float]) -> dict[int, float]:
    """Those values that are of the seeds."""
    return {seed: value for seed, value in values.items() if seed in seeds}


def _without_paths(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Where the files of the data lie says nothing on another machine."""
    data, network, command = setting["data"], setting["network"], setting.get("command")
    paths = DATASETS[data["name"]].PATHS if data else ()
    return {
        "training": setting["training"],
        **({"command": command} if command else {}),  # earlier versions refuse an unknown key
        "data": data and {key: value for key, value in data.items() if key not in paths},
        "network": network and _network(network),
    }


def _by_seed(values: Mapping[int, float]) -> dict[str, float]:
    return {str(seed): value for seed, value in sorted(values.items())}


def _provenance(board: Leaderboard, row: Row, header: Mapping[str, Any]) -> dict[str, Any]:
    search, trained = header["search"], row.record.schedule
    return {
        "search": board.name,
        "trial": row.record.number,
        "preset": row.record.preset,
        # What it came to, with fixed probabilities and weights, is exported; the evidence is that of the adapting one.
        "adapted_from": trained.to_dict() if trained.adapts else None,
        "seed_of_the_search": row.record.seed,
        "num_trials": len(board.rows),
        "budget": search["budget"],
        **_trained_with(header),
        **({"plugins": header["plugins"]} if header.get("plugins") else {}),
        "versions": header["versions"],
        "git_commit": header["git_commit"],
    }


def _trained_with(header: Mapping[str, Any]) -> dict[str, Any]:
    search = header["search"]
    script = _script(search)
    if script:
        return {
            "command": script["command"],
            "code": Path(script["folder"]).name,
            "code_sha256": header["code_sha256"],
        }
    optimizer = {key: value for key, value in search["training"].items() if key != "total_steps"}
    return {"network": _network(search["network"], header.get("network_sha256")), "optimizer": optimizer}


def _evidence(board: Leaderboard, row: Row) -> dict[str, Any]:
    plain = row.to_dict()
    tied = [r.label for r in board.rows if r.rank is not None and r.rank == row.rank and r is not row]
    evidence = {
        key: plain[key]
        for key in (
            "mean",
            "interval",
            "values",
            "replicates",
            "search_value",
            "optimism",
            "ratio",
            "ratio_interval",
        )
    }
    baseline_mean = board.baseline.to_dict()["mean"] if board.baseline else None
    compared = plain["ratio"] is not None and baseline_mean is not None
    return {
        **evidence,
        "interval_method": INTERVALS,
        "baseline": board.baseline.label if board.baseline else None,
        "baseline_mean": baseline_mean,
        "difference": plain["mean"] - baseline_mean if compared else None,
        "tied_with": tied,
        "missing": board.num_missing,
        "finding": sentence(board),
    }


def export_text(document: Mapping[str, Any]) -> str:
    """The document as the text of a JSON file."""
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def write_export(path: Path, document: Mapping[str, Any]) -> None:
    """Write the document: all of it, or nothing and an OperationFailed."""
    write_file(path, export_text(document).encode())
