"""Searches on a virtual clock, over a small synthetic table of curves."""

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from search import cli
from search.errors import InputError
from search.evidence.leaderboard import Leaderboard
from search.file.spec import SearchSpec, overridden, spec_of
from search.file.yaml12 import Document
from search.policy.conductor import Conductor
from search.policy.plan import Plan
from search.record import Purpose, Report, State, TrialRecord
from search.running.plan_of import plan_of
from search.simulator.nearest import GAPS_WEIGHT, HUBER_C_WEIGHT, LEVELS_WEIGHT, Nearest, features
from search.simulator.quality import Exported, Repeat, exported, interval, iqm, repeat_search
from search.simulator.replay import Curves, Replay
from search.simulator.simulation import Simulated, simulate
from search.simulator.table import (
    FEWEST_ELSEWHERE,
    check_recorded,
    read_table,
    shipped_path,
    table_path,
    tables_elsewhere,
    write_table,
)
from search.simulator.trials_in_memory import TrialsInMemory
from spaces import PRESETS, WEIGHTS, NoiseSchedule
from spaces.gaps.constant_ratio import ConstantRatio
from trainable.task import OWN, WORST_OBJECTIVE

SEARCH: dict[str, Any] = {
    "name": "toy",
    "data": "digits",
    "training": {"total_steps": 80},
    # One stage each, so that a look-up costs little.
    "space": {"noise": {"lognormal": None}, "curriculum": {"constant": None}},
    "presets": ["gokmen_constant"],
    "algorithm": "random",
    "stopping": {"name": "asha", "rungs": [0.25, 0.5]},
    "budget": {"max_trials": 12},
    "confirm": {"top": 2, "baselines": 1, "rounds": [2, 4]},
}
STEPS = tuple(range(10, 81, 10))
COMMON, MORE = (0, 1, 2), (3, 4, 5)  # training seeds of all schedules, of the best


def spec_for(**changes: Any) -> SearchSpec:
    return spec_of(Document("toy", {**SEARCH, **changes}, {}))


