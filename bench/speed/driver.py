"""How many results a second one driver takes in: everything of a search but its training.

Trials that answer at once go through what a real search uses: conductor, study in SQLite, Ray Tune with reused
workers, tracker with MLflow on SQLite.
"""

import logging
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.figures import Spread, table
from bench.speed.toy_reports import toy_reports
from search.engine.ray_here import local_ray
from search.file.spec import SearchSpec, load_spec, overridden
from search.machine.sqlite_url import sqlite_url
from search.policy.conductor import Conductor
from search.policy.plan import Plan
from search.record import Report, TrialRecord
from search.running.plan_of import objective_of, plan_of
from search.stopping.none import NoStopping
from search.study.store import StudyStore
from search.tracking import ProjectionProcess, Tracker

NUM_TRIALS, RUNGS = 200, (0.2, 0.4, 0.6, 0.8)  # and the full budget: five results per trial
SLOTS = 2  # workers, one for each core of a small machine
STACK = 8  # trials to a worker, where it holds several
WARM_UP = 0.25  # of the results: the workers start
REPEATS = 3
_CLOSE_SECONDS, _CLOSE_SECONDS_OF_TRIAL = (
    300.0,
    0.2,
)  # MLflow has what the driver and the trials leave of the cores


@dataclass(frozen=True)
class Measured:
    """One search of no-op trials. seconds: from the end of the warm-up to its last result, or whole if without Ray.

    start_seconds: before the first result. behind_seconds: after the last, until MLflow had everything.
    """

    results: int
    seconds: float
    start_seconds: float = 0.0
    behind_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return self.results / self.seconds

    @property
    def tracked_per_second(self) -> float:
        return self.results / (self.seconds + self.behind_seconds)


class NoopSearch:
    """A search of no-op trials in a folder of its own."""

    def __init__(self, spec: SearchSpec, plan: Plan, folder: Path, tracking: bool):
        self.folder = folder
        self.objective = objective_of(spec)
        folder.mkdir(parents=True)
        store = StudyStore.create(sqlite_url(folder / "study.db"), spec.name, {"search": spec.resolved()})
        self.tracker: Tracker | None = None
        if tracking:
            settings = {
                "uri": sqlite_url(folder / "mlflow.db"),
                "search_name": spec.name,
                "objective": self.objective,
                "total_steps": plan.total_steps,
                "folder": folder,
            }
            self.projection = ProjectionProcess(settings)
            self.tracker = Tracker(self.projection)
        self.conductor = Conductor(plan, store, on_change=self._on_change)

    def _on_change(self, record: TrialRecord) -> None:
        if self.tracker is not None:
            self.tracker.put(record)

    def without_ray(self) -> Measured:
        """The conductor and its study alone, called in a loop."""
        rungs, results = self.conductor.plan.rungs, 0
        began = time.perf_counter()
        while (record := self.conductor.next()) is not None:
            reports = [Report(**report) for report in toy_reports(record.number, rungs, self.objective)]
            for count, step in enumerate(rungs, start=1):
                outcome = "complete" if count == len(rungs) else None
                self.conductor.observe(record.number, step, reports[:count], outcome)
                results += 1
        return Measured(results, time.perf_counter() - began)

    def with_ray(
        self, ray_folder: Path, cpus: float, on_result: Callable[[], None] = lambda: None, stack: int = 1
    ) -> Measured:
        """All of it, on the Ray that is connected. on_result: called after every result. stack: trials to a worker."""
        from ray import tune

        from bench.speed.noop_trainable import NoopStack, NoopTrainable
        from search.engine.tune import Slots, run_trials

        assert self.tracker is not None
        times: list[float] = []

        def on_step(number: int, step: int) -> None:
            times.append(time.perf_counter())
            on_result()

        began = time.perf_counter()
        run_trials(
            self.conductor,
            trainable=tune.with_parameters(NoopTrainable, objective=self.objective)
            if stack == 1
            else tune.with_parameters(NoopStack, objective=self.objective, stack=stack),
            slots=Slots(cpu=cpus, gpu=0, stack=stack),
            trials=str(self.folder),
            ray_folder=ray_folder,
            interrupted=threading.Event(),
            on_step=on_step,
        )
        left = self.tracker.close(_CLOSE_SECONDS + _CLOSE_SECONDS_OF_TRIAL * len(self.conductor.records))
        closed = time.perf_counter()
        self.projection.close()
        assert not left, left
        assert self.conductor.finished
        first = round(WARM_UP * len(times))
        seconds = times[-1] - times[first]
        return Measured(len(times) - 1 - first, seconds, times[0] - began, closed - times[-1])


def main(show: Callable[[str], None]) -> None:
    """Measure and show."""
    logging.disable(logging.WARNING)  # Tune complains of switched-off files, a line for each trial
    spec = overridden(load_spec("searches/digits.yaml"), {"budget.max_trials": NUM_TRIALS})
    plan = replace(
        plan_of(spec, SLOTS), stopping=NoStopping(rungs=RUNGS), race=None, holds=None, noise_seeds=0
    )
    alone: list[Measured] = []
    whole: list[Measured] = []
    stacked: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with local_ray(num_cpus=SLOTS, num_gpus=0) as ray_folder:
            for repeat in range(REPEATS):
                alone.append(NoopSearch(spec, plan, folder / f"alone-{repeat}", tracking=False).without_ray())
                search = NoopSearch(spec, plan, folder / f"whole-{repeat}", tracking=True)
                whole.append(search.with_ray(ray_folder / f"{repeat}", spec.resources.cpu))
                more = replace(plan, max_concurrent=SLOTS * STACK)
                search = NoopSearch(spec, more, folder / f"stacked-{repeat}", tracking=True)
                stacked.append(
                    search.with_ray(ray_folder / f"stacked-{repeat}", spec.resources.cpu, stack=STACK)
                )
    show(
        f"driver: {NUM_TRIALS} no-op trials of {len(RUNGS) + 1} results, {SLOTS} workers, "
        f"{type(plan.algorithm).__name__}, {REPEATS} times; median [smallest, largest]"
    )
    rows = [
        ["conductor and study alone", Spread.of([m.per_second for m in alone]).text(0), ""],
        ["with Ray Tune and tracking", Spread.of([m.per_second for m in whole]).text(0), ">= 200"],
        ["  until MLflow had all of it", Spread.of([m.tracked_per_second for m in whole]).text(0), ""],
        [f"the same, stack {STACK}", Spread.of([m.per_second for m in stacked]).text(0), ">= 400"],
        ["  until MLflow had all of it", Spread.of([m.tracked_per_second for m in stacked]).text(0), ""],
    ]
    show(table(["", "results/s", "target"], rows))
    start = Spread.of([m.start_seconds for m in whole]).text(1)
    behind = Spread.of([m.behind_seconds for m in whole]).text(1)
    show(f"first result after {start} s; MLflow up to date {behind} s after the last result")
