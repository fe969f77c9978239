"""When one more trial is asked for: a worker of Tune's is free, or a slot without one. No Ray is started."""

from types import SimpleNamespace
from typing import Any

import pytest

from search.engine import tune as engine


def link(slots: int, tune: Any) -> engine.Shared:
    conductor: Any = SimpleNamespace(plan=SimpleNamespace(max_concurrent=slots))
    made = engine.Shared(conductor, "trials", None, None, None, lambda *args: None)  # type: ignore[arg-type]
    made.tune = tune
    return made


def controller(workers: int, idle: int, running: int, waiting: int, started: int = 0) -> Any:
    """waiting: trials without a worker. started: those whose worker is on its way."""
    pending = {f"pending {number}" for number in range(waiting + started)}
    return SimpleNamespace(
        _pending_trials=pending,
        _running_trials={f"running {number}" for number in range(running)},
        _trial_to_actor=dict.fromkeys(sorted(pending)[waiting:]),
        _actor_manager=SimpleNamespace(num_total_actors=workers),
        _actor_cache=SimpleNamespace(num_cached_objects=idle),
    )


@pytest.mark.parametrize(
    ("tune", "asked"),
    [
        (None, True),  # the first trial
        (controller(workers=1, idle=0, running=1, waiting=0), True),
        (controller(workers=2, idle=0, running=1, waiting=0), False),  # of one that has ended, not yet free
        (controller(workers=2, idle=1, running=1, waiting=0), True),
        (controller(workers=2, idle=1, running=1, waiting=1), False),
        (controller(workers=2, idle=0, running=1, waiting=0, started=1), False),
        (controller(workers=2, idle=2, running=0, waiting=1), True),
        (
            controller(workers=2, idle=0, running=0, waiting=0),
            True,
        ),  # Tune would wait, and see nothing become free
    ],
)
def test_a_trial_is_asked_for_when_it_finds_a_worker(tune: Any, asked: bool) -> None:
    assert link(2, tune).has_worker is asked
