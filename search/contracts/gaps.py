from collections.abc import Sequence

import numpy as np

from search.contracts._part import ON_A_GRID, comes_back, good_part, instances
from search.contracts._promise import Promise, need
from spaces import GAPS, NOISE, NoiseSchedule
from spaces.continuous import NUM_QUANTILES
from spaces.equality import equal
from spaces.gap import Gap

_STEPS = 2000


def options_are_frozen_documented_and_bounded(name: str) -> None:
    good_part(GAPS, name, "RULE")


def the_teacher_is_below_the_student_in_every_stage(name: str) -> None:
    """At least sigma_min, and in no stage below that of the stage before."""
    for sigma_min in (1e-4, 0.002, 0.5):
        t_M = np.geomspace(1.005 * sigma_min, 80, 500)
        t_M.setflags(write=False)
        for gap in instances(GAPS, name):
            before_M = np.full_like(t_M, sigma_min)
            for stage in range(gap.most_stages):
                r_M = gap.teacher(t_M, sigma_min, stage)
                where = f"in stage {stage} of {gap.describe()} with sigma_min {sigma_min:g}"
                is_shaped = r_M.dtype == np.float64 and r_M.shape == t_M.shape
                need(is_shaped, f"teacher must give float64, one for each level, but does not {where}")
                bad_M = ~((r_M >= sigma_min) & (r_M < t_M))
                at = f"at t={t_M[bad_M.argmax()]:.4g} r={r_M[bad_M.argmax()]:.4g}"
                need(not bad_M.any(), f"sigma_min <= r < t must hold, but {at} {where}")
                need((r_M >= before_M).all(), f"the teacher is further away than in the stage before {where}")
                before_M = r_M


def a_level_alone_has_the_same_teacher(name: str) -> None:
    if not GAPS[name].CONTINUOUS:
        return  # the neighbour on a grid
    t_M = np.geomspace(0.0021, 80, 50)
    for gap in instances(GAPS, name):
        for stage in range(gap.most_stages):
            alone = [gap.teacher(t_M[i : i + 1], 0.002, stage).item() for i in range(len(t_M))]
            is_same = np.allclose(alone, gap.teacher(t_M, 0.002, stage), rtol=1e-12, atol=0)
            need(is_same, f"a level alone has another teacher in stage {stage} of {gap.describe()}")


def stages_follow_each_other(name: str) -> None:
    """As many as it says, where the budget has the steps; and each step alone has the same."""
    for total_steps in (1, 7, _STEPS):
        step_K = np.arange(total_steps, dtype=np.int64)
        for gap in instances(GAPS, name):
            stage_K = gap.stages_at(step_K, total_steps)
            where = f"for {gap.describe()} in {total_steps} steps"
            is_shaped = stage_K.dtype == np.int64 and stage_K.shape == step_K.shape
            need(is_shaped, f"stages_at must be int64, one for each step, but is not {where}")
            need(stage_K[0] == 0 and (np.diff(stage_K) >= 0).all(), f"stages must rise from 0 {where}")
            need(
                stage_K[-1] < gap.most_stages,
                f"most_stages is {gap.most_stages}, but {_counted(stage_K)} {where}",
            )
            alone = [gap.stages_at(step_K[k : k + 1], total_steps).item() for k in range(0, total_steps, 13)]
            need(stage_K[::13].tolist() == alone, f"a step alone has another stage {where}")
    for gap in instances(GAPS, name):
        stage_K = gap.stages_at(np.arange(_STEPS, dtype=np.int64), _STEPS)
        need(
            len(set(stage_K.tolist())) == gap.most_stages,
            f"most_stages is {gap.most_stages}, but {_counted(stage_K)} for {gap.describe()} in {_STEPS} steps",
        )


def _counted(stage_K: Sequence[int]) -> str:
    return f"there are {len(set(stage_K))}"


def a_schedule_with_it_comes_back(name: str) -> None:
    for schedule in _schedules(name):
        comes_back(schedule)


def pairs_of_a_schedule_with_it_are_quantiles_with_teachers_below(name: str) -> None:
    for schedule in _schedules(name) if GAPS[name].CONTINUOUS else ():
        for stage in schedule.stages(_STEPS):
            pairs = schedule.pairs(stage, 0.5)
            where = f"from step {stage.start_step} of {schedule.describe()}"
            need({values_M.shape for values_M in pairs} == {(NUM_QUANTILES,)}, f"pairs have no shape {where}")
            need((pairs.r_M < pairs.t_M).all(), f"teachers are not below students {where}")
            need(
                np.allclose(pairs.weight_M, 1 / (pairs.t_M - pairs.r_M)),
                f"weights are not 1 / (t - r) {where}",
            )


def a_schedule_with_it_is_another_one(name: str) -> None:
    """Than iCT's, which its line says."""
    usual = ON_A_GRID
    for schedule in _schedules(name) if GAPS[name].CONTINUOUS else ():
        need(not equal(schedule, usual, _STEPS), f"{schedule.describe()} counts as {usual.describe()}")
        need(equal(schedule, schedule, _STEPS), f"{schedule.describe()} is not equal to itself")
        need(f" gap={schedule.gap.describe()}" in schedule.describe(), "its schedule does not say it")


def _schedules(name: str) -> list[NoiseSchedule]:
    """With it, beside a law that has levels everywhere."""
    return [_schedule(gap) for gap in instances(GAPS, name)]


def _schedule(gap: Gap) -> NoiseSchedule:
    law = NOISE.build("lognormal")
    return NoiseSchedule.continuous(law, gap) if gap.CONTINUOUS else ON_A_GRID


PROMISES: tuple[Promise, ...] = (
    options_are_frozen_documented_and_bounded,
    the_teacher_is_below_the_student_in_every_stage,
    a_level_alone_has_the_same_teacher,
    stages_follow_each_other,
    a_schedule_with_it_comes_back,
    pairs_of_a_schedule_with_it_are_quantiles_with_teachers_below,
    a_schedule_with_it_is_another_one,
)
