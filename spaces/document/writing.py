"""The parts of a document that follow from the schedule alone, and the document that a trial's script is given."""

from typing import Any

from spaces.document.format import PAIRS, format_of, function_of, loss_and_weighting, rules_of
from spaces.schedule import NoiseSchedule


def stages_part(schedule: NoiseSchedule, total_steps: int, sigma_data: float | None) -> dict[str, Any]:
    """`stages`, and in version 2 `rules`, of `training`.

    Per stage: its first step, its noise levels, the probability of each interval between two of them. In version 2 both
    levels of each pair, its probability and its weight.
    """
    if schedule.unusual:
        stages = [
            {
                "start_step": stage.start_step,
                **{
                    name: values_M.tolist()
                    for name, values_M in zip(PAIRS, schedule.pairs(stage, sigma_data or 0.5), strict=True)
                },
            }
            for stage in schedule.stages(total_steps)
        ]
        return {"rules": rules_of(schedule), "stages": stages}
    stages = [
        {
            "start_step": stage.start_step,
            "sigmas": stage.levels.tolist(),
            "interval_probabilities": stage.probabilities.tolist(),
        }
        for stage in schedule.stages(total_steps)
    ]
    return {"stages": stages}


def training_part(
    schedule: NoiseSchedule, total_steps: int, huber_c: float, sigma_data: float
) -> dict[str, Any]:
    """`training`: all that another loop needs to train as ours does. huber_c: the training's."""
    loss, weighting = loss_and_weighting(schedule)
    return {
        "total_steps": total_steps,
        "loss": loss,
        "function": function_of(schedule),
        "weighting": weighting,
        "huber_c_over_sqrt_d": schedule.loss.huber_c_of(huber_c),
        "sigma_data": sigma_data,
        **stages_part(schedule, total_steps, sigma_data),
    }


def foreign_training_part(schedule: NoiseSchedule, total_steps: int) -> dict[str, Any]:
    """What a training loop that is not ours needs; its loss is its own."""
    return {
        "total_steps": total_steps,
        "loss": None,
        "function": None,
        "weighting": None,
        "huber_c_over_sqrt_d": None,
        "sigma_data": None,
        **stages_part(schedule, total_steps, None),
    }


def foreign_objective_part(name: str) -> dict[str, Any]:
    """What a script measures by itself: its name is all that is known."""
    others = ("num_samples", "network_evaluations", "extractor_sha256", "data", "data_sha256")
    return {"name": name, **dict.fromkeys(others)}


def trial_document(schedule: NoiseSchedule, total_steps: int, objective: str, seed: int) -> dict[str, Any]:
    """A schedule that is tried, in the form in which the winner is exported: the same code trains on both.

    objective: name of what the script measures. seed: of the trial.
    """
    return {
        "format": format_of(schedule),
        "confirmed": False,
        "schedule": schedule.to_dict(),
        "describe": schedule.describe(),
        "training": foreign_training_part(schedule, total_steps),
        "sampling": None,
        "objective": foreign_objective_part(objective),
        "evidence": {},
        "provenance": {"seed": seed},
    }
