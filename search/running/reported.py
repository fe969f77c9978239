"""A search as its page needs it."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from search.errors import OperationFailed
from search.evidence.conclusion import sentence
from search.evidence.leaderboard import Leaderboard
from search.evidence.row import Row
from search.file.spec import SearchSpec
from search.record import TrialRecord
from search.report.found import Export, Found
from search.running.known import LOG_FILE, command
from search.running.plan_of import board_of, objective_of, plan_of
from search.running.result import Result
from search.screen.leaderboard_text import evidence_lines
from search.winner.pictures import Grid, grids
from spaces.registry import name_of


def found_of(spec: SearchSpec, result: Result, export: Callable[[Row], Export], *, is_running: bool) -> Found:
    """A search that was read. export: of its winner; raises OperationFailed where a file of a trial is lost."""
    state = "running" if is_running else "finished" if result.finished else "stopped"
    plain = _plain(spec)
    found = Found(
        **plain,
        conclusion=result.conclusion,
        state=state,
        board=result.board,
        records=result.records,
        evidence=tuple(result.evidence),
        export=_export(result, export),
    )
    return _with_grids(spec, found)


def simulated(spec: SearchSpec, records: Sequence[TrialRecord]) -> Found:
    """A search that was played on recorded curves: it has no images, and nothing to export."""
    board = board_of(spec, list(records))
    plain = {**_plain(spec), "name": f"{spec.name}, simulated", "folder": None}
    return Found(
        **plain,
        conclusion=f"Played on recorded curves, nothing was trained: {sentence(board)}",
        state="finished",
        board=board,
        records=tuple(records),
        evidence=tuple(evidence_lines(board)),
    )


def unreadable(spec: SearchSpec, problem: str) -> Found:
    """A search whose study cannot be relied on: what can still be read of it."""
    from search.study.legible import legible_trials

    records = legible_trials(spec.study_url_resolved, spec.name)
    try:
        board = board_of(spec, records)
    except (LookupError, ValueError, ArithmeticError):  # what is left does not fit together
        board = Leaderboard(name=spec.name, objective=objective_of(spec), rows=(), baseline=None)
    is_or_are = "trial is" if len(records) == 1 else "trials are"
    found = Found(
        **_plain(spec),
        conclusion=f"The study cannot be relied on; {len(records)} {is_or_are} shown as far as they can be read.",
        state="unreadable",
        board=board,
        records=tuple(records),
        problem=problem,
    )
    return _with_grids(spec, found)


def _with_grids(spec: SearchSpec, found: Found) -> Found:
    return replace(found, grids=_grids(spec, found))


def _grids(spec: SearchSpec, found: Found) -> Mapping[int, tuple[Grid, ...]]:
    return grids(spec, found.shown_rows) if found.shown_rows else {}


def _export(result: Result, export: Callable[[Row], Export]) -> Export | None:
    if result.board.winner is None or result.no_winner is not None:
        return None
    try:
        return export(result.board.winner)
    except OperationFailed:  # `export` says so
        return None


def _plain(spec: SearchSpec) -> dict[str, Any]:
    """What the search file says."""
    return {
        "name": spec.name,
        "objective": objective_of(spec),
        "facts": _facts(spec),
        "total_steps": spec.training.total_steps,
        "rungs": plan_of(spec, 1).rungs,
        "space": spec.space,
        "seed": spec.seed,
        "cpu": spec.resources.cpu,
        "gpu": spec.resources.gpu,
        "commands": {"export": command(spec, "export")},
        "folder": spec.folder,
    }


def _trained(spec: SearchSpec) -> dict[str, str]:
    if spec.script is not None:
        return {
            "objective": f"{objective_of(spec)}, lower is better",
            "script": shlex.join(spec.script.command),
        }
    return {
        "objective": f"{objective_of(spec)} of {spec.objective.num_samples:,} samples, lower is better",
        "data": name_of(spec.own_setting.data),
        "network": spec.own_setting.network.title,
    }


def _facts(spec: SearchSpec) -> dict[str, str]:
    budget = ", ".join(
        f"{key} {value:g}" for key, value in spec.budget.model_dump().items() if value is not None
    )
    searched = {
        part: ", ".join(family.name for family in getattr(spec.space, part))
        for part in ("noise", "curriculum", "grid", *spec.space.unusual)
    }
    return {
        **_trained(spec),
        "steps of a trial": f"{spec.training.total_steps:,}",
        **{f"{part} searched": names for part, names in searched.items()},
        "presets": ", ".join(spec.baselines) or "none",
        "algorithm": name_of(spec.algorithm),
        "stopping rule": name_of(spec.stopping),
        "budget": budget or "none",
        **({"other settings": ", ".join(s.name for s in spec.all_settings)} if spec.all_settings else {}),
        "seed": str(spec.seed),
        "log": str(spec.folder / LOG_FILE),
    }
