"""The policy of a search, driven without Ray: a toy trial in virtual time, a study in SQLite."""

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState

from search.algorithms.random import Random
from search.algorithms.same_rung_tpe import SameRungTPE
from search.evidence.race import RaceRules, finalists
from search.policy.conductor import MAX_LOST_WORKERS, Conductor
from search.policy.plan import Plan, TimeLimits
from search.policy.trials import CONFIRM_ANYWAY
from search.record import Purpose, Report, State, TrialRecord
from search.stopping.asha import ASHA
from search.stopping.none import NoStopping
from search.stopping_rule import Rung
from search.study.store import StudyStore
from spaces import PRESETS, SearchSpace

SPACE = SearchSpace.from_mapping(
    {"noise": {"lognormal": None, "polynomial": None}, "curriculum": {"exponential": None}}
)
PLAN = Plan(
    space=SPACE,
    baselines={name: PRESETS[name].schedule for name in ("ict", "gokmen_constant")},
    algorithm=Random(),
    stopping=ASHA(),
    total_steps=100,
    max_trials=18,
    race=RaceRules(top=2, rounds=(3,)),
    max_concurrent=2,
)


def url_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}"


def conductor_in(folder: Path, plan: Plan = PLAN, **options: object) -> Conductor:
    store = StudyStore.open(url_in(folder), "toy") or StudyStore.create(url_in(folder), "toy", {"search": {}})
    return Conductor(plan, store, **options)  # type: ignore[arg-type]


def toy_value(record: TrialRecord, step: int) -> float:
    """A learning curve that depends on the schedule, the seed and the step only."""
    noise = random.Random(f"{record.schedule.describe()}/{record.seed}").random()
    return (10 + 100 * noise) * 100 / step


class Killed(Exception):
    pass


def drive(
    conductor: Conductor,
    value: Callable[[TrialRecord, int], float] = toy_value,
    kill_after: int | None = None,
    order: list[tuple[int, int]] | None = None,
) -> None:
    """Run to the end with workers in virtual time; a trial's speed depends on its number."""
    running: list[tuple[float, int, int]] = []  # (time of the report, number, index of the rung)
    now, events = 0.0, 0

    def start() -> None:
        while (record := conductor.next()) is not None:
            done = len(record.reports)
            # An adopted trial answers at once with its history, as a worker does.
            heapq.heappush(running, (now, record.number, done - 1) if done else (now + 1, record.number, 0))

    start()
    while running:
        now, number, index = heapq.heappop(running)
        record = conductor.records[number]
        steps = conductor.plan.rungs[: index + 1]
        reports = [
            Report(step, value(record, step), 1000 * step, {"fd": value(record, step)}) for step in steps
        ]
        complete = index + 1 == len(conductor.plan.rungs)
        if order is not None:
            order.append((number, steps[-1]))
        over = conductor.observe(number, steps[-1], reports, "complete" if complete else None)
        events += 1
        if events == kill_after:
            raise Killed
        if not over:
            heapq.heappush(running, (now + 1 + (number % 3) / 10, number, index + 1))
        start()
    assert conductor.finished


def test_a_search_runs_baselines_then_proposals_then_confirmation(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path)
    drive(conductor)
    stages = Counter(record.purpose for record in conductor.records.values())
    assert stages == {Purpose.BASELINE: 2, Purpose.SEARCH: 16, Purpose.CONFIRM: 4 * 3}
    assert [conductor.records[n].preset for n in (0, 1)] == ["ict", "gokmen_constant"]


def test_the_study_says_what_happened(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path)
    drive(conductor)
    store = StudyStore.open(url_in(tmp_path), "toy")
    assert store is not None
    assert {record.number: record for record in store.records()}.keys() == conductor.records.keys()
    states = Counter()
    for trial, record in zip(store.load(), store.records(), strict=True):
        mine = conductor.records[record.number]
        assert (record.state, record.reports, record.schedule) == (mine.state, mine.reports, mine.schedule)
        steps = sorted(trial.intermediate_values)
        assert steps == [report.step for report in record.reports]
        assert trial.value == record.objective
        if record.state is State.STOPPED:
            assert trial.state is TrialState.PRUNED
            assert steps[-1] < PLAN.total_steps
        else:
            assert trial.state is TrialState.COMPLETE
            assert steps == [50, 75, 100]
        states[record.state] += 1
    assert states[State.STOPPED] > 0
    assert states[State.RUNNING] == 0


