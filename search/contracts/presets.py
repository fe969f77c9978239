from search.contracts._promise import Promise, need
from spaces import PRESETS


def it_is_said_in_one_line(name: str) -> None:
    preset = PRESETS[name]
    need(preset.summary.strip() and "\n" not in preset.summary, "summary must be one line")


def its_stages_are_valid_for_every_budget(name: str) -> None:
    for total_steps in (1, 300, 2000):
        stages = PRESETS[name].schedule.stages(total_steps)
        need(stages[0].start_step == 0, f"the first of {total_steps} steps has no stage")
        for stage in stages:
            where = f"from step {stage.start_step} of {total_steps}"
            need((stage.sigma_N.diff() > 0).all(), f"levels do not increase {where}")
            total = stage.probability_M.sum().item()
            need(
                (stage.probability_M >= 0).all() and abs(total - 1) < 1e-12,
                f"probabilities sum to {total!r} {where}",
            )


PROMISES: tuple[Promise, ...] = (it_is_said_in_one_line, its_stages_are_valid_for_every_budget)
