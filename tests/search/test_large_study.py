"""Density_gp in a study that is large: the same proposals from the same study, each for a few candidates' work."""

import copy
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial

from search.algorithms import _large_study, _pool, density_gp
from search.algorithms._large_study import LargeStudy
from search.algorithms._places import Places
from search.algorithms._pool import Pool
from search.algorithms._surrogate import embedding
from search.algorithms._trials_to_model import TrialsToModel
from search.algorithms.density_gp import DensityGP
from search.algorithms.random import Random
from search.policy.conductor import Conductor
from search.policy.plan import Plan
from search.record import Report, TrialRecord
from search.simulator.trials_in_memory import TrialsInMemory
from search.stopping.asha import ASHA
from spaces import NoiseSchedule, SearchSpace
from spaces.space.least_ends import LeastEnds
from spaces.thin_ends import shares

SPACE = SearchSpace.from_mapping(
    {
        "noise": dict.fromkeys(("lognormal", "logsnr_laplace", "polynomial")),
        "curriculum": {"constant": None, "exponential": None},
        "ends": {"share": 0.1},
    }
)
STEPS = 1000
PLAN = Plan(
    space=SPACE,
    baselines={},
    algorithm=DensityGP(num_startup_trials=4, num_candidates=16),
    stopping=ASHA(rungs=(0.5,)),
    total_steps=STEPS,
    max_trials=60,
    max_concurrent=16,
)
FEW = 12


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study of more than a dozen trials is large here."""
    monkeypatch.setattr(density_gp, "FEW", FEW)
    monkeypatch.setattr(_large_study, "FIRST", FEW)


def value(schedule: NoiseSchedule, step: int) -> float:
    """Lower for more training below sigma 1/2, and later in a run."""
    stage = schedule.stages(STEPS)[-1]
    return 10.0 - 5.0 * float(stage.probabilities[stage.levels[1:] < 0.5].sum()) - step / STEPS


def ended(conductor: Conductor, record: TrialRecord) -> TrialRecord:
    """Run a trial until it is over."""
    reports: list[Report] = []
    for step in conductor.plan.rungs_of(record):
        reports.append(Report(step, value(record.schedule, step), 0))
        outcome = "complete" if step == STEPS else None
        if conductor.observe(record.number, step, reports, outcome):
            break
    return record


def searched(conductor: Conductor, trials: int) -> list[TrialRecord]:
    """So many more trials, one after the other."""
    found: list[TrialRecord] = []
    while len(found) < trials and (record := conductor.next()) is not None:
        found.append(ended(conductor, record))
    return found


def test_a_new_driver_proposes_the_same_after_dropped_proposals_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the study of the first, proposals that were dropped take numbers; the second knows none of them."""
    asked, ask = [], Study.ask

    def counted(study: Study) -> Trial:
        asked.append(study)
        return ask(study)

    monkeypatch.setattr(Study, "ask", counted)
    trials = TrialsInMemory()
    first = Conductor(PLAN, trials)
    before = searched(first, FEW + 18)
    second = Conductor(PLAN, copy.deepcopy(trials))
    assert len(asked) > len(before), "nothing was dropped"
    params = [record.params for record in searched(first, 12)]
    assert params == [record.params for record in searched(second, 12)]


def test_trials_that_are_asked_for_together_are_not_alike() -> None:
    conductor = Conductor(PLAN, TrialsInMemory())
    searched(conductor, FEW + 8)
    together = [conductor.next() for _ in range(16)]
    places = np.stack([embedding(record.schedule, STEPS) for record in together if record is not None])
    assert len(places) == 16
    apart = ((places[:, None] - places) ** 2).sum(axis=2) + np.eye(16)
    assert apart.min() > 0.005


THREADS = """
import json
import sys
from threadpoolctl import threadpool_info
from search.algorithms import density_gp
from search.policy.conductor import Conductor
from search.simulator.trials_in_memory import TrialsInMemory
from tests.search.test_large_study import PLAN, searched

fitted, seen = density_gp.Surrogate.fitted, []

def watched(*of):
    seen.append([blas["num_threads"] for blas in threadpool_info() if blas["user_api"] == "blas"])
    return fitted(*of)

density_gp.Surrogate.fitted = watched
was_loaded = "scipy.linalg" in sys.modules
searched(Conductor(PLAN, TrialsInMemory()), 6)
print(json.dumps([was_loaded, seen[-1]]))  # at the first, the library may be yet to come
"""


def test_a_proposal_computes_on_one_thread_in_the_library_of_scipy_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", THREADS],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    was_loaded, threads = json.loads(done.stdout)
    assert not was_loaded, "SciPy's library was there before the first proposal: this test shows nothing"
    assert set(threads) == {1}