def test_baselines_and_replicates_are_never_stopped(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path)
    # Baselines are the worst of all, and still run to the end.
    drive(
        conductor, lambda record, step: 1e6 if record.purpose is Purpose.BASELINE else toy_value(record, step)
    )
    for record in conductor.records.values():
        if record.purpose is not Purpose.SEARCH:
            assert record.state is State.COMPLETE


def test_confirmation_uses_fresh_seeds_the_same_for_all_finalists(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path)
    drive(conductor)
    searched = {r.seed for r in conductor.records.values() if r.purpose is not Purpose.CONFIRM}
    seeds: dict[int | None, list[int]] = {}
    for record in conductor.records.values():
        if record.purpose is Purpose.CONFIRM:
            seeds.setdefault(record.replicate_of, []).append(record.seed)
    assert searched == {PLAN.seed}
    assert {tuple(sorted(own)) for own in seeds.values()} == {(1, 2, 3)}
    assert set(seeds) == {finalist.number for finalist in finalists(conductor.records.values(), PLAN.race)}
    best = min(
        (r for r in conductor.records.values() if r.purpose is Purpose.SEARCH and r.state is State.COMPLETE),
        key=lambda record: record.objective,
    )
    assert best.number in seeds
    assert {0, 1} <= set(seeds)  # both baselines


def test_free_slots_confirm_the_baseline_while_the_last_trials_run(tmp_path: Path) -> None:
    plan = replace(PLAN, max_trials=3, baselines={"ict": PRESETS["ict"].schedule})
    conductor = conductor_in(tmp_path, plan)
    ict = conductor.next()
    assert ict is not None
    for step in (50, 75):
        conductor.observe(ict.number, step, [Report(step, 1.0, 0)], None)
    conductor.next()
    conductor.observe(ict.number, 100, [Report(step, 1.0, 0) for step in (50, 75, 100)], "complete")
    second = conductor.next()
    assert second is not None
    assert second.purpose is Purpose.SEARCH
    conductor.observe(second.number, 50, [Report(50, 2.0, 0)], "failed", "boom")
    filler = conductor.next()
    assert filler is not None
    assert (filler.purpose, filler.replicate_of, filler.seed) == (Purpose.CONFIRM, ict.number, 1)


@pytest.mark.parametrize("kill_after", [1, 2, 5, 9, 14, 20, 30, 40])
def test_a_killed_driver_is_continued_without_loss_or_doubles(tmp_path: Path, kill_after: int) -> None:
    first = conductor_in(tmp_path)
    with pytest.raises(Killed):
        drive(first, kill_after=kill_after)
    open_before = {r.number for r in first.records.values() if r.state is State.RUNNING}
    second = conductor_in(tmp_path)
    assert {r.number for r in second.records.values() if r.state is State.RUNNING} == open_before
    drive(second)
    stages = Counter(record.purpose for record in second.records.values())
    assert stages == {Purpose.BASELINE: 2, Purpose.SEARCH: 16, Purpose.CONFIRM: 12}
    assert not any(record.state is State.RUNNING for record in second.records.values())
    for record in second.records.values():
        steps = [report.step for report in record.reports]
        assert steps == sorted(set(steps))
        assert [r.metrics for r in record.reports] == [{"fd": toy_value(record, step)} for step in steps]


def test_a_report_that_only_the_checkpoint_knows_is_taken_and_judged(tmp_path: Path) -> None:
    plan = replace(PLAN, baselines={}, max_concurrent=3)
    first = conductor_in(tmp_path, plan)
    good, bad = first.next(), first.next()
    assert good is not None
    assert bad is not None
    first.observe(good.number, 50, [Report(50, 1.0, 0)], None)
    second = conductor_in(tmp_path, plan)  # the first driver died before it heard of bad's report
    assert [second.next().number, second.next().number] == [good.number, bad.number]  # type: ignore[union-attr]
    assert second.observe(bad.number, 50, [Report(50, 99.0, 0)], None)
    assert second.records[bad.number].state is State.STOPPED


def test_a_decision_that_died_with_the_driver_is_taken_again(tmp_path: Path) -> None:
    plan = replace(PLAN, baselines={}, max_concurrent=3)
    first = conductor_in(tmp_path, plan)
    good, bad = first.next(), first.next()
    assert good is not None
    assert bad is not None
    first.observe(good.number, 50, [Report(50, 1.0, 0)], None)
    first.trials.report(bad.number, Report(50, 99.0, 0))  # written, then killed
    second = conductor_in(tmp_path, plan)
    second.next(), second.next()
    assert second.observe(bad.number, 50, [Report(50, 99.0, 0)], None)
    assert second.records[bad.number].state is State.STOPPED


