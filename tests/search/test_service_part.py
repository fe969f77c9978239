"""When a part of the service is started, called hung and started again: decisions on a clock that the test turns."""

import pytest

from search.cluster.head.server import MISSED_PROBES, START_SECONDS, Action, Health


def running(now: float = 0.0) -> Health:
    watch = Health()
    assert watch.next(now) is Action.START
    watch.started(now)
    return watch


def test_a_part_that_answers_is_left_alone() -> None:
    watch = running()
    for now in range(1, 1000):
        watch.probed(now, True)
        assert watch.next(now) is Action.NOTHING
    assert watch.healthy
    assert watch.restarts == 0


def test_a_part_may_take_long_to_start_but_not_for_ever() -> None:
    watch = running()
    watch.probed(START_SECONDS - 1, False)
    assert watch.next(START_SECONDS - 1) is Action.NOTHING
    assert not watch.healthy
    assert watch.next(START_SECONDS + 1) is Action.END


def test_a_part_that_falls_silent_is_ended_after_some_probes_and_not_before() -> None:
    watch = running()
    watch.probed(1, True)
    for missed in range(1, MISSED_PROBES):
        watch.probed(1 + missed, False)
        assert watch.next(1 + missed) is Action.NOTHING
    watch.probed(9, True)  # it was only slow
    for now in range(10, 10 + MISSED_PROBES):
        assert watch.next(now) is Action.NOTHING
        watch.probed(now, False)
    assert watch.next(20) is Action.END
    assert not watch.healthy


def test_a_pause_of_the_supervisor_itself_condemns_nobody() -> None:
    watch = running()
    watch.probed(1, True)
    assert watch.next(10_000) is Action.NOTHING


def test_a_part_that_ran_well_is_back_at_once() -> None:
    watch = running()
    for now in (5, 10_000):
        watch.probed(now, True)
        watch.ended(now + 100)
        assert watch.next(now + 100) is Action.START
        watch.started(now + 101)
    assert watch.restarts == 2


def test_one_that_ends_again_and_again_is_started_ever_less_often_down_to_once_a_minute() -> None:
    watch, now, waits = running(), 0.0, []
    for _ in range(10):
        watch.ended(now)
        waits.append(watch.wait)
        if watch.wait:
            assert watch.next(now + watch.wait - 0.1) is Action.NOTHING
        now += watch.wait
        assert watch.next(now) is Action.START
        watch.started(now)
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(("answered_for", "wait"), [(10, 2), (60, 0)])
def test_only_a_minute_of_answers_makes_earlier_failures_forgotten(answered_for: float, wait: float) -> None:
    watch = running()
    watch.ended(1)
    watch.started(1)
    watch.ended(2)
    watch.started(3)
    watch.probed(10, True)
    watch.ended(10 + answered_for)
    assert watch.wait == wait
