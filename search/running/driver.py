"""Drives a search, from its data to its leaderboard: trials, what is measured after them, and who is told."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from search.engine.ray_logs import log_of_workers
from search.engine.ray_lost import RayLost
from search.engine.slice_check import check_slice
from search.engine.worker_start import START_SECONDS, WorkerStart
from search.machine.interruption import Interruption
from search.policy.conductor import Conductor
from search.running.audience import Audience, bring_up_to_date
from search.running.known import LOG_FILE
from search.running.losses import tell_losses
from search.running.measuring import Measuring
from search.running.outcome import Outcome
from search.running.own_ray import OwnRay
from search.running.preparing import begun_with_data, begun_with_script, judges_of
from search.running.ray_losses import outlive_rays
from search.running.result import Result, unmeasured
from search.running.search import Search
from search.running.slots import at_once
from search.running.stacking import stack_of
from search.running.timed_elsewhere import foreknown
from search.running.tracked import models_of
from search.screen.silence import Log, Waiting
from search.screen.view import STUDY, ProgressView
from search.screen.words import title_of
from search.winner.measured_sampling import measure
from trainable.metric.assets import Assets
from trainable.task import OWN
from trainable.threads import on_threads, threads_of

T = TypeVar("T")


def drive(
    search: Search, slots: int, ray: OwnRay | Path, *, interrupted: Interruption, view: ProgressView, log: Log
) -> Outcome:
    """Run the search, whose folder is held, until it is finished or `interrupted` is set; see `run_search`.

    slots: workers that there is room for. ray: of our own, or the folder of the cluster's that is connected.
    """
    on_cluster = not isinstance(ray, OwnRay)
    with interrupted.raising():
        begun = begun_with_data if search.spec.script is None else begun_with_script
        settings = begun(search, view, log, on_cluster=on_cluster)
        judges = judges_of(search, settings, view, log, on_cluster=on_cluster)
        stack = stack_of(search.spec, settings, view.note)
    search.store.give_up_when(interrupted.is_set)
    view.watch(STUDY, partial(study_away, search, log))
    with search.held_everywhere(interrupted):
        mark = search.trial_storage.take_ownership(search.header["study_id"])
        tell_losses(search, view)
        search.keep_stack(stack)
        conductor = Conductor(search.plan(at_once(search.spec, slots, stack)), search.store)
        run = Run(search, conductor, settings, judges, mark, interrupted, view, ray, stack)
        before = run.result()
        if before.finished:
            view.phase("looking at MLflow", 0)
            return Outcome(before, already_finished=True, left=bring_up_to_date(search, before))
        search.write_file()
        return run.to_its_end()


def study_away(search: Search, log: Log) -> Waiting | None:
    """The study's database, while it is waited for."""
    away = search.store.away
    return None if away is None else Waiting(away.whom, away.since, log)