def test_what_it_proposes_is_better_than_at_random() -> None:
    of_random, of_model = (
        [value(record.schedule, STEPS) for record in searched(Conductor(plan, TrialsInMemory()), 60)][FEW:]
        for plan in (replace(PLAN, algorithm=Random()), PLAN)
    )
    assert min(of_model) < min(of_random)
    assert np.mean(of_model) < np.mean(of_random)


def test_a_proposal_places_a_few_schedules_however_many_trials_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    placed = 0

    def counted(schedule: NoiseSchedule, total_steps: int, *, whole: bool) -> np.ndarray:
        nonlocal placed
        placed += 1
        return embedding(schedule, total_steps, whole=whole)

    monkeypatch.setattr(density_gp, "embedding", counted)
    monkeypatch.setattr(_large_study, "GROWTH", 100.0)  # fitted once
    conductor = Conductor(PLAN, TrialsInMemory())
    searched(conductor, FEW + 3)
    counts = []
    for _ in range(30):
        before = placed
        searched(conductor, 1)
        counts.append(placed - before)
    assert np.median(counts) <= 8  # of a small study, 17; what becomes one of the best brings more


def test_the_spread_is_judged_again_when_there_are_more_trials_by_a_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = []
    judged = TrialsToModel.shown_of_first

    def noted(self: TrialsToModel, count: int, trials: Sequence[FrozenTrial]) -> list[int]:
        counts.append(count)
        return judged(self, count, trials)

    monkeypatch.setattr(TrialsToModel, "shown_of_first", noted)
    searched(Conductor(replace(PLAN, stopping=ASHA(rungs=(0.5,))), TrialsInMemory()), 40)
    assert counts == [12, 15, 18, 22, 27, 33]


def test_places_are_correlated_as_their_distance_says() -> None:
    rng = np.random.default_rng(0)
    embedding_KD = rng.normal(size=(300, 5))
    places = Places()
    for key in range(300):  # more than it begins with
        places.put(key, embedding_KD[key])
    places.forget_but(set(range(0, 300, 3)))
    places.put("new", embedding_KD[1])
    kept = [0, 3, 150, 297]
    apart = ((embedding_KD[kept][:, None] - embedding_KD[[1, 3]]) ** 2).sum(axis=2)
    np.testing.assert_allclose(places.correlations(kept, ["new", 3]), np.exp(-apart), rtol=1e-12)
    np.testing.assert_array_equal(places.embeddings([297, "new"]), embedding_KD[[297, 1]])
    assert 1 not in places and 3 in places


def test_candidates_follow_from_the_seed_the_count_and_the_best() -> None:
    parents: dict[int, dict[str, object]] = {number: {} for number in (3, 8, 19)}
    pool, other = (Pool(SPACE, 0, anywhere=1, near=3) for _ in range(2))
    for count in range(90, 100):
        found = pool.at(count, parents)
    assert found == other.at(99, parents)  # which has seen nothing of what came before
    assert found != Pool(SPACE, 1, anywhere=1, near=3).at(99, parents)
    assert sum(key.parent == 3 for key in found) == _pool.STAY
    fresh = set(pool.at(100, parents)) - set(found)
    assert sorted(key.parent for key in fresh) == [-1, 3, 8, 19]
    gone = next(iter(found))
    pool.remove(gone)
    assert gone not in pool.at(99, parents)


def schedules() -> Iterator[NoiseSchedule]:
    rng = random.Random(0)
    pool = Pool(SearchSpace.from_mapping({}), rng.randrange(99), anywhere=8, near=1)
    yield from (candidate.schedule for candidate in pool.at(64, {0: {}}).values())


def test_a_few_steps_stand_for_all_where_the_ends_are_clear_of_the_rule() -> None:
    rule = LeastEnds(share=0.15)
    allowed = []
    for schedule in schedules():
        found = shares(schedule, 2000, rule.low, rule.high)
        allowed.append(schedule.noise.ADAPTIVE or min(found.below, found.above) >= rule.share)
        assert rule.allow(schedule, 2000) == allowed[-1]
    assert 0.2 < np.mean(allowed) < 0.8


def test_where_none_is_allowed_it_proposes_the_best_all_the_same() -> None:
    """The policy refuses it then, and asks again."""
    never = replace(SPACE, ends=LeastEnds(share=0.499))
    pool = Pool(never, 0, anywhere=1, near=1)
    large = LargeStudy(never, STEPS, lambda schedule: embedding(schedule, STEPS), pool)
    candidates = pool.at(99, {0: {}})
    keys = list(candidates)
    assert large.taken(keys, candidates) == candidates[keys[0]].params