def test_diverged_is_a_result_and_failed_is_none(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path, replace(PLAN, baselines={}, max_concurrent=3))
    diverged, failed = conductor.next(), conductor.next()
    assert diverged is not None
    assert failed is not None
    assert conductor.observe(diverged.number, 20, [Report(50, 1e9, 0)], "diverged")
    assert conductor.observe(failed.number, 0, [], "failed", "RuntimeError: boom")
    trials = conductor.trials.load()
    assert (trials[diverged.number].state, trials[diverged.number].value) == (TrialState.COMPLETE, 1e9)
    assert (trials[failed.number].state, trials[failed.number].value) == (TrialState.FAIL, None)
    assert conductor.records[failed.number].reason == "RuntimeError: boom"
    told = conductor.proposals.told
    assert told[diverged.number].intermediate_values == {50: 1e9, 75: 1e9, 100: 1e9}
    assert told[failed.number].state is TrialState.FAIL


def test_confirmations_are_no_observations_for_the_sampler(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path)
    drive(conductor)
    for trial, record in zip(conductor.proposals.told, conductor.records.values(), strict=True):
        if record.purpose is Purpose.CONFIRM:
            assert trial.state is TrialState.FAIL
        elif record.state is State.STOPPED:
            assert trial.state is TrialState.PRUNED


def test_a_continued_search_proposes_what_the_uninterrupted_one_would(tmp_path: Path) -> None:
    plan = replace(PLAN, algorithm=SameRungTPE(num_startup_trials=3, min_at_rung=3), max_concurrent=1)
    whole = conductor_in(tmp_path / "whole", plan)
    drive(whole)
    first = conductor_in(tmp_path / "parts", plan)
    with pytest.raises(Killed):
        drive(first, kill_after=17)
    second = conductor_in(tmp_path / "parts", plan)
    drive(second)
    assert [r.schedule for r in second.records.values()] == [r.schedule for r in whole.records.values()]


def test_a_trial_that_cannot_be_run_is_failed_and_the_search_goes_on(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path, replace(PLAN, stopping=NoStopping()))
    for _ in range(MAX_LOST_WORKERS + 1):
        first = conductor.next()
        assert first is not None and first.number == 0
        conductor.lost(first.number)
    assert conductor.records[0].state is State.FAILED
    drive(conductor)


def test_a_rung_that_only_the_database_kept_is_not_lost(tmp_path: Path) -> None:
    """The newest checkpoint was damaged: the worker knows one report less than the database, and repeats it."""
    plan = replace(PLAN, baselines={}, stopping=NoStopping(rungs=(0.5, 0.75)))
    first = conductor_in(tmp_path, plan)
    trial = first.next()
    assert trial is not None
    reports = [Report(step, 10.0 - step / 50, step, {"fd": 10.0 - step / 50}) for step in (50, 75, 100)]
    first.observe(trial.number, 75, reports[:2], None)
    second = conductor_in(tmp_path, plan)
    second.next()
    assert not second.observe(trial.number, 50, reports[:1], None)
    assert [report.step for report in second.records[trial.number].reports] == [50, 75]
    assert not second.observe(trial.number, 75, reports[:2], None)
    assert second.observe(trial.number, 100, reports, "complete")
    assert second.records[trial.number].reports == tuple(reports)
    assert second.trials.records()[trial.number].reports == tuple(reports)


def test_a_search_with_more_trials_than_it_may_have_is_finished(tmp_path: Path) -> None:
    drive(conductor_in(tmp_path))
    assert conductor_in(tmp_path, replace(PLAN, max_trials=5)).finished


NOISY = replace(PLAN, noise_seeds=3, race=RaceRules(top=2, rounds=(2, 4)))


def test_the_noise_floor_is_measured_first_and_counts_in_the_confirmation(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path, NOISY)
    drive(conductor)
    floor = [r for r in conductor.records.values() if r.purpose is Purpose.NOISE]
    assert [(r.replicate_of, r.seed) for r in floor] == [(0, 1), (0, 2), (0, 3)]
    first_proposal = min(r.number for r in conductor.records.values() if r.purpose is Purpose.SEARCH)
    assert max(r.number for r in floor) < first_proposal
    replicates = [(r.replicate_of, r.seed) for r in conductor.records.values() if r.replicate_of is not None]
    assert len(set(replicates)) == len(replicates)
    assert conductor.noise[100].degrees >= 3


