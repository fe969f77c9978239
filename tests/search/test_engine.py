"""When one more trial is asked for: a worker of Tune's is free, or a slot without one. No Ray is started."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search.engine.tune_workers import (
    TuneWorkers,
    WorkerCounts,
    end_trial,
    forget_results,
    with_trainable_at_hand,
)
from search.engine.worker_start import WorkerStart
from trainable.task import Progress
from trainable.trial import as_result


@pytest.mark.parametrize(
    ("workers", "idle", "trials", "waiting", "room"),
    [
        (0, 0, 0, 0, True),  # the first trial
        (1, 0, 1, 0, True),
        (2, 0, 1, 0, False),  # the worker of one that has ended, not yet free
        (2, 1, 1, 0, True),
        (2, 1, 2, 1, False),
        (2, 0, 2, 0, False),  # one that waits has its worker on its way
        (2, 2, 1, 1, True),
        (2, 0, 0, 0, True),  # Tune would wait, and see nothing become free
    ],
)
def test_a_trial_is_asked_for_when_it_finds_a_worker(
    workers: int, idle: int, trials: int, waiting: int, room: bool
) -> None:
    counts = WorkerCounts(workers=workers, idle=idle, trials=trials, waiting=waiting)
    assert counts.have_room(2) is room


@pytest.fixture
def tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A controller of the installed Ray's, a trial for it, and no cluster."""
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "2")
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    from ray.train._internal.storage import StorageContext
    from ray.tune.execution.tune_controller import TrialRunnerWrapper, TuneController
    from ray.tune.experiment import Trial

    storage = StorageContext(storage_path=str(tmp_path), experiment_dir_name="tune")
    controller = TuneController(storage=storage, reuse_actors=True)
    trial = Trial("any", stub=True, storage=storage)
    return TrialRunnerWrapper(controller, trial_executor=None), controller, trial


def test_the_installed_ray_tune_has_what_is_private_there(tune: Any) -> None:
    wrapper, controller, trial = tune
    workers = TuneWorkers.seen_by_scheduler(wrapper)
    assert workers.counts() == WorkerCounts(workers=0, idle=0, trials=0, waiting=0)
    controller.add_trial(trial)
    assert workers.counts() == WorkerCounts(workers=0, idle=0, trials=1, waiting=1)
    workers.keep(trial, 2)
    assert controller._actor_cache._max_num_objects[trial.placement_group_factory] == 2
    workers.free_idle()
    workers.free()
    assert workers.counts().workers == 0


def test_a_worker_is_told_that_its_trial_ends(tune: Any) -> None:
    wrapper, _, trial = tune
    told: list[str] = []
    end_trial(trial)  # without a worker there is nobody to tell
    worker = SimpleNamespace(
        end_trial=SimpleNamespace(remote=lambda is_over: told.append(f"end, over {is_over}"))
    )
    trial.temporary_state.ray_actor = worker
    end_trial(trial)
    assert told == ["end, over True"]
    TuneWorkers.seen_by_scheduler(wrapper).end_trials(1)  # of whom there is none


def test_what_tune_keeps_of_an_ended_trial_is_dropped(tune: Any) -> None:
    *_, trial = tune
    trial.run_metadata.update_metric("fd", 3.0, step=1)
    trial.run_metadata.last_result = {"reports": [1], "step": 1}
    forget_results(trial)
    assert not trial.run_metadata.metric_analysis
    assert not trial.run_metadata.metric_n_steps
    assert "reports" not in trial.last_result


def test_what_a_worker_notes_is_told_with_the_trial_it_is_about() -> None:
    from search.engine.tune import ConductedScheduler, Shared

    told: list[str] = []
    conductor: Any = SimpleNamespace(observe=lambda *_: False)
    shared = Shared(
        conductor,
        "trials",
        None,
        None,
        threading.Event(),
        runs_on=False,
        on_step=lambda *_: None,
        on_note=told.append,
        on_turn=lambda: None,
        worker_start=WorkerStart(None),
    )
    shared.number_of["a"] = 7
    progress = Progress(number=7, step=5, reports=[], notes=("its checkpoint is damaged",))
    ConductedScheduler(shared).on_trial_result(None, SimpleNamespace(trial_id="a"), as_result(progress))
    assert told == ["trial 7: its checkpoint is damaged"]


def test_ray_is_asked_for_the_trainable_by_the_first_trial_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.tune import Trainable, registry

    read: list[bytes] = []
    loads = registry.pickle.loads
    monkeypatch.setattr(registry.pickle, "loads", lambda data: read.append(data) or loads(data))
    registry.register_trainable("of this test", Trainable)
    with with_trainable_at_hand():
        assert [registry.get_trainable_cls("of this test") for _ in range(3)] == [Trainable] * 3
        assert len(read) == 1
        with pytest.raises(Exception, match="nobody knows this"):
            registry.get_trainable_cls("nobody knows this")
    for _ in range(2):
        registry.get_trainable_cls("of this test")
    assert len(read) == 3
