"""The parts of a search's policy, each asked by itself: budget, open trials, ledger, agenda, verdicts, next trial."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from optuna.trial import TrialState

from search.algorithms.random import Random
from search.decision import Decision
from search.evidence.race import RaceRules
from search.policy.agenda import Agenda
from search.policy.budget import LATER, Budget, Spending, TimeNeed
from search.policy.conductor import MAX_LOST_WORKERS, Conductor
from search.policy.equal_schedules import KnownSchedules
from search.policy.ledger import Ledger
from search.policy.next_trial import NextTrial
from search.policy.open_trials import OpenTrials
from search.policy.plan import Plan, TimeLimits
from search.policy.proposals import Proposals
from search.policy.trials import KeptTrial
from search.policy.verdict import End, Judge, Retry, RunOn, verdict_of
from search.record import Purpose, Report, State, TrialRecord
from search.simulator.trials_in_memory import TrialsInMemory
from search.stopping.asha import ASHA
from search.stopping.none import NoStopping
from spaces import PRESETS, SearchSpace
from spaces.equality import equal
from tests.records import record, replicates
from trainable.task import OWN

PLAN = Plan(
    space=SearchSpace.from_mapping({"noise": {"lognormal": None}, "curriculum": {"exponential": None}}),
    baselines={name: PRESETS[name].schedule for name in ("ict", "gokmen_constant")},
    algorithm=Random(),
    stopping=ASHA(rungs=(0.5, 0.75)),
    total_steps=100,
    max_trials=6,
    noise_seeds=2,
    race=RaceRules(top=1, baselines=1, rounds=(3,)),
    max_concurrent=2,
)


def baseline(number: int, *values: float, preset: str = "ict", **fields: object) -> TrialRecord:
    return record(number, *values, preset=preset, purpose=Purpose.BASELINE, **fields)


def ledger_of(*records: TrialRecord, plan: Plan = PLAN) -> Ledger:
    ledger = Ledger(plan)
    for each in records:
        ledger.keep(each)
    return ledger


def agenda_of(*records: TrialRecord, plan: Plan = PLAN, header: Mapping[str, object] | None = None) -> Agenda:
    return Agenda.of(plan, [KeptTrial(each, {}) for each in records], header or {})


# Budget


def test_time_counts_while_trials_are_open_and_once_for_each() -> None:
    spending = Spending()
    assert spending.to_dict() == {"wall_seconds": 0.0, "trial_seconds": 0.0, "steps": 0}
    for now, num_open in (
        (100.0, 3),
        (110.0, 0),
        (115.0, 1),
        (125.0, 3),
        (120.0, 3),
    ):  # a clock that is set back
        spending.tick(now, {OWN: num_open} if num_open else {})
    spending.steps = 7
    assert spending.to_dict() == {"wall_seconds": 15.0, "trial_seconds": 35.0, "steps": 7}


def test_the_latest_of_what_was_kept_counts() -> None:
    spending = Spending(wall=5.0, trials=10.0, steps=20)
    spending.restore({})
    spending.restore({"wall_seconds": 4.0, "trial_seconds": 9.0, "steps": 30})
    assert (spending.wall, spending.trials, spending.steps) == (5.0, 10.0, 20)
    spending.restore({"wall_seconds": 6.0, "trial_seconds": 10.0, "steps": 30})
    assert (spending.wall, spending.trials, spending.steps) == (6.0, 10.0, 30)


def test_a_slot_costs_the_same_however_many_trials_share_it_later() -> None:
    spending = Spending()
    spending.tick(0.0, {OWN: 8}, stack=8)
    spending.tick(1800.0, {OWN: 8, "unet": 8}, stack=8)
    assert (spending.trials, spending.slots) == (2 * 8 * 1800.0, 2 * 1800.0)
    again = Spending()
    again.restore(spending.to_dict())
    assert again == replace(spending, _last=None) and again.elsewhere["unet"].slots == 1800.0
    for stack in (1, 4, 8):
        limits = TimeLimits(cpu_hours=1.5, stack=stack)
        assert again.fits(limits, TimeNeed(trials=1700.0 * stack), [])
        assert not again.fits(limits, TimeNeed(trials=1900.0 * stack), [])


def test_steps_take_as_long_as_those_before() -> None:
    assert Spending().seconds_for(20) == 0.0
    assert Spending(trials=100.0, steps=50).seconds_for(20) == 40.0
    assert Spending(trials=3.0, steps=1).seconds_for(2) == 6.0


@pytest.mark.parametrize(
    ("limits", "whole"),
    [
        (TimeLimits(hours=1.0), 3600.0),
        (TimeLimits(cpu_hours=1.0, cpu=2.0), 1800.0),
        (TimeLimits(gpu_hours=1.0, gpu=0.5), 7200.0),
        (TimeLimits(gpu_hours=1.0, gpu=1.5), 2400.0),
    ],
)
def test_a_limit_is_used_to_its_end_with_room_for_the_confirmation(limits: TimeLimits, whole: float) -> None:
    """At most 30 % of a limit are kept for the confirmation."""

    def fits(spent: float, needed: float, kept: float) -> bool:
        spending = Spending(wall=spent, trials=spent, slots=spent, steps=1)
        return spending.fits(limits, TimeNeed(wall=needed, trials=needed), [TimeNeed(wall=kept, trials=kept)])

    assert fits(whole - 10, 10, 0) and not fits(whole - 10, 10.5, 0)
    assert not fits(whole, 0, 0)
    assert fits(100, whole - 150, 50) and not fits(100, whole - 150, 51)
    assert fits(100, 0.7 * whole - 101, 10 * whole) and not fits(100, 0.7 * whole - 99, 10 * whole)


def test_what_has_no_limit_or_costs_nothing_fits() -> None:
    spending, need = Spending(wall=1e9, trials=1e9, slots=1e9, steps=1), TimeNeed(wall=1e9, trials=1e9)
    assert spending.fits(TimeLimits(), need, [need])
    assert spending.fits(TimeLimits(gpu_hours=1.0, gpu=0.0), need, [need])


def budget_after(plan: Plan, *, wall: float, trials: float, steps: int) -> Budget:
    budget = Budget(plan)
    budget.spending.wall, budget.spending.steps = wall, steps
    budget.spending.trials = budget.spending.slots = trials
    return budget


def test_one_trial_has_one_slot_and_open_ones_share_all() -> None:
    plan = replace(PLAN, limits=TimeLimits(hours=1.0))
    budget = budget_after(plan, wall=3500.0, trials=100.0, steps=100)  # a second for each step, 100 are left
    assert budget.affords(100) and not budget.affords(101)
    assert budget.affords(50, open_steps=150) and not budget.affords(50, open_steps=151)
    plan = replace(plan, limits=TimeLimits(cpu_hours=1.0))
    budget = budget_after(plan, wall=0.0, trials=3500.0, steps=3500)
    assert budget.affords(50, open_steps=50) and not budget.affords(50, open_steps=51)


@pytest.mark.parametrize(("limits", "kept"), [(TimeLimits(hours=1.0), 300), (TimeLimits(cpu_hours=1.0), 600)])
def test_the_whole_race_is_kept_back_where_it_is_cheap(limits: TimeLimits, kept: int) -> None:
    """Two finalists on three seeds are six trials of 100 s, in two slots three turns."""
    budget = budget_after(replace(PLAN, limits=limits), wall=1000.0, trials=1000.0, steps=1000)
    left = 2600
    assert budget.affords(left) and not budget.affords(left + 1)
    assert budget.affords(left - kept, reserve=LATER) and not budget.affords(left - kept + 1, reserve=LATER)
    budget = budget_after(replace(PLAN, limits=limits, race=None), wall=1000.0, trials=1000.0, steps=1000)
    assert budget.affords(left, reserve=LATER)


# Open trials


def test_open_trials_may_still_use_steps_up_to_their_next_rung_or_the_end() -> None:
    trials = OpenTrials(PLAN, {})
    assert (len(trials), trials.steps_to_come()) == (0, 0)
    trials.begin(record(3), is_new=True)
    trials.begin(baseline(4), is_new=True)
    assert (len(trials), trials.steps_to_come()) == (2, 50 + 100)
    assert (trials.advance(3, 20), trials.advance(3, 50), trials.advance(3, 40)) == (20, 30, 0)
    assert trials.advance(4, 60) == 60
    assert trials.steps_to_come() == 25 + 40
    assert (trials.steps_to_come(but=3), trials.steps_to_come(but=4)) == (40, 25)
    trials.advance(3, 100)
    assert trials.steps_to_come(but=4) == 0
    trials.end(4)
    trials.end(4)
    assert (len(trials), trials.steps_to_come()) == (1, 0)
    trials.begin(baseline(4), is_new=True)
    assert trials.steps_to_come() == 100


def test_trials_that_were_left_come_first_and_were_paid_for() -> None:
    trials = OpenTrials(PLAN, {7: record(7), 2: record(2)})
    assert len(trials) == 0
    assert [trials.next_waiting() for _ in range(3)] == [2, 7, None]
    trials.begin(record(2), is_new=False)
    assert trials.steps_to_come() == 50
    assert trials.advance(2, 50) == 0
    assert trials.advance(2, 60) == 10
    assert [trials.take_undecided(number) for number in (2, 2, 7, 3)] == [True, False, True, False]
    trials.wait(2)
    assert (len(trials), trials.next_waiting(), trials.next_waiting()) == (0, 2, None)
    trials.begin(record(2), is_new=False)
    assert trials.advance(2, 30) == 0  # it does again what was lost


# Ledger


def test_the_ledger_counts_what_was_started_and_what_runs() -> None:
    running = record(1)
    ledger = ledger_of(baseline(0, 5.0), running, *replicates(0, [5.0, 6.0], first=2, purpose=Purpose.NOISE))
    ledger.keep(replace(running, reports=(Report(50, 3.0, 0),)))
    assert [ledger.num_started(purpose) for purpose in Purpose] == [
        {Purpose.BASELINE: 1, Purpose.SEARCH: 1, Purpose.NOISE: 2}.get(purpose, 0) for purpose in Purpose
    ]
    assert ledger.num_started(Purpose.SEARCH, Purpose.NOISE) == 3
    assert ledger.is_running(Purpose.SEARCH, Purpose.BASELINE) and not ledger.is_running(Purpose.BASELINE)
    assert ledger.baseline("ict") == ledger.records[0] and ledger.baseline("gokmen_constant") is None
    assert ledger.replicate_seeds(0) == {1, 2} and ledger.replicate_seeds(1) == set()
    ledger.keep(record(1, (50, 3.0)))
    assert not ledger.running and not ledger.is_running(Purpose.SEARCH)


def test_the_ledger_counts_the_condemned_once_whatever_becomes_of_them() -> None:
    ledger = ledger_of(
        record(0, (50, 9.0), state=State.STOPPED),
        record(1, (50, 9.0), state=State.STOPPED, reason="out of budget"),
        baseline(2, 9.0, condemned_at=50),
    )
    assert (ledger.num_condemned, ledger.num_audited) == (1, 0)
    for state, values in ((State.RUNNING, ()), (State.RUNNING, (50,)), (State.COMPLETE, (50, 75, 100))):
        audited = record(
            3, *((step, 8.0) for step in values), state=state, condemned_at=50 if values else None
        )
        ledger.keep(audited)
        ledger.keep(audited)
    assert (ledger.num_condemned, ledger.num_audited) == (2, 1)


def test_a_rung_has_all_values_but_those_of_replicates_and_of_trials_condemned_before() -> None:
    ledger = ledger_of(
        baseline(0, (50, 9.0), (75, 6.0), (100, 5.0)),
        record(1, (50, 8.0), (75, 7.0), (100, 4.0), condemned_at=75),
        *replicates(0, [5.1, 4.9], first=2),
    )
    rung = ledger.rung(75)
    assert rung.step == 75
    assert dict(rung.values) == {0: 6.0, 1: 7.0}
    assert {step: dict(values) for step, values in rung.earlier.items()} == {50: {0: 9.0, 1: 8.0}}
    assert rung.noise is None
    assert dict(ledger.rung(100).values) == {0: 5.0}
    measured = ledger.rung(100).noise
    assert measured is not None and 0 < measured < 0.1
    ledger.keep(replicates(0, [50.0], first=4)[0])
    assert (ledger.rung(100).noise or 0) > 0.5


# Agenda


def test_the_agenda_goes_through_the_purposes() -> None:
    assert agenda_of().next_baseline() == "ict"
    assert agenda_of().next_floor() is None
    first = baseline(0, 5.0)
    agenda = agenda_of(first)
    assert agenda.next_baseline() == "gokmen_constant"
    assert agenda.next_floor() == (first, 1)
    both = (first, baseline(1, 6.0, preset="gokmen_constant"))
    floor = replicates(0, [5.0, 5.1], first=2, purpose=Purpose.NOISE)
    agenda = agenda_of(*both, floor[0])
    assert (agenda.next_baseline(), agenda.next_floor()) == (None, (first, 2))
    assert agenda_of(*both, *floor).next_floor() is None
    assert agenda_of(*both, *floor, record(4, 3.0), record(5, 4.0), record(6, 4.5)).may_propose()
    proposals = [record(number, float(number)) for number in range(4, 8)]
    agenda = agenda_of(*both, *floor, *proposals)
    assert not agenda.may_propose() and not agenda.finished
    found = agenda.next_confirmation()
    assert found is not None and found[0].number in (0, 4)


def test_a_replicate_takes_the_place_of_a_proposal() -> None:
    both = (baseline(0, 5.0), baseline(1, 6.0, preset="gokmen_constant"))
    replicate = record(5, 3.0, purpose=Purpose.REPLICATE, replicate_of=2)
    agenda = agenda_of(*both, *(record(number, 3.0) for number in (2, 3, 4)), replicate)
    assert not agenda.may_propose()
    assert agenda.num_trials(Purpose.SEARCH) == agenda.num_trials(Purpose.REPLICATE) == 4


def test_a_closed_search_starts_nothing_but_its_confirmation() -> None:
    because = Decision("closed", "spent")
    first = baseline(0, 5.0)
    agenda = agenda_of(first, record(1, 4.0))
    agenda.close(because)
    assert (agenda.is_closed, agenda.closed_because) == (True, because)
    assert (agenda.next_baseline(), agenda.next_floor(), agenda.may_propose()) == (None, None, False)
    assert agenda.next_confirmation() is not None and not agenda.finished
    again = agenda_of(first, header={"budget_spent": True, "closed": because.to_dict()})
    assert (again.is_closed, again.closed_because) == (True, because)
    assert agenda_of(first, header={"closed": because.to_dict()}).closed_because is None
    assert agenda_of(first, header={"budget_spent": True}).closed_because is None
    alone = agenda_of(record(0, 4.0), plan=replace(PLAN, baselines={}, race=None))
    assert not alone.finished
    alone.close(because)
    assert alone.finished
    running = agenda_of(record(0), plan=replace(PLAN, baselines={}, race=None))
    running.close(because)
    assert not running.finished


def test_nothing_is_confirmed_while_a_baseline_runs_or_where_nothing_is_to_be() -> None:
    proposals = [record(number, 4.0) for number in range(2, 6)]
    runs = agenda_of(baseline(0, 5.0), baseline(1, preset="gokmen_constant"), *proposals)
    assert runs.next_confirmation() is None
    both = (baseline(0, 5.0), baseline(1, 6.0, preset="gokmen_constant"))
    assert agenda_of(*both, *proposals).next_confirmation() is not None
    assert agenda_of(*both, *proposals, plan=replace(PLAN, race=None)).next_confirmation() is None
    last_runs = agenda_of(*both, *proposals[:-1], record(5))
    found = last_runs.next_confirmation()
    assert found is not None and found[0].purpose is Purpose.BASELINE


def test_a_confirmation_that_the_budget_does_not_cover_is_done_if_it_is_asked_for() -> None:
    plan = replace(PLAN, limits=TimeLimits(hours=1.0))
    spent = {"wall_seconds": 3600.0, "trial_seconds": 3600.0, "steps": 100}
    records = (baseline(0, 5.0), record(1, 4.0))
    closed = {"budget_spent": True, "spent": spent}
    assert agenda_of(*records, plan=plan, header=closed).next_confirmation() is None
    asked = agenda_of(*records, plan=plan, header={**closed, "confirm_anyway": True})
    assert asked.next_confirmation() is not None


def test_what_the_last_trial_to_end_had_spent_is_known_again() -> None:
    early, late = ({"wall_seconds": s, "trial_seconds": 2 * s, "steps": int(s)} for s in (10.0, 20.0))
    kept = [
        KeptTrial(record(0, 4.0), {}, late),
        KeptTrial(record(1, 4.0), {}, early),
        KeptTrial(record(2), {}),
    ]
    assert Agenda.of(PLAN, kept, {}).spending.to_dict() == late
    assert Agenda.of(PLAN, kept, {"spent": {**late, "trial_seconds": 90.0}}).spending.trials == 90.0


def test_how_many_trials_there_will_be() -> None:
    def counts(agenda: Agenda) -> list[int]:
        return [
            agenda.num_trials(p) for p in (Purpose.BASELINE, Purpose.NOISE, Purpose.SEARCH, Purpose.CONFIRM)
        ]

    assert counts(agenda_of()) == [2, 2, 4, 6]
    assert counts(agenda_of(plan=replace(PLAN, baselines={}, race=None))) == [0, 0, 6, 0]
    assert counts(agenda_of(plan=replace(PLAN, max_trials=None)))[2] == 0
    both = (baseline(0, 5.0), baseline(1, 6.0, preset="gokmen_constant"))
    more = [record(number, float(number)) for number in range(2, 8)]
    assert counts(agenda_of(*both, *more))[2:] == [6, 6]
    few = agenda_of(*both, more[0])
    few.close(Decision("closed", "exhausted"))
    assert counts(few)[2] == 1
    ended = agenda_of(*both, *more, *replicates(0, [5.0, 5.1, 5.2], first=8))
    ended.close(Decision("closed", "exhausted"))
    assert counts(ended)[3] == 6  # three were started, three of the best proposal are missing


# Verdicts


def judge(*records: TrialRecord, budget: Budget | None = None, **fields: object) -> Judge:
    plan = replace(PLAN, **fields)  # type: ignore[arg-type]
    return Judge(plan, ledger_of(*records, plan=plan), budget or Budget(plan))


def test_a_trial_among_the_best_half_goes_on_and_the_others_end() -> None:
    values = (3.0, 9.0, 1.0, 2.0, 9.0)
    records = [record(number, (50, value), state=State.RUNNING) for number, value in enumerate(values)]
    found = judge(*records)
    assert found.at_rung(records[2], 0) is None
    facts = {"rank": 4, "of": 5, "step": 50}  # two share the fourth place
    for worst in (records[1], records[4]):
        assert found.at_rung(worst, 0) == End(State.STOPPED, None, Decision("stopped", "rung", facts))
    audited = judge(*records, audit_share=1.0).at_rung(records[1], 0)
    assert audited == RunOn(Decision("condemned", "audit", facts))


def test_only_proposals_before_their_end_are_judged_and_each_is_condemned_once() -> None:
    good = record(0, (50, 1.0), (75, 1.0), (100, 1.0))
    for step in (50, 75):
        bad = record(1, (50, 9.0), *([(75, 9.0)] if step == 75 else []), state=State.RUNNING)
        assert isinstance(judge(good, bad).at_rung(bad, 0), End)
        assert judge(good, bad).at_rung(replace(bad, condemned_at=50), 0) is None
        assert judge(good, bad).at_rung(replace(bad, purpose=Purpose.BASELINE), 0) is None
    ended = record(1, (50, 9.0), (75, 9.0), (100, 9.0), state=State.RUNNING)
    assert judge(good, ended).at_rung(ended, 0) is None


def test_a_trial_whose_next_rung_is_not_affordable_ends_at_this_one() -> None:
    plan = replace(PLAN, limits=TimeLimits(hours=1.0), race=None)
    trial = record(0, (50, 1.0), state=State.RUNNING)

    def verdict(left: float, open_steps: int, **fields: object) -> object:
        budget = budget_after(plan, wall=3600.0 - left, trials=100.0, steps=100)
        return judge(trial, budget=budget, limits=plan.limits, race=None, **fields).at_rung(trial, open_steps)

    assert verdict(25.0, 0) is None
    assert verdict(25.0, 25) is None  # in the other slot
    decision = Decision("stopped", "budget")
    assert verdict(24.0, 0) == verdict(25.0, 26) == End(State.STOPPED, decision.why, decision)
    last = record(0, (50, 1.0), (75, 1.0), state=State.RUNNING)
    budget = budget_after(plan, wall=3575.0, trials=100.0, steps=100)
    assert judge(last, budget=budget, limits=plan.limits, race=None).at_rung(last, 0) is None


def test_what_a_trial_says_of_its_end_is_believed() -> None:
    trial = record(3)
    assert verdict_of(trial, "complete", None, None) == End(State.COMPLETE)
    assert verdict_of(trial, "failed", "boom", 32) == End(State.FAILED, "boom")
    tried_again = Retry(32, "no memory", Decision("tried again", "memory", {"micro_batch": 32}))
    assert verdict_of(trial, "oom", "no memory", 32) == tried_again
    assert verdict_of(trial, "oom", "no memory", None) == End(State.FAILED, "no memory")
    assert verdict_of(record(3, micro_batch=64), "oom", "no memory", 32) == End(State.FAILED, "no memory")


# The next trial


def next_trial(agenda: Agenda) -> NextTrial:
    return NextTrial(agenda.plan, agenda, Proposals(agenda.plan, []))


def test_the_purposes_come_in_their_order_each_with_its_seed() -> None:
    both = (baseline(0, 5.0), baseline(1, 6.0, preset="gokmen_constant"))
    floor = replicates(0, [5.0, 5.1], first=2, purpose=Purpose.NOISE)
    searched = [record(number, float(number)) for number in range(4, 8)]
    expected = [
        ((), Purpose.BASELINE, 0, "ict", None),
        (both[:1], Purpose.BASELINE, 0, "gokmen_constant", None),
        (both, Purpose.NOISE, 1, "ict", 0),
        ((*both, floor[0]), Purpose.NOISE, 2, "ict", 0),
        ((*both, *floor), Purpose.SEARCH, 0, None, None),
        ((*both, *floor, *searched), Purpose.CONFIRM, 1, None, 4),
    ]
    for records, purpose, seed, preset, replicate_of in expected:
        trial = next_trial(agenda_of(*records)).decide(0)
        assert trial is not None
        assert (trial.purpose, trial.seed) == (purpose, seed)
        if purpose is not Purpose.CONFIRM:
            assert (trial.preset, trial.replicate_of) == (preset, replicate_of)
        else:
            assert trial.replicate_of in (0, 4)
            assert trial.decision.facts == {"trial": trial.replicate_of, "nth": 1, "of": 3}


def test_a_baseline_inside_the_space_is_told_with_its_parameters() -> None:
    space = SearchSpace.from_mapping(
        {"noise": {"lognormal": None}, "curriculum": {"exponential": None}, "grid": {"karras": None}}
    )
    inside = next_trial(agenda_of(plan=replace(PLAN, space=space))).decide(0)
    assert inside is not None
    assert inside.params and inside.params.keys() == inside.distributions.keys()
    outside = replace(PLAN, space=SearchSpace.from_mapping({"noise": {"uniform": None}}))
    found = next_trial(agenda_of(plan=outside)).decide(0)
    assert found is not None and not found.params and not found.distributions


def test_what_fits_only_without_the_open_trials_waits_and_what_never_fits_closes_the_search() -> None:
    plan = replace(PLAN, limits=TimeLimits(hours=1.0), race=None, max_concurrent=1)
    for left, open_steps, purpose, is_closed in (
        (100.0, 0, Purpose.BASELINE, False),
        (100.0, 1, Purpose.SEARCH, False),  # up to its first rung
        (100.0, 51, None, False),
        (99.0, 0, None, True),
    ):
        spent = {"wall_seconds": 3600.0 - left, "trial_seconds": 3600.0 - left, "steps": int(3600 - left)}
        agenda = agenda_of(plan=plan, header={"spent": spent})
        trial = next_trial(agenda).decide(open_steps)
        assert (trial.purpose if trial is not None else None) == purpose
        assert agenda.is_closed == is_closed
    assert agenda.closed_because == Decision("closed", "spent")


def test_a_proposal_that_equals_a_finished_trial_may_become_its_next_seed() -> None:
    space = {"noise": {"uniform": None}, "grid": {"rho": 7.0}, "curriculum": {"constant": {"levels": 20}}}
    plan = replace(PLAN, space=SearchSpace.from_mapping(space), baselines={}, equal_schedules="replicate")
    schedule = next(Proposals(plan, []).draws(0)).schedule
    trained = record(0, 4.0, schedule=schedule)

    def decided(*records: TrialRecord, plan: Plan = plan) -> tuple[object, ...]:
        agenda = agenda_of(*records, plan=plan)
        trial = NextTrial(plan, agenda, Proposals(plan, [KeptTrial(each, {}) for each in records])).decide(0)
        because = agenda.closed_because
        if trial is None:
            return None, because and because.cause
        return trial.purpose, trial.seed, trial.replicate_of

    assert decided(trained) == (Purpose.REPLICATE, 1, 0)
    again = replicates(0, [4.0, 4.1, 4.2], first=1, purpose=Purpose.REPLICATE, schedule=schedule)
    assert decided(trained, again[0]) == (Purpose.REPLICATE, 2, 0)
    assert decided(trained, *again) == (None, "exhausted")
    assert decided(record(0, schedule=schedule)) == (None, "exhausted")
    assert decided(trained, plan=replace(plan, race=None, noise_seeds=0)) == (None, "exhausted")
    assert decided(trained, plan=replace(plan, race=None, equal_schedules="ask_again")) == (None, "exhausted")
    assert decided(trained, plan=replace(plan, equal_schedules="train")) == (Purpose.SEARCH, 0, None)
    assert decided(record(0, schedule=schedule, state=State.FAILED)) == (Purpose.SEARCH, 0, None)


# Proposals


def conducted(plan: Plan, **options: object) -> tuple[Conductor, list[TrialRecord]]:
    changes: list[TrialRecord] = []
    return Conductor(plan, TrialsInMemory(), on_change=changes.append, **options), changes  # type: ignore[arg-type]


def test_the_algorithm_is_told_the_end_of_what_it_proposed() -> None:
    rungs = NoStopping(rungs=(0.5, 0.75))
    conductor, _ = conducted(replace(PLAN, baselines={}, max_concurrent=5, race=None, stopping=rungs))
    for number, (outcome, steps) in enumerate(
        [("complete", (50, 75, 100)), ("diverged", (50, 75)), ("failed", (50,))]
    ):
        trial = conductor.next()
        assert trial is not None and trial.number == number
        reports = [Report(step, 8.0 - step / 25, 0) for step in steps]
        assert conductor.observe(number, steps[-1], reports, outcome)
    told = conductor.proposals.told
    assert [t.number for t in told] == [0, 1, 2]
    assert [(t.state, t.value) for t in told] == [
        (TrialState.COMPLETE, 4.0),
        (TrialState.COMPLETE, 5.0),
        (TrialState.FAIL, None),
    ]
    assert [t.intermediate_values for t in told] == [
        {50: 6.0, 75: 5.0, 100: 4.0},
        {50: 6.0, 75: 5.0, 100: 5.0},
        {50: 6.0},
    ]


def test_a_failed_trial_leaves_its_schedule_to_be_proposed_again() -> None:
    known = KnownSchedules(100)
    ict, other = PRESETS["ict"].schedule, PRESETS["gokmen_constant"].schedule
    assert known.find(ict) is None
    known.add(0, ict)
    known.add(0, other)  # a number keeps its schedule
    assert known.find(ict) == 0
    for number in range(1, 130):
        known.add(number, other)
    assert (known.find(ict), known.find(other)) == (0, 1)
    known.remove(0)
    known.remove(0)
    assert known.find(ict) is None and not equal(ict, other, 100)


# Conductor


def test_who_watches_hears_of_each_change_and_of_no_repetition() -> None:
    conductor, changes = conducted(replace(PLAN, race=None), clock=lambda: 2.5)
    trial = conductor.next()
    assert trial is not None and trial.start_ms == 2500
    reports = [Report(50, 9.0, 1, {"fd": 9.0})]
    assert not conductor.observe(0, 50, reports, None)
    assert not conductor.observe(0, 50, reports, None)
    assert not conductor.observe(0, 60, reports, None)
    assert [(len(change.reports), change.state) for change in changes] == [(0, "running"), (1, "running")]
    assert conductor.spending.steps == 60
    assert conductor.observe(0, 100, reports, "failed", "no reason")
    conductor.lost(0)
    assert conductor.observe(0, 100, reports, "complete")
    assert (changes[-1].state, changes[-1].reason, changes[-1].end_ms) == (State.FAILED, "no reason", 2500)
    assert len(changes) == 3


def test_a_trial_whose_worker_is_lost_goes_on_and_each_loss_counts_once() -> None:
    conductor, changes = conducted(replace(PLAN, race=None))
    first = conductor.next()
    assert first is not None
    for _ in range(MAX_LOST_WORKERS):
        conductor.lost(first.number)
        again = conductor.next()
        assert again is not None and again.number == first.number
        assert conductor.records[first.number].state is State.RUNNING
    assert [change.number for change in changes] == [0] * (1 + MAX_LOST_WORKERS)
    conductor.lost(first.number)
    assert conductor.records[first.number].reason == f"its worker was lost {MAX_LOST_WORKERS + 1} times"
    following = conductor.next()
    assert following is not None and following.number != first.number


def test_a_loss_of_all_workers_counts_for_no_trial() -> None:
    conductor, _ = conducted(PLAN)
    for _ in range(MAX_LOST_WORKERS + 2):
        numbers = [record.number for _ in range(2) if (record := conductor.next()) is not None]
        assert numbers == [0, 1]
        conductor.all_lost()
    assert {record.state for record in conductor.records.values()} == {State.RUNNING}


def test_as_many_trials_are_open_as_there_are_slots() -> None:
    conductor, _ = conducted(PLAN)
    assert [conductor.next() is not None for _ in range(4)] == [True, True, False, False]
    assert not conductor.finished


def test_what_was_spent_is_kept_once_a_minute() -> None:
    now = [0.0]
    conductor, _ = conducted(PLAN, clock=lambda: now[0])
    conductor.next()
    for now[0], kept in ((60.0, None), (61.0, 61.0), (121.0, 61.0), (122.0, 122.0)):
        conductor.next() if kept is None else conductor.observe(0, 1, [], None)
        assert conductor.trials.header.get("spent", {}).get("wall_seconds") == kept


def test_a_closed_search_is_closed_for_the_next_driver_too() -> None:
    plan = replace(PLAN, baselines={}, limits=TimeLimits(hours=1.0), race=None)
    trials = TrialsInMemory()
    trials.set_header("spent", {"wall_seconds": 3600.0, "trial_seconds": 3600.0, "steps": 100})
    conductor = Conductor(plan, trials)
    assert "budget_spent" not in trials.header
    assert conductor.next() is None
    assert trials.header["budget_spent"] is True
    assert trials.header["closed"] == Decision("closed", "spent").to_dict()
    assert Conductor(plan, trials).finished


@pytest.mark.parametrize(
    ("step", "num_reports", "ends"), [(75, 2, True), (80, 2, False), (75, 0, False), (50, 1, False)]
)
def test_what_a_killed_driver_did_not_decide_is_decided_where_the_trial_still_is(
    step: int, num_reports: int, ends: bool
) -> None:
    plan = replace(PLAN, baselines={}, race=None, max_concurrent=3, stopping=NoStopping(rungs=(0.5, 0.75)))
    trials = TrialsInMemory()
    first = Conductor(plan, trials)
    first.next(), first.next(), first.next()
    first.observe(0, 50, [Report(50, 1.0, 0)], None)
    first.observe(0, 75, [Report(50, 1.0, 0), Report(75, 1.0, 0)], None)
    reports = [Report(50, 9.0, 0), Report(75, 9.0, 0)]
    for report in reports:
        trials.report(1, report)
    trials.report(2, Report(50, 20.0, 0))
    second = Conductor(replace(plan, stopping=ASHA(rungs=(0.5, 0.75))), trials)
    second.next(), second.next(), second.next()
    assert second.observe(1, step, reports[:num_reports], None) == ends
    assert not second.observe(0, 80, reports[:0], None)
    assert second.observe(2, 50, [Report(50, 20.0, 0)], None)