@dataclass(frozen=True)
class Run:
    """One driver's part of a search, with all that it needs.

    settings: by name, what trials are trained in. judges: by name, what measures samples, or why it cannot. mark: name
    of the file by which workers know the trials' storage again. ray: of our own, or the folder of the cluster's that is
    connected. stack: how many trials a worker trains together.
    """

    search: Search
    conductor: Conductor
    settings: Mapping[str, Any]
    judges: Mapping[str, Assets | str]
    mark: str
    interrupted: Interruption
    view: ProgressView
    ray: OwnRay | Path
    stack: int = 1

    def result(self) -> Result:
        """The search as it stands."""
        waiting = self.search.store.enqueued() if self.conductor.finished else ()
        return Result.of(self.search.spec, self.conductor.agenda, self.search.header, len(waiting))

    def to_its_end(self) -> Outcome:
        """Do what is left of the search, unless it is interrupted, and tell everybody."""
        audience = Audience(self.search, self.conductor, self.view)
        audience.begin()
        result = None
        try:
            if not self.conductor.finished:
                self._train(audience)
            audience.trained()
            # As many as a trial has: for a small network more are slower where others use the CPU too.
            with on_threads(threads_of(self.search.spec.resources.cpu)):
                self.measure_samples(audience)
                self._sample_winner(audience)
            result = self.result()
            if result.finished:  # MLflow gets it too
                self._write_page(audience, result)
            audience.tracker.put_leaderboard([row.to_dict() for row in result.board.rows], result.conclusion)
            for record, make in models_of(self.search, result):
                audience.tracker.put_model(record, make)
        finally:
            with self.view.waiting("MLflow and the storage, which take what is left to keep", self._log):
                left = audience.close(result)
        if not result.finished:  # last: somebody waits for the end, or will not for long
            self._write_page(audience, result)
        return Outcome(result, left=left, stop_code=self.interrupted.exit_code)

    def _write_page(self, audience: Audience, result: Result) -> None:
        is_script = self.search.spec.script is not None
        audience.write_page(result, None if is_script else self.settings[OWN].assets.images_NCHW)

    def _log(self) -> Path:
        return self.search.folder / LOG_FILE

    def _train(self, audience: Audience) -> None:
        def on_loss(loss: RayLost) -> None:
            self.conductor.all_lost()
            audience.note(f"{loss}. It is started again, and the trials go on from their checkpoints")

        with foreknown(self.search.spec, self.settings, self.conductor, self.stack, audience.training):
            outlive_rays(
                lambda: self._train_on_one_ray(audience),
                interrupted=self.interrupted,
                num_done=lambda: sum(len(record.reports) for record in self.conductor.records.values()),
                on_loss=on_loss,
            )

    def _train_on_one_ray(self, audience: Audience) -> None:
        ray = self.ray.connected() if isinstance(self.ray, OwnRay) else nullcontext(self.ray)
        with ray as ray_folder:
            is_ours = self.search.spec.script is None
            if is_ours and self.search.spec.resources.gpu and not self.interrupted.is_set():
                with self.view.waiting("the worker that measures the GPU memory of a trial", log_of_workers):
                    check_slice(
                        self.search.spec,
                        self.settings[OWN].assets,
                        self.search.store,
                        self.interrupted,
                        self.view.note,
                    )
            if not self.interrupted.is_set():
                self._run_trials(ray_folder, audience)

    def _run_trials(self, ray_folder: Path, audience: Audience) -> None:
        # Here, because Ray reads its settings when it is imported.
        from search.engine.tune import Slots, run_trials, schedule_trainable

        spec = self.search.spec
        slots = Slots(
            cpu=spec.resources.cpu,
            gpu=spec.resources.gpu,
            micro_batch=spec.resources.micro_batch,
            stack=self.stack,
            system_metrics=spec.tracking.system_metrics,
        )
        here = isinstance(self.ray, OwnRay)  # on a cluster, machines may still come
        with self.view.listening(log_of_workers, self._log):
            run_trials(
                self.conductor,
                trainable=schedule_trainable(
                    trainer=spec.trainer,
                    settings=self.settings,
                    slots=slots,
                    max_concurrent=self.conductor.plan.max_concurrent,
                ),
                slots=slots,
                trials=self.search.trial_storage.location,
                ray_folder=ray_folder,
                interrupted=self.interrupted,
                mark=self.mark,
                runs_on=spec.trainer.RUNS_ON,
                on_step=audience.progressed,
                on_note=audience.note,
                on_turn=self.view.turn,
                worker_start=WorkerStart(START_SECONDS if here else None, log_of_workers),
            )

    def measure_samples(self, audience: Audience) -> None:
        """The samples of finalists and of the best baseline by other measures, each model's kept when it is done."""
        records = self.result().board.to_measure() if self.conductor.finished else ()
        if not records:
            return
        self.view.phase("samples by other measures", 0)
        measuring = Measuring(self.search.spec, self.settings[OWN], self.judges)
        for count, record in enumerate(records, 1):
            with self.view.waiting(f"the measuring of the samples of trial {record.number}", self._log):
                kept = unless_interrupted(self.interrupted, partial(measuring.of, record))
            if kept is None:
                return
            audience.tracker.put(self.conductor.measured(record.number, kept))
            what = "measured" if kept["problem"] is None else f"not measured: {kept['problem']}"
            self.view.note(f"{title_of(record)} {what}, {count} of {len(records)}")

    def _sample_winner(self, audience: Audience) -> None:
        """The sampling levels that the search file asks for, unless they are there."""
        spec = self.search.spec
        record = unmeasured(spec, self.result().board) if self.conductor.finished else None
        if record is None:
            return
        self.view.phase("sampling levels of the winner", 0)
        with self.view.waiting("the optimisation of the winner's sampling levels", self._log):
            measured = unless_interrupted(
                self.interrupted,
                lambda: measure(spec, record, self.settings[OWN].assets, spec.sampling.nfe),
            )
        if measured is not None:
            audience.tracker.put_sampling(record, measured[0])


def unless_interrupted(interrupted: Interruption, work: Callable[[], T]) -> T | None:
    """What the work gives; None where an interruption ended it."""
    try:
        with interrupted.raising():
            return work()
    except KeyboardInterrupt:
        return None
