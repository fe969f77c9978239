import numpy as np
import torch

from search.contracts._promise import Promise, good_options, need, plain_data
from spaces import CURRICULA, Curriculum, SearchSpace
from spaces.curriculum import MAX_INTERVALS, values_of


def instances(name: str) -> list[Curriculum]:
    """At its defaults, and at every corner of its space."""
    (family,) = SearchSpace.from_mapping({"noise": {"uniform": None}, "curriculum": {name: None}}).curriculum
    return [CURRICULA[name](), *(CURRICULA[name](**options) for options in family.corners())]


def levels_at_every_corner_and_step(name: str) -> None:
    """At least 2, and not too many."""
    for total_steps in (1, 2, 7, 400, 2000):
        step_K = np.arange(total_steps + 1, dtype=np.int64)
        for curriculum in instances(name):
            num_levels_K = curriculum.num_levels(step_K, total_steps)
            where = f"{curriculum.describe()} of {total_steps} steps"
            need(
                num_levels_K.dtype == np.int64 and num_levels_K.shape == step_K.shape,
                f"num_levels must be int64, one for each step, but is not for {where}",
            )
            need(
                num_levels_K.min() >= 2 and num_levels_K.max() <= MAX_INTERVALS + 1,
                f"levels must be 2 to {MAX_INTERVALS + 1}, but are {num_levels_K.min()} to {num_levels_K.max()} "
                f"for {where}",
            )


def no_budget_gives_more_than_it_says(name: str) -> None:
    """`most_levels`, `most_stages` and `most_values` hold."""
    for total_steps in (1, 7, 400, 20_000):
        step_K = np.arange(total_steps, dtype=np.int64)
        for curriculum in instances(name):
            num_levels_K = curriculum.num_levels(step_K, total_steps)
            phase_K = curriculum.phases_at(step_K, total_steps)
            is_start_K = (np.diff(num_levels_K, prepend=0) != 0) | (np.diff(phase_K, prepend=0) != 0)
            where = f"of {curriculum.describe()} in {total_steps} steps"
            need(
                num_levels_K.max() <= curriculum.most_levels <= MAX_INTERVALS + 1,
                f"most_levels is {curriculum.most_levels}, but there are {num_levels_K.max()} {where}",
            )
            need(
                is_start_K.sum() <= curriculum.most_stages,
                f"most_stages is {curriculum.most_stages}, but there are {is_start_K.sum()} {where}",
            )
            values = values_of(int(is_start_K.sum()), int(num_levels_K[is_start_K].sum()))
            need(values <= curriculum.most_values(total_steps), f"most_values is less than {values} {where}")


def one_step_and_many_steps_agree(name: str) -> None:
    step_K = np.array([0, 1, 57, 200, 398, 399, 400], dtype=np.int64)
    for curriculum in instances(name):
        one = [curriculum.num_levels(step, 400) for step in step_K.tolist()]
        need(
            curriculum.num_levels(step_K, 400).tolist() == one and all(type(levels) is int for levels in one),
            f"one step of {curriculum.describe()} has other levels than the same step of many",
        )


def phases_are_counted_from_0(name: str) -> None:
    """And each step alone has the same."""
    for total_steps in (1, 2, 7, 400):
        step_K = np.arange(total_steps, dtype=np.int64)
        for curriculum in instances(name):
            phase_K = curriculum.phases_at(step_K, total_steps)
            where = f"for {curriculum.describe()} of {total_steps} steps"
            need(
                phase_K.dtype == np.int64 and phase_K.shape == step_K.shape and phase_K.min() >= 0,
                f"phases_at must be int64 from 0 on, one for each step, but is not {where}",
            )
            alone = [
                curriculum.phases_at(step_K[k : k + 1], total_steps).tolist() for k in range(total_steps)
            ]
            need([[phase] for phase in phase_K.tolist()] == alone, f"a step alone has another phase {where}")


def each_phase_trains_probabilities(name: str) -> None:
    rng = np.random.default_rng(0)
    step_K = np.arange(400, dtype=np.int64)
    for curriculum in instances(name):
        for num_intervals in (1, 2, 19, 640):
            probability_M = torch.as_tensor(rng.dirichlet(np.full(num_intervals, 0.3)))
            before_M = probability_M.clone()
            for phase in np.unique(curriculum.phases_at(step_K, 400)).tolist():
                trained_M = curriculum.reweighted(probability_M, phase)
                where = f"in phase {phase} of {curriculum.describe()} on {num_intervals} intervals"
                is_good = trained_M.dtype == torch.float64 and trained_M.shape == (num_intervals,)
                need(is_good and (trained_M >= 0).all(), f"reweighted must give float64 >= 0 {where}")
                need(abs(trained_M.sum().item() - 1) < 1e-12, f"reweighted must sum to 1 {where}")
            need(
                torch.equal(probability_M, before_M),
                f"reweighted of {curriculum.describe()} changes its argument",
            )


def it_needs_a_budget(name: str) -> None:
    message = ""
    try:
        CURRICULA[name]().num_levels(0, 0)
    except ValueError as error:
        message = str(error)
    need("total_steps >= 1" in message, "num_levels must be left as it is: write levels_at")


def it_is_plain_data(name: str) -> None:
    for curriculum in instances(name):
        plain_data(CURRICULA, curriculum)
        again = CURRICULA.build(CURRICULA.describe(curriculum))
        need(hash(again) == hash(curriculum), f"equal {name} have two hashes")


def options_are_frozen_documented_and_bounded(name: str) -> None:
    good_options(CURRICULA[name])


PROMISES: tuple[Promise, ...] = (
    options_are_frozen_documented_and_bounded,
    it_is_plain_data,
    levels_at_every_corner_and_step,
    no_budget_gives_more_than_it_says,
    one_step_and_many_steps_agree,
    phases_are_counted_from_0,
    each_phase_trains_probabilities,
    it_needs_a_budget,
)