def test_rules_hear_of_the_noise_and_of_earlier_rungs(tmp_path: Path) -> None:
    heard: list[Rung] = []

    class Listening(NoStopping):
        def stops(self, number: int, rung: Rung) -> bool:
            heard.append(rung)
            return False

    drive(conductor_in(tmp_path, replace(NOISY, stopping=Listening(rungs=(0.5, 0.75)), max_concurrent=1)))
    assert all(rung.noise is not None for rung in heard)
    assert {step for rung in heard for step in rung.earlier} == {50}
    assert all(not rung.earlier for rung in heard if rung.step == 50)


def test_an_audited_trial_runs_to_its_end_and_does_not_move_the_cut(tmp_path: Path) -> None:
    conductor = conductor_in(tmp_path, replace(PLAN, audit_share=1.0))
    drive(conductor)
    searched = [r for r in conductor.records.values() if r.purpose is Purpose.SEARCH]
    audited = [r for r in searched if r.condemned_at is not None]
    assert len(audited) >= 3
    assert all(r.state is State.COMPLETE for r in searched)
    for record in audited:
        for step in PLAN.rungs:
            assert (record.number in conductor.agenda.ledger.rung(step).values) == (
                step <= (record.condemned_at or 0)
            )
    again = conductor_in(tmp_path, replace(PLAN, audit_share=1.0))
    ledger = again.agenda.ledger
    assert (ledger.num_condemned, ledger.num_audited) == (len(audited), len(audited))
    assert {n: r.condemned_at for n, r in again.records.items()} == {
        n: r.condemned_at for n, r in conductor.records.items()
    }


def drive_in_time(conductor: Conductor, now: list[float], seconds_per_step: float = 1.0) -> None:
    """As `drive`, one trial after another, with a clock."""
    while (record := conductor.next()) is not None:
        for index, step in enumerate(conductor.plan.rungs):
            now[0] += seconds_per_step * (step - ([0, *conductor.plan.rungs][index]))
            reports = [Report(s, toy_value(record, s), 0) for s in conductor.plan.rungs[: index + 1]]
            complete = step == conductor.plan.total_steps
            if conductor.observe(record.number, step, reports, "complete" if complete else None):
                break


@pytest.mark.parametrize("limit", ["hours", "cpu_hours", "gpu_hours"])
def test_a_budget_of_time_is_kept_and_leaves_room_to_confirm(tmp_path: Path, limit: str) -> None:
    seconds = 3000.0  # of a trial: 100; a race of 2 + 2 finalists on 3 seeds takes 1200 at most, 30 % are 900
    limits = TimeLimits(**{limit: seconds / 3600}, cpu=1.0, gpu=1.0)  # type: ignore[arg-type]
    plan = replace(PLAN, max_trials=None, limits=limits, max_concurrent=1)
    now = [0.0]
    conductor = conductor_in(tmp_path, plan, clock=lambda: now[0])
    drive_in_time(conductor, now)
    assert conductor.finished
    assert now[0] <= seconds
    assert conductor.spending.wall == conductor.spending.trials == now[0]
    stages = Counter(record.purpose for record in conductor.records.values())
    assert stages[Purpose.SEARCH] >= 15
    assert stages[Purpose.CONFIRM] >= 9
    # A new driver knows what was spent, and that it was enough.
    again = conductor_in(tmp_path, plan, clock=lambda: now[0] + 1e6)
    assert again.finished
    assert again.spending.trials == conductor.spending.trials


def test_a_rung_that_does_not_fit_into_the_budget_is_not_started(tmp_path: Path) -> None:
    plan = replace(
        PLAN,
        baselines={"ict": PRESETS["ict"].schedule},
        race=None,
        max_trials=None,
        stopping=NoStopping(rungs=(0.5,)),
        limits=TimeLimits(hours=160 / 3600),
        max_concurrent=1,
    )
    now = [0.0]
    conductor = conductor_in(tmp_path, plan, clock=lambda: now[0])
    drive_in_time(conductor, now)
    assert now[0] == 150
    last = conductor.records[1]
    assert (last.state, last.reason) == (State.STOPPED, "the rest does not fit into the budget")
    assert conductor.finished