def schedules(count: int) -> list[NoiseSchedule]:
    """The preset, and random schedules of the space."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=7))
    drawn = [spec_for().space.suggest(study.ask()) for _ in range(count - 1)]
    return [PRESETS["gokmen_constant"].schedule, *drawn]


Level = Callable[[NoiseSchedule], float]


def level(schedule: NoiseSchedule) -> float:
    """Best at p_mean -1 and many levels; the preset is bad."""
    options = schedule.to_dict()["noise"]
    distance = abs(options["p_mean"] + 1) if options["name"] == "lognormal" else 3
    return 10 + 5 * distance + 100 / schedule.curriculum.num_levels(np.array([0]), 80)[0]


def write_toy(
    path: Path,
    of: Level = level,
    noise: float = 0.1,
    count: int = 40,
    diverging: int = -1,
    chosen: Sequence[NoiseSchedule] | None = None,
    **changes: Any,
) -> None:
    """Curves that fall like 1/sqrt(step) to `of(schedule)`, times seed noise."""
    chosen = schedules(count) if chosen is None else chosen
    best = sorted(chosen, key=of)[: count // 4]
    rows = []
    for index, schedule in enumerate(chosen):
        curves = {}
        for seed in COMMON + MORE if schedule in best or index == 0 else COMMON:
            rng = random.Random(f"{index}/{seed}")
            luck = rng.gauss(0, noise)
            values: list[float | None] = [
                of(schedule) * math.sqrt(80 / step) * math.exp(luck + noise * rng.gauss(0, 1 - step / 80))
                for step in STEPS
            ]
            if index == diverging and seed == 1:
                values[3:] = [None] * 5
            curves[str(seed)] = {"cpu_seconds": 4 + rng.random(), "values": values}
        rows.append({"origin": f"toy {index}", "schedule": schedule.to_dict(), "curves": curves})
    resolved = spec_for(**changes).resolved()
    header = {
        "search": {name: resolved[name] for name in ("data", "network", "training", "objective", "space")},
        "data_sha256": "0",
        "extractor_sha256": "0",
        "about": {},
        "steps": list(STEPS),
    }
    write_table(path, header, rows)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("curves") / "toy.json"
    write_toy(path)
    return path


@pytest.fixture(scope="module")
def curves(path: Path) -> Curves:
    return Curves(read_table(path))


def play(spec: SearchSpec, curves: Curves, repeat: int = 0, max_concurrent: int = 2) -> Simulated:
    return simulate(plan_of(spec, max_concurrent), {OWN: Replay(curves, repeat, spec.seed)})


def trace(search: Simulated) -> list[tuple[Any, ...]]:
    """Every decision: what ran, with which seed, how far, how it ended."""
    return [
        (r.number, r.purpose, r.seed, r.state, r.condemned_at, r.schedule, r.reports, r.start_ms, r.end_ms)
        for r in search.records
    ]


# The table


def test_a_table_reads_back_as_it_was_written(path: Path) -> None:
    table = read_table(path)
    assert table.schedules == tuple(schedules(40))
    assert (table.seeds, table.common_seeds, table.steps) == (COMMON + MORE, COMMON, STEPS)
    first = json.loads(path.read_text())["schedules"][0]["curves"]["4"]
    assert table.values_SRT[0, 4].tolist() == first["values"]
    assert table.seconds_SR[0, 4] == first["cpu_seconds"]
    assert table.recorded_SR.sum() == 40 * 3 + 11 * 3


def test_the_true_value_is_the_mean_over_all_seeds(path: Path) -> None:
    table = read_table(path)
    row = json.loads(path.read_text())["schedules"][0]["curves"]
    assert table.true_S[0] == pytest.approx(np.mean([curve["values"][-1] for curve in row.values()]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as a table of curves"),
        ("[]", "`format` must be 'learning-curves/1', but got None"),
        ('{"format": "learning-curves/2"}', "but got 'learning-curves/2'"),
        ('{"format": "learning-curves/1"}', "is no table of curves: KeyError: 'schedules'"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_table(path)
    assert "\n" not in str(error.value)


def test_a_search_that_was_not_recorded_is_refused_by_its_fields(curves: Curves) -> None:
    other = spec_for(training={"total_steps": 80, "batch_size": 64}, objective={"num_samples": 500})
    with pytest.raises(InputError, match=r"another training.batch_size, objective.num_samples"):
        check_recorded(curves.table, other, STEPS)
    with pytest.raises(InputError, match=r"step 25\. Recorded fractions of the budget: 0\.125, 0\.25"):
        check_recorded(curves.table, spec_for(), (20, 25, 80))
    changed = spec_for(space={"noise": {"uniform": None}}, algorithm="tpe", seed=9, presets=["ict"])
    check_recorded(curves.table, changed, changed.stopping.steps(80))


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"space": {**SEARCH["space"], "weight": {"uniform": None}}}, "weight"),
        (
            {"space": {**SEARCH["space"], "loss": {"squared_l2": None}, "weight": {"uniform": None}}},
            "loss",
        ),
        ({"space": {**SEARCH["space"], "loss": {"pseudo_huber": None}}}, "loss"),
        ({"presets": ["ect"]}, "gap"),
    ],
)
def test_a_search_over_parts_that_were_not_recorded_is_refused(
    curves: Curves, changes: dict[str, Any], parts: str
) -> None:
    with pytest.raises(InputError, match=f"recorded with the usual {parts} only: simulate a search") as error:
        check_recorded(curves.table, spec_for(**changes), STEPS)
    assert "\n" not in str(error.value)


RECIPE: dict[str, Any] = {
    **SEARCH,
    "space": {
        **SEARCH["space"],
        "gap": {"adjacent": None, "ect": None},
        "weight": {"inverse_gap": None, "inverse_t": None},
        "loss": {"pseudo_huber": None},
    },
}


def write_recipe(path: Path) -> list[NoiseSchedule]:
    """A table of schedules whose gap, weight and constant differ: the constant alone says how good they are."""
    space = spec_for(**RECIPE).space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    chosen = [PRESETS["gokmen_constant"].schedule, *(space.suggest(study.ask()) for _ in range(40))]

    def of(schedule: NoiseSchedule) -> float:
        return 20 + abs(math.log((schedule.loss.huber_c_of(1e-1) or 1.0) / 1e-3))

    write_toy(path, of, chosen=chosen, **RECIPE)
    return chosen


def test_a_table_with_gaps_weights_and_constants_is_played(tmp_path: Path) -> None:
    chosen = write_recipe(tmp_path / "recipe.json")
    table = read_table(tmp_path / "recipe.json")
    spec = spec_for(**RECIPE)
    check_recorded(table, spec, STEPS)
    check_recorded(table, spec_for(), STEPS)  # a part of it
    other = spec_for(**{**RECIPE, "space": {**RECIPE["space"], "weight": {"edm": None, "inverse_gap": None}}})
    with pytest.raises(InputError, match="no weight of edm, but of inverse_gap, inverse_t: leave out"):
        check_recorded(table, other, STEPS)
    nearest = Nearest(table.schedules)
    assert [nearest(schedule) for schedule in chosen] == list(range(len(chosen)))
    moved = [replace(schedule, loss=replace(schedule.loss, huber_c=1.05e-3)) for schedule in chosen[1:]]
    distance_SS = np.stack([nearest.distances(schedule) for schedule in moved])
    log_c_S = np.log([schedule.loss.huber_c_of(0.00054) or 1.0 for schedule in chosen])
    expected_S = HUBER_C_WEIGHT * np.abs(log_c_S[1:] - math.log(1.05e-3))
    assert distance_SS[:, 1:].diagonal() == pytest.approx(expected_S)
    search = play(spec, Curves(table))
    assert {type(r.schedule.gap).__name__ for r in search.records} == {"Adjacent", "ECTGap"}


def test_what_the_pairs_count_and_where_their_gaps_are_is_a_distance() -> None:
    base = PRESETS["ect"].schedule
    weighed = replace(base, weight=WEIGHTS["edm"]())
    wide, fine = (
        NoiseSchedule.continuous(base.noise, ConstantRatio(q=q), weight=weighed.weight) for q in (64.0, 128.0)
    )
    to_weighed = Nearest([base, weighed]).distances(base)[1]
    stages = [one.stage_with(4097) for one in (base, weighed)]
    shares = [one.minimised(stage).probabilities for one, stage in zip((base, weighed), stages, strict=True)]
    assert to_weighed == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2, rel=0.1)
    # Half of every gap is twice as many of them, and at a weight of the level alone nothing else.
    assert Nearest([wide]).distances(fine)[0] == pytest.approx(GAPS_WEIGHT, abs=0.02)


def test_spaces_with_gap_weight_or_loss_have_a_table_of_their_own() -> None:
    assert shipped_path(spec_for()).name == "digits.json"
    assert shipped_path(spec_for(**RECIPE)).name == "digits_recipe.json"


def test_data_without_curves_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="no curves were recorded for the data 'fashion_mnist'"):
        table_path(spec_for(data="fashion_mnist"))
    with pytest.raises(
        InputError, match="for the data 'fashion_mnist' with other gaps, weights or losses; there"
    ):
        table_path(spec_for(**{**RECIPE, "data": "fashion_mnist"}))


# The look-up


def test_a_recorded_schedule_is_looked_up_as_itself() -> None:
    chosen = schedules(20)
    nearest = Nearest(chosen)
    assert [nearest(schedule) for schedule in chosen] == list(range(20))
    assert [int(nearest.distances(schedule).argmin()) for schedule in chosen] == list(range(20))


def with_options(noise: dict[str, Any], levels: int = 641) -> NoiseSchedule:
    grid = PRESETS["ict"].schedule.to_dict()["grid"]
    curriculum = {"name": "constant", "levels": levels}
    return NoiseSchedule.from_dict({"grid": grid, "noise": noise, "curriculum": curriculum})


def test_what_trains_alike_is_at_no_distance_whatever_its_family() -> None:
    uniform, polynomial = (
        with_options({"name": "uniform"}),
        with_options({"name": "polynomial", "degree": 1.0}),
    )
    assert uniform != polynomial
    assert Nearest([uniform]).distances(polynomial) == pytest.approx(0, abs=1e-6)


def test_the_distance_is_the_total_variation_of_the_densities() -> None:
    # N(-3, .3) and N(2, .3) have nothing in common; of N(0, 1) and N(2, 1) the total variation is 2 Phi(1) - 1.
    apart = [with_options({"name": "lognormal", "p_mean": mean, "p_std": 0.3}) for mean in (-3.0, 2.0)]
    assert Nearest(apart[:1]).distances(apart[1]) == pytest.approx(1, abs=1e-3)
    near = [with_options({"name": "lognormal", "p_mean": mean, "p_std": 1.0}) for mean in (0.0, 2.0)]
    assert Nearest(near[:1]).distances(near[1]) == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.01)


def test_a_doubling_of_the_levels_costs_its_weight() -> None:
    # Both at nearly the same density: 640 and 1280 intervals.
    one, two = (with_options({"name": "uniform"}, levels=levels) for levels in (641, 1281))
    assert Nearest([one]).distances(two) == pytest.approx(LEVELS_WEIGHT, abs=2e-3)
    assert Nearest([one], levels_weight=0).distances(two) == pytest.approx(0, abs=2e-3)


def test_features_are_probabilities_at_every_part_of_the_budget() -> None:
    for preset in PRESETS.values():
        (mass_CB,), log_intervals_C, _ = features(preset.schedule)
        np.testing.assert_allclose(mass_CB.sum(axis=1), 1, rtol=1e-5)
        assert (mass_CB > -1e-12).all()  # but for rounding
        assert (log_intervals_C >= 0).all()


# The replay


def final(replay: Replay, schedule: NoiseSchedule, seed: int) -> float:
    return replay(schedule, seed, (80,))[0].objective


def test_the_searchs_seed_is_one_that_every_schedule_has_and_another_in_each_repeat(curves: Curves) -> None:
    used = [Replay(curves, repeat, 500).recorded_seed(500) for repeat in range(6)]
    assert used == [0, 1, 2, 0, 1, 2]
    schedule = curves.table.schedules[5]
    assert final(Replay(curves, 1, 500), schedule, 500) == curves.table.values_SRT[5, 1, -1]


def test_fresh_seeds_are_recorded_ones_none_twice_those_of_all_schedules_first(curves: Curves) -> None:
    for repeat in range(5):
        replay = Replay(curves, repeat, 500)
        fresh = [replay.recorded_seed(501 + i) for i in range(7)]
        first = replay.recorded_seed(500)
        assert sorted([first, *fresh[:5]]) == [*COMMON, *MORE]  # type: ignore[type-var]
        assert set(fresh[:2]) < set(COMMON)
        assert fresh[5:] == [None, None]
        assert [replay.recorded_seed(501 + i) for i in range(7)] == fresh
    assert len({Replay(curves, repeat, 500).recorded_seed(503) for repeat in range(20)}) == 3


def test_a_seed_that_a_schedule_lacks_gets_its_mean_curve_times_anothers_residuals(curves: Curves) -> None:
    table = curves.table
    lacking = int(np.flatnonzero(~table.recorded_SR[:, 3])[0])
    replay = Replay(curves, 0, 500)
    seed = next(s for s in range(501, 506) if replay.recorded_seed(s) in MORE)
    column = table.seeds.index(replay.recorded_seed(seed))  # type: ignore[arg-type]
    values_T = np.array([m.objective for m in replay(table.schedules[lacking], seed, STEPS)])
    ln_mean_T = np.nanmean(np.log(table.values_SRT[lacking]), axis=0)
    residuals = []
    for lender in np.flatnonzero(table.recorded_SR[:, column]):
        ln_RT = np.log(table.values_SRT[lender])
        residuals.append((ln_RT[column] - ln_RT.mean(axis=0)) * math.sqrt(6 / 5))
    found = np.log(values_T) - ln_mean_T
    assert min(float(np.abs(found - residual).max()) for residual in residuals) < 1e-9


def test_a_seed_beyond_all_recorded_ones_is_drawn_and_repeats(curves: Curves) -> None:
    def beyond(repeat: int) -> list[float]:
        replay = Replay(curves, repeat, 500)
        for seed in range(501, 506):
            replay.recorded_seed(seed)
        return [
            final(replay, schedule, seed) for schedule in curves.table.schedules[:6] for seed in (600, 601)
        ]

    assert beyond(0) == beyond(0)
    assert len(set(beyond(0))) == 12
    assert beyond(0) != beyond(3)


def test_time_goes_by_as_it_was_recorded(curves: Curves) -> None:
    schedule = curves.table.schedules[2]
    measured = Replay(curves, 0, 500)(schedule, 500, (20, 40, 80))
    seconds = curves.table.seconds_SR[2, 0]
    assert [m.seconds for m in measured] == pytest.approx([seconds / 4, seconds / 2, seconds])


def test_a_diverged_trial_ends_at_the_next_rung_as_the_worst(tmp_path: Path) -> None:
    write_toy(tmp_path / "toy.json", diverging=5)
    curves = Curves(read_table(tmp_path / "toy.json"))
    schedule = curves.table.schedules[5]
    measured = Replay(curves, 1, 500)(schedule, 500, (20, 40, 80))
    assert [m.step for m in measured] == [20, 40]
    assert measured[-1].objective == WORST_OBJECTIVE
    fresh = {final(Replay(curves, repeat, 500), schedule, 501 + i) for repeat in range(9) for i in range(8)}
    assert fresh <= set(curves.table.values_SRT[5, :3, -1]), (
        "no residual curve is put on a schedule that diverged"
    )

    only = spec_for(presets=[], budget={"max_trials": 1}, confirm={"top": 0}, stopping={"name": "none"})

    search = simulate(plan_of(only, 1), {OWN: lambda schedule, seed, rungs: measured})
    assert [(r.state, r.objective) for r in search.records] == [(State.DIVERGED, WORST_OBJECTIVE)]
    assert search.compute == 0.5


# The simulation


def test_signs_of_life_between_rungs_change_no_decision(curves: Curves) -> None:
    plan, heard = plan_of(spec_for(), 2), [0, 0]

    def count(nth: int) -> Simulated:
        def on_result(conductor: Conductor) -> None:
            heard[nth] += 1

        replay = Replay(curves, 0, plan.seed)
        return simulate(plan, {OWN: replay}, on_result=on_result, signs_of_life=3 * nth)

    assert trace(count(0)) == trace(count(1))
    assert heard[1] > 3 * heard[0]


def test_the_same_search_takes_the_same_decisions(curves: Curves) -> None:
    assert trace(play(spec_for(), curves)) == trace(play(spec_for(), curves))
    assert trace(play(spec_for(), curves)) != trace(play(spec_for(), curves, repeat=1))


def test_a_small_search_takes_these_decisions(curves: Curves) -> None:
    spec = spec_for(budget={"max_trials": 8}, confirm={"top": 2, "baselines": 1, "rounds": [2, 3]})
    search = play(spec, curves)
    told = [f"{r.purpose} {r.seed} {r.state} {r.reports[-1].step} {r.objective:.1f}" for r in search.records]
    assert told == [
        "baseline 0 complete 80 27.6",
        "noise 1 complete 80 30.1",
        "noise 2 complete 80 30.4",
        "noise 3 complete 80 27.6",
        "search 0 complete 80 17.0",
        "search 0 complete 80 14.0",
        "search 0 stopped 20 38.4",
        "search 0 complete 80 14.1",
        "search 0 complete 80 13.5",
        "search 0 complete 80 11.2",
        "search 0 complete 80 9.2",
        "confirm 1 complete 80 9.5",
        "confirm 1 complete 80 13.5",
        "confirm 2 complete 80 9.6",
        "confirm 2 complete 80 11.0",
        "confirm 3 complete 80 11.0",
        "confirm 3 complete 80 12.0",
    ]


def by_hand(plan: Plan, replay: Replay) -> Conductor:
    """The conductor driven by the plainest loop there is: the trial that answers first is looked for anew each time."""
    now = 0.0
    conductor = Conductor(plan, TrialsInMemory(), clock=lambda: now)
    started: dict[int, float] = {}
    while True:
        while (record := conductor.next()) is not None:
            started[record.number] = now
        running = [r for r in conductor.records.values() if r.state is State.RUNNING]
        if not running:
            return conductor

        def answers(record: TrialRecord) -> tuple[float, int]:
            following = replay(record.schedule, record.seed, plan.rungs)[len(record.reports)]
            return started[record.number] + following.seconds, record.number

        record = min(running, key=answers)
        now = answers(record)[0]
        measured = replay(record.schedule, record.seed, plan.rungs)[: len(record.reports) + 1]
        reports = [
            Report(
                m.step,
                m.objective,
                round(1000 * (started[record.number] + m.seconds)),
                {"train_seconds": m.seconds},
            )
            for m in measured
        ]
        outcome = "complete" if measured[-1].step == plan.total_steps else None
        conductor.observe(record.number, measured[-1].step, reports, outcome)


@pytest.mark.parametrize("max_concurrent", [1, 3])
def test_simulator_and_a_conductor_driven_by_hand_take_the_same_decisions(
    curves: Curves, max_concurrent: int
) -> None:
    spec = spec_for(algorithm="same_rung_tpe", budget={"max_trials": 24})
    search = play(spec, curves, max_concurrent=max_concurrent)
    conductor = by_hand(plan_of(spec, max_concurrent), Replay(curves, 0, spec.seed))
    assert conductor.finished
    records = tuple(conductor.records[number] for number in sorted(conductor.records))
    assert trace(replace(search, records=records)) == trace(search)


def test_concurrent_trials_overlap_in_virtual_time(curves: Curves) -> None:
    spec = spec_for(algorithm="random", stopping={"name": "none"}, confirm={"top": 0})
    one, three = (play(spec, curves, max_concurrent=n) for n in (1, 3))
    assert {r.schedule for r in one.records} == {r.schedule for r in three.records}
    assert one.compute == three.compute == len(one.records)
    seconds = sum(r.reports[-1].metrics["train_seconds"] for r in one.records)
    assert one.seconds == pytest.approx(seconds)
    assert seconds / 3 <= three.seconds < seconds / 2


def test_compute_counts_every_step_trained(curves: Curves) -> None:
    search = play(spec_for(budget={"max_trials": 20}), curves)
    assert {r.state for r in search.records} == {State.COMPLETE, State.STOPPED}
    assert {r.purpose for r in search.records} >= {Purpose.BASELINE, Purpose.SEARCH, Purpose.CONFIRM}
    assert search.compute == sum(r.reports[-1].step for r in search.records) / 80


def test_a_budget_of_time_is_kept_on_the_virtual_clock(curves: Curves) -> None:
    spec = spec_for(budget={"max_hours": 0.02})  # 72 s; a trial takes 4 to 5
    search = play(spec, curves)
    assert 40 < search.seconds <= 72
    assert any(r.purpose is Purpose.CONFIRM for r in search.records)


# Quality


def found(spec: SearchSpec, curves: Curves, repeats: int) -> list[Repeat]:
    return list(repeat_search(spec, curves, range(repeats), 2))


def test_more_budget_does_not_worsen_the_regret(curves: Curves) -> None:
    spec = spec_for(stopping={"name": "none"}, confirm={"top": 0}, noise_floor={"seeds": 0}, audit=0.0)
    by_trials = [
        interval([f.regret for f in found(overridden(spec, {"budget.max_trials": trials}), curves, 10)])
        for trials in (3, 7, 21)
    ]
    # Beyond noise: outside of both 95 % intervals over repeats.
    assert all(more.low <= less.high for less, more in pairwise(by_trials))
    assert by_trials[-1].mean < by_trials[0].mean


def test_regret_is_measured_from_the_best_true_value(curves: Curves) -> None:
    for one in found(spec_for(), curves, 3):
        assert one.true_value in curves.true_S
        assert one.regret == one.true_value - min(curves.true_S) >= 0


def test_claims_on_sight_are_false_where_nothing_beats_the_baseline(tmp_path: Path) -> None:
    def preset_best(schedule: NoiseSchedule) -> float:
        return 10 if schedule == PRESETS["gokmen_constant"].schedule else 11

    write_toy(tmp_path / "toy.json", of=preset_best, noise=0.5)
    curves = Curves(read_table(tmp_path / "toy.json"))
    assert curves.true_S.argmin() == 0
    plain = {"stopping": {"name": "none"}, "noise_floor": {"seeds": 0}, "audit": 0.0}
    on_sight = found(spec_for(confirm={"top": 0}, **plain), curves, 10)
    assert sum(one.claims for one in on_sight) >= 5
    assert all(one.false == one.claims for one in on_sight)
    confirmed = found(spec_for(**plain), curves, 10)
    assert sum(one.false for one in confirmed) <= 1


# Other settings


MLP = "mlp"
ELSEWHERE = {"settings": [{"network": "mlp"}, {"training": {"total_steps": 160}}]}


def turned_round(schedule: NoiseSchedule) -> float:
    """Another order than `level`: what is best there is bad here."""
    return 1000 / level(schedule)


@pytest.fixture(scope="module")
def in_mlp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("settings")
    write_toy(folder / "digits/mlp.json", of=turned_round, count=FEWEST_ELSEWHERE, network="mlp")
    return folder


def test_curves_are_found_for_the_settings_in_which_they_were_recorded(in_mlp: Path) -> None:
    spec = spec_for(holds_at=ELSEWHERE)
    assert list(tables_elsewhere(spec, in_mlp)) == [MLP]
    assert tables_elsewhere(spec_for(), in_mlp) == {}
    assert tables_elsewhere(overridden(spec, {"objective.num_samples": 77}), in_mlp) == {}
    assert tables_elsewhere(overridden(spec, {"stopping": {"name": "asha", "rungs": [0.33]}}), in_mlp) == {}
    assert tables_elsewhere(overridden(spec, {"presets": ["ict"]}), in_mlp) == {}
    assert tables_elsewhere(spec, in_mlp / "digits") == {}


def test_other_settings_are_played_where_curves_were_recorded(curves: Curves, in_mlp: Path) -> None:
    spec = spec_for(holds_at={**ELSEWHERE, "shortlist": 8, "top": 1}, confirm={"top": 1})
    there = {name: Curves(table) for name, table in tables_elsewhere(spec, in_mlp).items()}
    seen: list[Leaderboard] = []

    def export(board: Leaderboard) -> Exported:
        seen.append(board)
        return exported(board)

    with_them = list(repeat_search(spec, curves, range(4), 2, export, there))
    assert {found.setting for board in seen for found in board.settings} == {MLP}
    assert all(2 <= len(board.shortlist) <= 8 for board in seen)
    assert {one.elsewhere.keys() == {MLP} for one in with_them} == {True}
    baseline = PRESETS["gokmen_constant"].schedule
    for one, board in zip(with_them, seen, strict=True):
        chosen = exported(board).row.record.schedule
        ratio = there[MLP].true_value(chosen) / there[MLP].true_value(baseline)
        assert one.elsewhere[MLP] == pytest.approx(ratio)
        assert not (one.holds and ratio > 1)
    without = list(repeat_search(spec, curves, range(4), 2))
    assert all(
        one.elsewhere == {} and one.compute < more.compute
        for one, more in zip(without, with_them, strict=True)
    )


def test_the_interquartile_mean_is_that_of_the_middle_half() -> None:
    assert iqm([1, 2, 3, 4, 5, 6, 7, 1000]) == (3 + 4 + 5 + 6) / 4
    found = interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    assert found.low < found.mean == 4.5 < found.high
    assert interval([2.0] * 8).text(1) == "2.0 [2.0, 2.0]"


# The command


@pytest.fixture
def command(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(json.dumps(SEARCH))
    return ["simulate", "toy.yaml", "--curves", str(path), "--repeats", "4"]


def test_simulate_shows_regret_against_compute(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*command, "--trials", "4", "8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("toy: random, asha, 4 searches on 40 recorded schedules, the best worth 9.95")
    assert [line.split()[0] for line in lines[2:4]] == ["4", "8"]
    assert all(len(line) <= 110 for line in lines)


def test_simulate_makes_the_page_of_what_was_played(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*command, "--trials", "4", "8", "--page", "played.html"]) == 0
    text = (tmp_path / "played.html").read_text(encoding="utf-8")
    assert text.count('<article id="search-') == 2  # one for each budget
    assert text.count("Played on recorded curves, nothing was trained: ") == 2
    assert "toy, simulated" in text
    assert cli.main([*command, "--page", "none/played.html"]) == 2
    assert "--page" in capsys.readouterr().err


def test_simulate_prints_the_same_as_json(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command, "--algorithm", "random", "--stopping", "none", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["algorithm"], result["stopping"]["name"]) == ({"name": "random"}, "none")
    (row,) = result["rows"]
    assert row["max_trials"] == 12
    assert row["regret"]["low"] <= row["regret"]["mean"] <= row["regret"]["high"]
    assert row["compute"]["mean"] > 12
    assert 0 <= row["false_claims"] <= row["claims"] <= 4


def test_a_rule_that_the_file_names_keeps_the_files_options(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*command, "--stopping", "asha", "--repeats", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stopping"]["rungs"] == [0.25, 0.5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repeats", "0"], "`1 <= --repeats <= 100000` must hold, but got 0"),
        (["--algorithm", "tpee"], "unknown search algorithm 'tpee' (did you mean tpe?)"),
        (["--concurrent", "0"], "resources.max_concurrent: must be >= 1, but got 0"),
        (["--trials", "0"], "budget.max_trials: must be >= 1, but got 0"),
        (["--curves", "none.json"], "none.json cannot be read as a table of curves"),
    ],
)
def test_bad_input_to_simulate_is_one_line(
    command: list[str], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*command, *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
