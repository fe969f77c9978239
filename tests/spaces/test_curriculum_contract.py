"""Every curriculum in spaces/curricula/, the ones dropped in later included, keeps these promises."""

import json
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from spaces import CURRICULA, Curriculum, SearchSpace
from spaces.curricula.constant import Constant
from spaces.curriculum import MAX_INTERVALS, Steps, values_of

CORNERS = {
    family.prefix: [family.cls(**options) for options in family.corners()]
    for family in SearchSpace.from_mapping(None).curriculum
}

every_curriculum = pytest.mark.parametrize("name", list(CURRICULA))


def instances(name: str) -> list[Curriculum]:
    return [CURRICULA[name](), *CORNERS[name]]


@every_curriculum
@pytest.mark.parametrize("total_steps", [1, 2, 7, 400, 2000])
def test_at_least_2_and_not_too_many_levels_at_every_corner_and_step(name: str, total_steps: int) -> None:
    step_K = np.arange(total_steps + 1, dtype=np.int64)
    for curriculum in instances(name):
        num_levels_K = curriculum.num_levels(step_K, total_steps)
        assert num_levels_K.dtype == np.int64
        assert num_levels_K.shape == step_K.shape
        assert num_levels_K.min() >= 2
        assert num_levels_K.max() <= MAX_INTERVALS + 1


@every_curriculum
@pytest.mark.parametrize("total_steps", [1, 7, 400, 20_000])
def test_no_budget_gives_more_than_it_says_it_comes_to_at_most(name: str, total_steps: int) -> None:
    step_K = np.arange(total_steps, dtype=np.int64)
    for curriculum in instances(name):
        num_levels_K = curriculum.num_levels(step_K, total_steps)
        phase_K = curriculum.phases_at(step_K, total_steps)
        is_start_K = (np.diff(num_levels_K, prepend=0) != 0) | (np.diff(phase_K, prepend=0) != 0)
        assert num_levels_K.max() <= curriculum.most_levels <= MAX_INTERVALS + 1
        assert is_start_K.sum() <= curriculum.most_stages
        values = values_of(int(is_start_K.sum()), int(num_levels_K[is_start_K].sum()))
        assert values <= curriculum.most_values(total_steps)


@dataclass(frozen=True, kw_only=True)
class _Wrong(Constant):
    at_step_3: int = 20

    def levels_at(self, step_K: Steps, total_steps: int) -> Steps:
        return np.where(step_K == 3, self.at_step_3, self.levels)


@pytest.mark.parametrize("wrong", [-(2**63), 1, 21])
def test_a_curriculum_that_leaves_its_limits_is_refused(wrong: int) -> None:
    curriculum = _Wrong(levels=20, at_step_3=wrong)
    assert curriculum.num_levels(np.arange(3), 10).tolist() == [20] * 3
    with pytest.raises(ValueError, match=rf"2 <= N\(k\) <= 20` must hold, but .* gives N={wrong}"):
        curriculum.num_levels(np.arange(10), 10)


@every_curriculum
def test_one_step_and_many_steps_agree(name: str) -> None:
    step_K = np.array([0, 1, 57, 200, 398, 399, 400], dtype=np.int64)
    for curriculum in instances(name):
        many = curriculum.num_levels(step_K, 400).tolist()
        one = [curriculum.num_levels(step, 400) for step in step_K.tolist()]
        assert many == one
        assert all(type(levels) is int for levels in one)


@every_curriculum
@pytest.mark.parametrize("total_steps", [1, 2, 7, 400])
def test_phases_are_counted_from_0_and_each_step_alone_has_the_same(name: str, total_steps: int) -> None:
    step_K = np.arange(total_steps, dtype=np.int64)
    for curriculum in instances(name):
        phase_K = curriculum.phases_at(step_K, total_steps)
        assert phase_K.dtype == np.int64
        assert phase_K.shape == step_K.shape
        assert phase_K.min() >= 0
        alone = [curriculum.phases_at(step_K[k : k + 1], total_steps).tolist() for k in range(total_steps)]
        assert [[phase] for phase in phase_K.tolist()] == alone


@every_curriculum
def test_each_phase_trains_probabilities(name: str) -> None:
    rng = np.random.default_rng(0)
    step_K = np.arange(400, dtype=np.int64)
    for curriculum in instances(name):
        for num_intervals in (1, 2, 19, 640):
            probability_M = torch.as_tensor(rng.dirichlet(np.full(num_intervals, 0.3)))
            before_M = probability_M.clone()
            for phase in np.unique(curriculum.phases_at(step_K, 400)).tolist():
                trained_M = curriculum.reweighted(probability_M, phase)
                assert trained_M.dtype == torch.float64
                assert trained_M.shape == (num_intervals,)
                assert (trained_M >= 0).all()
                assert trained_M.sum().item() == pytest.approx(1.0, abs=1e-12)
            assert torch.equal(probability_M, before_M)  # shared between the stages


@every_curriculum
def test_needs_a_budget(name: str) -> None:
    with pytest.raises(ValueError, match="total_steps >= 1"):
        CURRICULA[name]().num_levels(0, 0)


@every_curriculum
def test_json_and_pickle_give_the_equal_curriculum_back(name: str) -> None:
    for curriculum in instances(name):
        again = CURRICULA.build(json.loads(json.dumps(CURRICULA.describe(curriculum))))
        assert again == curriculum
        assert hash(again) == hash(curriculum)
        assert pickle.loads(pickle.dumps(curriculum)) == curriculum