def timed(folder: Path, limit: str, seconds: float, **options: object) -> tuple[Conductor, list[float]]:
    """A search with a budget of time, driven to its end with all slots busy; and the time when it ended."""
    plan = replace(PLAN, max_trials=None, limits=TimeLimits(**{limit: seconds / 3600}), **options)  # type: ignore[arg-type]
    now = [0.0]
    conductor = conductor_in(folder, plan, clock=lambda: now[0])
    running: list[tuple[float, int, int]] = []
    rungs = (0, *plan.rungs)
    while True:
        while (record := conductor.next()) is not None:
            heapq.heappush(running, (now[0] + rungs[1], record.number, 1))
        if not running:
            return conductor, now
        now[0], number, index = heapq.heappop(running)
        record = conductor.records[number]
        reports = [Report(s, toy_value(record, s), 0) for s in rungs[1 : index + 1]]
        complete = index + 1 == len(rungs)
        if not conductor.observe(number, rungs[index], reports, "complete" if complete else None):
            heapq.heappush(running, (now[0] + rungs[index + 1] - rungs[index], number, index + 1))


@pytest.mark.parametrize("slots", [1, 3, 8, 16])
@pytest.mark.parametrize("seconds", [250.0, 700.0, 1400.0])
def test_no_budget_of_wall_clock_is_overrun_however_many_slots(
    tmp_path: Path, slots: int, seconds: float
) -> None:
    """A trial takes 100 s. Before anything is known, the first ones are started whatever the budget."""
    conductor, now = timed(tmp_path, "hours", seconds, max_concurrent=slots, noise_seeds=3)
    assert conductor.finished
    assert now[0] <= seconds
    if seconds == 1400.0 and slots > 1:  # room for baselines, noise floor, proposals and the whole race
        assert conductor.standing.is_decided and not conductor.standing.missing
        assert any(record.purpose is Purpose.SEARCH for record in conductor.records.values())


def test_baselines_and_the_noise_floor_keep_to_the_budget_too(tmp_path: Path) -> None:
    conductor, now = timed(tmp_path, "hours", 150.0, max_concurrent=1, noise_seeds=3)
    assert now[0] == 100.0
    assert [record.purpose for record in conductor.records.values()] == [Purpose.BASELINE]


def test_a_killed_driver_has_kept_what_was_spent_on_trials_that_are_open(tmp_path: Path) -> None:
    plan = replace(PLAN, stopping=NoStopping(rungs=(0.5,)))
    now = [0.0]
    first = conductor_in(tmp_path, plan, clock=lambda: now[0])
    trial = first.next()
    assert trial is not None and first.next() is not None
    now[0] = 3000.0
    first.observe(trial.number, 50, [Report(50, 1.0, 0)], None)
    again = conductor_in(tmp_path, plan, clock=lambda: 1e6)
    assert again.spending.trials == 6000.0


def test_a_confirmation_that_is_asked_for_is_done_whatever_was_spent(tmp_path: Path) -> None:
    conductor, now = timed(tmp_path, "hours", 1400.0, max_concurrent=3)
    more = replace(conductor.plan, race=RaceRules(top=2, rounds=(3, 9)))
    assert conductor_in(tmp_path, more, clock=lambda: now[0]).finished
    conductor.trials.set_header(CONFIRM_ANYWAY, True)
    asked = conductor_in(tmp_path, more, clock=lambda: now[0])
    assert not asked.finished
    drive_in_time(asked, now)
    assert asked.standing.is_decided and not asked.standing.missing


def test_an_extended_search_does_not_forget_its_winner(tmp_path: Path) -> None:
    """The next proposals look better than they are."""
    drive(conductor_in(tmp_path))
    before = conductor_in(tmp_path)
    winners = {n for n in before.standing.contenders if before.records[n].purpose is Purpose.SEARCH}
    number_of_old = len(before.records)

    def lucky(record: TrialRecord, step: int) -> float:
        is_new = record.number >= number_of_old and record.purpose is Purpose.SEARCH
        return 1.0 if is_new else toy_value(record, step)

    more = conductor_in(tmp_path, replace(PLAN, max_trials=24))
    drive(more, lucky)
    assert winners <= more.standing.finalists
    assert winners <= more.standing.contenders


