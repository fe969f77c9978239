"""Every curriculum in spaces/curricula/, the ones dropped in later included, keeps these promises."""

from dataclasses import dataclass

import numpy as np
import pytest

from search.contracts._promise import Promise
from search.contracts.curricula import PROMISES
from spaces import CURRICULA
from spaces.curricula.constant import Constant
from spaces.curriculum import Steps

every_curriculum = pytest.mark.parametrize("name", list(CURRICULA))


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
@pytest.mark.parametrize("promise", PROMISES)
def test_a_curriculum_keeps_what_curricula_keep(name: str, promise: Promise) -> None:
    promise(name)
