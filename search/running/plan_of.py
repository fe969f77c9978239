"""A search file as the policy and the leaderboard need it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.evidence.leaderboard import Leaderboard, leaderboard
from search.evidence.row import Row
from search.file.spec import SearchSpec
from search.file.start import StartSection
from search.policy.plan import Plan, TimeLimits
from search.policy.trials import JUDGES
from search.record import Purpose, TrialRecord
from spaces.registry import name_of
from spaces.thin_ends import thin_end
from trainable.extractor import objective_name

# That the search for sampling levels computes, about, for each of them.
_DISTANCES_OF_LEVEL = 20
COMPARED_TO = "ict"  # the preset that others are compared to where presets are all there is


def plan_of(spec: SearchSpec, max_concurrent: int, stack: int = 1) -> Plan:
    """What the conductor needs of a search file. stack: trials that share what `resources` gives."""
    return Plan(
        space=spec.space,
        baselines=spec.baselines,
        algorithm=spec.algorithm,
        stopping=spec.stopping,
        total_steps=spec.training.total_steps,
        max_trials=spec.budget.max_trials,
        limits=TimeLimits(
            hours=spec.budget.max_hours,
            cpu_hours=spec.budget.max_cpu_hours,
            gpu_hours=spec.budget.max_gpu_hours,
            cpu=spec.resources.cpu,
            gpu=spec.resources.gpu,
            stack=stack,
        ),
        noise_seeds=spec.noise_floor.seeds if spec.presets else 0,
        race=spec.confirm.rules,
        holds=spec.holds_at.rules(spec.all_settings),
        audit_share=spec.audit,
        equal_schedules=spec.equal_schedules,
        max_concurrent=max_concurrent,
        seed=spec.seed,
        distances_after=_distances_after(spec),
    )


def _distances_after(spec: SearchSpec) -> int:
    """Of the samples of confirmed models by each measure, and of the search for the winner's sampling levels."""
    rules, found = spec.confirm.rules, 0
    if rules is not None and spec.is_measured:
        models = (rules.top + 1) * rules.rounds[-1]
        found += models * len(spec.measures.measures)
    if spec.script is None:
        found += sum(_DISTANCES_OF_LEVEL * nfe for nfe in spec.sampling.nfe)
    return found


def objective_of(spec: SearchSpec) -> str:
    """Name of what is minimised: `fid` or `fd_<network>`; where a script trains, what it reports."""
    if spec.script is not None:
        return spec.script.objective
    return objective_name(name_of(spec.own_setting.extractor))


def board_of(
    spec: SearchSpec, records: list[TrialRecord], header: Mapping[str, Any] | None = None
) -> Leaderboard:
    """The leaderboard of this search. header: what its study keeps besides the trials."""
    plan = plan_of(spec, 1)
    # In a comparison nothing is proposed and nobody is left out: no value was selected by, nobody leaves a race.
    compares = spec.confirm.top == 0 and spec.confirm.baselines >= len(spec.presets) > 0
    race = None if compares else plan.race
    board = leaderboard(
        spec.name,
        objective_of(spec),
        records,
        race=plan.standing(records) if race else None,
        num_finalists=spec.confirm.top,
        own_values=compares,
        reference=COMPARED_TO if compares and COMPARED_TO in spec.baselines else None,
        holds=plan.holds,
        seeds=plan.fresh_seeds,
        measures=spec.measures.measures if spec.is_measured else (),
        missing_judges=_missing_judges(spec, header or {}),
    )
    best = board.winner or board.best_unconfirmed
    return board if best is None else replace(board, notes=tuple(_notes(spec, best)))


def _missing_judges(spec: SearchSpec, header: Mapping[str, Any]) -> dict[str, str]:
    """Feature network that measures samples -> why it could not be had when the search was last driven."""
    asked = spec.measures.by_network if spec.is_measured else ()
    problems = {name: judge["problem"] for name, judge in header.get(JUDGES, {}).items() if name in asked}
    return {name: problem for name, problem in problems.items() if problem is not None}


def _notes(spec: SearchSpec, best: Row) -> Iterator[str]:
    """What else is to be known of the winner: how it may fail elsewhere, and of one that was found, where it lies."""
    schedule, training = best.record.schedule, spec.training
    # Of a script, which standard deviation it scales by is not known.
    if spec.script is None and (thin := thin_end(schedule, training.total_steps, training.sigma_data)):
        yield f"{best.label} {thin}."
    if spec.space.denoises:
        yield (
            f"Samples are of diffusion models, {spec.num_evaluations} network evaluations each by Heun's method: a "
            "consistency model takes one."
        )
    if spec.start is not None:
        yield (
            f"Trials start from {_start_text(spec.start)}: from random weights another schedule may be the better one."
        )
    if best.record.purpose is not Purpose.SEARCH:
        return
    if ends := spec.space.at_ends(schedule):
        where = ", ".join(ends)
        yield f"{best.label} lies at an end of what was searched: {where}. A wider range may hold a better one."
    steps = training.total_steps
    if spec.script is not None:
        made_with = f"the script in {Path(spec.script.folder).name} up to {spec.script.rungs_by} {steps}"
        other = "In other code"
    else:
        made_with = f"{spec.own_setting.network.title} at {steps} steps on {name_of(spec.own_setting.data)}"
        other = "In another network"
    if num_others := len(spec.all_settings):
        settings = "setting" if num_others == 1 else "settings"
        yield (
            f"The search was made with {made_with}, and what it finds is to hold in {num_others} other {settings}. "
            "Elsewhere another schedule may be the better one."
        )
        return
    yield (
        f"All of this is about {made_with}. {other}, or trained for longer, another schedule may be the better one."
    )


def _start_text(start: StartSection) -> str:
    if start.diffusion is not None:
        return f"a diffusion model of {start.diffusion.steps} steps for each seed"
    return f"the weights in {start.named['checkpoint']}"


def thin_presets(spec: SearchSpec) -> list[str]:
    """A sentence for each preset of the search that may fail elsewhere: it has few draws at one end."""
    training = spec.training
    if spec.script is not None:
        return []
    found = [
        (name, thin_end(schedule, training.total_steps, training.sigma_data))
        for name, schedule in spec.baselines.items()
    ]
    return [f"preset {name} {thin}." for name, thin in found if thin]