def test_an_extended_search_tells_the_sampler_what_confirmation_came_to(tmp_path: Path) -> None:
    before = conductor_in(tmp_path)
    drive(before)
    finalist = max(before.standing.finalists)
    values = [
        record.objective
        for record in before.records.values()
        if finalist in (record.number, record.replicate_of) and record.objective is not None
    ]
    assert len(values) == 4
    told = conductor_in(tmp_path, replace(PLAN, max_trials=24)).proposals.told
    assert told[finalist].value == pytest.approx(math.prod(values) ** (1 / 4))
    assert told[finalist].intermediate_values[100] == told[finalist].value
    others = [
        record
        for record in before.records.values()
        if record.purpose is Purpose.SEARCH and record.number not in before.standing.finalists
    ]
    for record in others:
        assert told[record.number].intermediate_values == {r.step: r.objective for r in record.reports}


def test_an_extended_search_goes_on_with_what_it_has(tmp_path: Path) -> None:
    drive(conductor_in(tmp_path, NOISY))
    before = conductor_in(tmp_path, NOISY)
    assert before.finished
    more = conductor_in(tmp_path, replace(NOISY, max_trials=26))
    assert not more.finished
    drive(more)
    stages = Counter(record.purpose for record in more.records.values())
    assert stages[Purpose.SEARCH] == 24
    assert stages[Purpose.NOISE] == 3
    assert all(more.records[number].reports == record.reports for number, record in before.records.items())


ONE_SCHEDULE = SearchSpace.from_mapping(
    {"noise": {"uniform": None}, "grid": {"rho": 7.0}, "curriculum": {"constant": {"levels": 20}}}
)
TWO_NAMES = SearchSpace.from_mapping(
    {
        "noise": {"uniform": None, "polynomial": {"degree": {"choices": [1.0, 4.0]}}},
        "grid": {"rho": 7.0},
        "curriculum": {"constant": {"levels": {"choices": [20, 40]}}},
    }
)


def proposed(conductor: Conductor) -> list[str]:
    return [r.schedule.describe() for r in conductor.records.values() if r.purpose is Purpose.SEARCH]


def test_a_schedule_that_was_trained_is_not_trained_again_under_another_name(tmp_path: Path) -> None:
    plan = replace(PLAN, space=TWO_NAMES, baselines={}, max_trials=4, stopping=NoStopping(), race=None)
    conductor = conductor_in(tmp_path, plan)
    drive(conductor)
    levels_and_degree = {text.replace("uniform", "polynomial(degree=1)") for text in proposed(conductor)}
    assert len(levels_and_degree) == 4  # uniform is polynomial(1): of six parameter sets four schedules


def test_where_there_is_no_other_schedule_the_search_ends(tmp_path: Path) -> None:
    plan = replace(PLAN, space=ONE_SCHEDULE, baselines={}, max_trials=3, race=None)
    conductor = conductor_in(tmp_path, plan)
    drive(conductor)
    assert len(proposed(conductor)) == 1
    assert conductor_in(tmp_path, plan).finished
    plan = replace(plan, space=TWO_NAMES, max_trials=50)
    other = Conductor(plan, StudyStore.create(url_in(tmp_path), "other", {"search": {}}))
    drive(other)
    assert len(proposed(other)) == len(set(proposed(other))) == 4  # all there are


def test_equal_schedules_are_trained_again_if_the_search_file_says_so(tmp_path: Path) -> None:
    plan = replace(PLAN, space=ONE_SCHEDULE, baselines={}, max_trials=3, race=None, equal_schedules="train")
    conductor = conductor_in(tmp_path, plan)
    drive(conductor)
    assert len(proposed(conductor)) == 3


def test_an_equal_proposal_becomes_a_replicate_if_the_search_file_says_so(tmp_path: Path) -> None:
    plan = replace(
        PLAN,
        space=ONE_SCHEDULE,
        baselines={},
        max_trials=3,
        max_concurrent=1,
        stopping=NoStopping(),
        equal_schedules="replicate",
    )
    conductor = conductor_in(tmp_path, plan)
    assert conductor.num_trials(Purpose.SEARCH) == conductor.num_trials(Purpose.REPLICATE) == 3
    drive(conductor)
    replicates = [r for r in conductor.records.values() if r.purpose is Purpose.REPLICATE]
    assert [(r.replicate_of, r.seed) for r in replicates] == [(0, 1), (0, 2)]
    assert len(proposed(conductor)) == 1
    # The confirmation uses them: of three seeds one is missing.
    assert [(r.replicate_of, r.seed) for r in conductor.records.values() if r.purpose is Purpose.CONFIRM] == [
        (0, 3)
    ]
