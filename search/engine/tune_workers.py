"""Ray Tune's workers, counted and kept through attributes that Ray 2.60 calls private: no other file touches these."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from search.engine.start_watch import replaced


@dataclass(frozen=True, kw_only=True)
class WorkerCounts:
    """workers: started or on their way. idle: of these, kept for the next trial. trials: that Tune has, not ended.
    waiting: of these, without a worker."""

    workers: int
    idle: int
    trials: int
    waiting: int

    def have_room(self, slots: int) -> bool:
        """Whether one more trial finds a worker, or a slot without one.

        The worker of a trial that has just ended is Tune's to give a moment later. A trial that is there before asks
        for one more slot than the search may have, which on a shared cluster another search then lacks. Without any
        trial Tune would wait, and see nothing become free.
        """
        return self.trials == 0 or self.workers - self.idle + self.waiting < slots


class TuneWorkers:
    """The workers of one run of Tune. controller: Tune's own."""

    def __init__(self, controller: Any):
        self._controller = controller

    @classmethod
    def seen_by_scheduler(cls, wrapper: Any) -> "TuneWorkers":
        """wrapper: what Tune hands to a scheduler as its controller."""
        return cls(wrapper._tune_controller)

    def counts(self) -> WorkerCounts:
        """As they are now."""
        tune = self._controller
        return WorkerCounts(
            workers=tune._actor_manager.num_total_actors,
            idle=tune._actor_cache.num_cached_objects,
            trials=len(tune._pending_trials) + len(tune._running_trials),
            waiting=sum(trial not in tune._trial_to_actor for trial in tune._pending_trials),
        )

    def keep(self, trial: Any, slots: int) -> None:
        """Have Tune keep the workers of so many slots.

        It keeps as many idle workers as trials wait for one, or one. Ours are asked for when a slot is free, so of
        two that end together one lost its worker, and a new one takes seconds to start.
        """
        self._controller._actor_cache.increase_max(trial.placement_group_factory, slots)

    def free_idle(self) -> None:
        """End the workers that no trial has. One that was lost shows that only when it is used."""
        self._controller._cleanup_cached_actors(force_all=True)

    def end_trials(self, seconds: float) -> None:
        """Have the workers end their trials, which go on by themselves; return when they have, or after `seconds`."""
        import ray

        found = self._controller._actor_manager._live_actors_to_ray_actors_resources.values()
        if ended := [worker.end_trial.remote() for worker, _ in found]:
            ray.wait(ended, num_returns=len(ended), timeout=seconds)

    def free(self) -> None:
        """End all workers: their slots are free for others at once."""
        self._controller._actor_manager.cleanup()


@contextmanager
def with_environment_of_driver() -> Iterator[None]:
    """In this block Tune gives its workers no variables of its own, for which Ray would start a process anew each time.

    Of a Ray of our own: its workers have the driver's.
    """
    import ray
    from ray.tune.execution.class_cache import _ActorClassCache

    def plain(_: Callable[..., Any]) -> Callable[..., Any]:
        return lambda cache, kind: cache._cache.setdefault(kind, ray.remote(kind))

    with replaced(_ActorClassCache, "get", plain):
        yield


@contextmanager
def with_trainable_at_hand() -> Iterator[None]:
    """In this block Tune asks the head of Ray for what trials run with the first of them, not three times with each.

    That is a tenth of what a trial costs the driver.
    """
    from ray.tune.registry import _Registry

    known: dict[tuple[str, str], Any] = {}

    def kept(get: Callable[..., Any]) -> Callable[..., Any]:
        def got(registry: Any, category: str, key: str) -> Any:
            if (category, key) not in known:
                known[category, key] = get(registry, category, key)
            return known[category, key]

        return got

    def seen(contains: Callable[..., bool]) -> Callable[..., bool]:
        return lambda registry, *entry: entry in known or contains(registry, *entry)

    with replaced(_Registry, "get", kept), replaced(_Registry, "contains", seen):
        yield


def end_trial(trial: Any) -> None:
    """Tell the worker of a trial that it ends. Tune keeps the worker for the next trial and tells it nothing."""
    worker = trial.temporary_state.ray_actor
    if worker is not None:
        worker.end_trial.remote(is_over=True)


def forget_results(trial: Any) -> None:
    """Drop what Tune keeps of an ended trial and nobody reads: a third of what a trial costs the driver."""
    trial.run_metadata.metric_analysis.clear()
    trial.run_metadata.metric_n_steps.clear()
    trial.last_result.pop("reports", None)
