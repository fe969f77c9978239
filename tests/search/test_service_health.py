"""When a server of the head is started, called hung and started again: decisions on a clock that the test turns."""

import pytest

from search.cluster.head.server import MISSED_PROBES, START_SECONDS, Action, Health


def running(now: float = 0.0) -> Health:
    health = Health()
    assert health.next(now) is Action.START
    health.started(now)
    return health


def test_a_server_that_answers_is_left_alone() -> None:
    health = running()
    for now in range(1, 1000):
        health.probed(now, True)
        assert health.next(now) is Action.NOTHING
    assert health.healthy
    assert health.restarts == 0


def test_a_server_may_take_long_to_start_but_not_for_ever() -> None:
    health = running()
    health.probed(START_SECONDS - 1, False)
    assert health.next(START_SECONDS - 1) is Action.NOTHING
    assert not health.healthy
    assert health.next(START_SECONDS + 1) is Action.END


def test_a_server_that_falls_silent_is_ended_after_some_probes_and_not_before() -> None:
    health = running()
    health.probed(1, True)
    for missed in range(1, MISSED_PROBES):
        health.probed(1 + missed, False)
        assert health.next(1 + missed) is Action.NOTHING
    health.probed(9, True)  # it was only slow
    for now in range(10, 10 + MISSED_PROBES):
        assert health.next(now) is Action.NOTHING
        health.probed(now, False)
    assert health.next(20) is Action.END
    assert not health.healthy


def test_a_pause_of_the_supervisor_itself_condemns_nobody() -> None:
    health = running()
    health.probed(1, True)
    assert health.next(10_000) is Action.NOTHING


def test_a_server_that_ran_well_is_back_at_once() -> None:
    health = running()
    for now in (5, 10_000):
        health.probed(now, True)
        health.ended(now + 100)
        assert health.next(now + 100) is Action.START
        health.started(now + 101)
    assert health.restarts == 2


def test_one_that_ends_again_and_again_is_started_ever_less_often_down_to_once_a_minute() -> None:
    health, now, waits = running(), 0.0, []
    for _ in range(10):
        health.ended(now)
        waits.append(health.wait)
        if health.wait:
            assert health.next(now + health.wait - 0.1) is Action.NOTHING
        now += health.wait
        assert health.next(now) is Action.START
        health.started(now)
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(("answered_for", "wait"), [(10, 2), (60, 0)])
def test_only_a_minute_of_answers_makes_earlier_failures_forgotten(answered_for: float, wait: float) -> None:
    health = running()
    health.ended(1)
    health.started(1)
    health.ended(2)
    health.started(3)
    health.probed(10, True)
    health.ended(10 + answered_for)
    assert health.wait == wait
