import copy
import math
import random
from collections.abc import Mapping, Sequence

from search.contracts._promise import Promise, documented, need, plain_data
from search.stopping_rule import STOPPING, Rung, StoppingRule
from trainable.task import WORST_OBJECTIVE

NOISES = (None, 0.0, 0.3)


def rung_of(values: Sequence[float], noise: float | None = None, earlier: bool = False) -> Rung:
    """Trial i has values[i]; at the rungs below, if wanted, more, as on a falling curve."""
    below = {step: {i: value * 100 / step for i, value in enumerate(values)} for step in (25, 50)}
    return Rung(step=75, values=dict(enumerate(values)), earlier=below if earlier else {}, noise=noise)


def some_rungs(seed: int, sizes: Sequence[int] = (1, 2, 3, 5, 8, 40)) -> list[Rung]:
    """Of each size: log-normal values, in some of them a third diverged."""
    rng = random.Random(seed)
    rungs = []
    for size in sizes:
        for share in (0.0, 0.3):
            values = [
                WORST_OBJECTIVE if rng.random() < share else rng.lognormvariate(4, 0.5) for _ in range(size)
            ]
            rungs += [rung_of(values, noise, earlier) for noise in NOISES for earlier in (False, True)]
    return rungs


def stopped(rule: StoppingRule, rung: Rung) -> set[int]:
    return {number for number in rung.values if rule.stops(number, rung)}


def _at(rung: Rung) -> str:
    return f"at a rung with {len(rung.values)} values, noise {rung.noise}"


def a_rule_is_plain_data(name: str) -> None:
    documented(STOPPING[name])
    rule = STOPPING.build(name)
    plain_data(STOPPING, rule)
    need(rule.steps(1000)[-1] == 1000, "steps must end with the full budget")


def the_first_at_a_rung_and_the_best_there_go_on(name: str) -> None:
    rule = STOPPING.build(name)
    for noise in NOISES:
        need(not rule.stops(7, Rung(step=50, values={7: 3.0}, noise=noise)), "the first at a rung is stopped")
    for rung in some_rungs(seed=1):
        best = min(rung.values, key=lambda number: rung.values[number])
        is_good = rung.values[best] == WORST_OBJECTIVE or best not in stopped(rule, rung)
        need(is_good, f"the best is stopped {_at(rung)}")


def a_decision_changes_nothing_and_is_always_the_same(name: str) -> None:
    rule = STOPPING.build(name)
    for rung in some_rungs(seed=2):
        before = copy.deepcopy(rung)
        first = stopped(rule, rung)
        need(rung == before, f"a decision changes the rung {_at(rung)}")
        need(stopped(STOPPING.build(name), rung) == first, f"another decision the second time {_at(rung)}")


def a_decision_does_not_depend_on_the_order_in_which_values_came(name: str) -> None:
    rule, rng = STOPPING.build(name), random.Random(3)

    def shuffled(values: Mapping[int, float]) -> dict[int, float]:
        return dict(rng.sample(list(values.items()), len(values)))

    for rung in some_rungs(seed=3):
        earlier = {step: shuffled(values) for step, values in reversed(list(rung.earlier.items()))}
        other = Rung(rung.step, shuffled(rung.values), earlier, rung.noise)
        need(stopped(rule, other) == stopped(rule, rung), f"another decision in another order {_at(rung)}")


def who_would_go_on_with_a_worse_value_goes_on_with_a_better_one(name: str) -> None:
    rule = STOPPING.build(name)
    for rung in some_rungs(seed=4, sizes=(2, 3, 9)):
        for number in rung.values:
            goes_on = [
                not rule.stops(number, Rung(75, {**rung.values, number: value}, rung.earlier, rung.noise))
                for value in (WORST_OBJECTIVE, 500.0, 100.0, 60.0, 30.0, 1.0)
            ]
            is_good = goes_on == sorted(goes_on) and goes_on[-1]
            need(is_good, f"a trial is stopped with a better value, and not with a worse one, {_at(rung)}")


def of_two_at_a_rung_the_better_is_not_stopped_where_the_worse_goes_on(name: str) -> None:
    rule = STOPPING.build(name)
    for rung in some_rungs(seed=5):
        gone = stopped(rule, rung)
        kept = [value for number, value in rung.values.items() if number not in gone]
        is_good = all(rung.values[number] >= max(kept, default=0.0) for number in gone)
        need(is_good, f"the better of two is stopped, and not the worse, {_at(rung)}")


def a_diverged_trial_goes_on_only_where_nothing_is_stopped(name: str) -> None:
    rule = STOPPING.build(name)
    stops_at_all = any(stopped(rule, rung_of([float(i) for i in range(1, 100)])))
    for others in ([], [5.0], [WORST_OBJECTIVE] * 3, [5.0, 6.0, WORST_OBJECTIVE]):
        found = rule.stops(0, rung_of([WORST_OBJECTIVE, *others]))
        need(found is stops_at_all, f"a diverged trial must {'' if stops_at_all else 'not '}be stopped")


def diverged_trials_change_no_decision_about_the_others(name: str) -> None:
    rule = STOPPING.build(name)
    values = [60.0, 40.0, 90.0, 35.0, 200.0, 52.0]
    for bad in (WORST_OBJECTIVE, 2 * WORST_OBJECTIVE, math.inf):
        for noise in NOISES:
            alone = stopped(rule, rung_of(values, noise))
            for many in (1, 5, 50):
                gone = stopped(rule, rung_of([*values, *[bad] * many], noise))
                found = {number for number in gone if number < len(values)}
                need(
                    found == alone, f"{many} diverged trials change the decision about others, noise {noise}"
                )


PROMISES: tuple[Promise, ...] = (
    a_rule_is_plain_data,
    the_first_at_a_rung_and_the_best_there_go_on,
    a_decision_changes_nothing_and_is_always_the_same,
    a_decision_does_not_depend_on_the_order_in_which_values_came,
    who_would_go_on_with_a_worse_value_goes_on_with_a_better_one,
    of_two_at_a_rung_the_better_is_not_stopped_where_the_worse_goes_on,
    a_diverged_trial_goes_on_only_where_nothing_is_stopped,
    diverged_trials_change_no_decision_about_the_others,
)
