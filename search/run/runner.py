"""Runs a search on this machine or on a Ray cluster, from its file to its leaderboard."""

import logging
import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from search.cluster.storage_defaults import tracking_environment
from search.engine.ray_cluster import cluster_ray, cluster_slots
from search.engine.ray_here import local_ray
from search.engine.slice_check import check_slice
from search.engine.storage_check import check_here, check_shared
from search.errors import InputError
from search.file.spec import SearchSpec
from search.machine.checkout import is_shipped
from search.machine.gpus import VISIBLE, mig_devices_in
from search.machine.interruption import Interruption
from search.machine.state_folder import home
from search.policy.conductor import Conductor
from search.record import Purpose, State, TrialRecord
from search.run.known import remember
from search.run.plan_of import plan_of
from search.run.result import Result, command, unmeasured
from search.run.session import LOG_FILE, SPEC_FILE, only_driver, open_or_create
from search.run.tracked import parent_info, projection_settings
from search.screen.live_state import PHASE_OF
from search.screen.view import ProgressView
from search.study.lock import only_driver_of
from search.study.retention import Janitor, Retention
from search.study.store import StudyStore
from search.study.trial_storage import mark_of, take_ownership
from search.tracking import ProjectionProcess, Tracker
from search.winner.sampling import measure
from trainable.metric.assets import Assets, prepare
from trainable.storage.atomic import write_atomically
from trainable.trial import device_of

# The folder of a job goes with the job, and with it what it has downloaded.
CACHE = home() / "cache" if is_shipped() else Path(".cache")
# How long the end waits for MLflow, and for the storage. After Ctrl-C somebody waits for it; a job may be stopped when
# the head is busy, and has `RAY_JOB_STOP_WAIT_TIME_S` for both.
_CLOSE_SECONDS, _STOPPED_SECONDS, _STOPPED_JOB_SECONDS = 30.0, 5.0, 25.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Machine:
    """What this machine offers to trials."""

    cpus: int
    gpus: int

    @classmethod
    def here(cls) -> "Machine":
        gpus = mig_devices_in(os.environ.get(VISIBLE)) or torch.cuda.device_count()
        return cls(cpus=len(os.sched_getaffinity(0)), gpus=gpus)

    def slots(self, spec: SearchSpec) -> int:
        """Trials at a time. InputError if not even one fits."""
        wanted = spec.resources
        if wanted.cpu > self.cpus:
            raise InputError(f"`resources.cpu` is {wanted.cpu:g}, but this machine has {self.cpus} CPUs")
        if wanted.gpu > self.gpus:
            raise InputError(
                f"`resources.gpu` is {wanted.gpu:g}, but this machine has {self.gpus} GPUs that torch sees. "
                "Set it to 0 to train on the CPU"
            )
        room = wanted.trials_on(self.cpus, self.gpus)
        return min(room, wanted.max_concurrent or room)


@dataclass(frozen=True)
class Outcome:
    """How a run ended. already_finished: it had nothing to do. left: MLflow's leftover in one line, if any."""

    result: Result
    header: dict[str, object]
    already_finished: bool = False
    left: str | None = None


def run_search(
    spec: SearchSpec,
    *,
    interrupted: Interruption,
    view: ProgressView,
    address: str | None = None,
) -> Outcome:
    """Run the search, or go on with it, until it is finished or `interrupted` is set.

    address: of the Ray cluster that runs the trials; None: a Ray of our own on this machine. Raises InputError
    for a search that cannot run there, KeyboardInterrupt if it is interrupted before its study is there.
    """
    with ExitStack() as stack:
        stack.enter_context(only_driver(spec.folder))
        ray_folder = None
        if address is not None:
            view.phase("connecting to the cluster", 0)
            ray_folder = stack.enter_context(cluster_ray(address))
        with interrupted.raising():
            if address is None:
                slots = Machine.here().slots(spec)
                check_here(spec.trials)
            else:
                slots = cluster_slots(spec.resources)
                check_shared(spec.trials)
                remember(spec.folder)
            view.phase("preparing data and feature network", 0)
            extractor = spec.objective.extractor
            assert extractor is not None
            device = device_of(spec.resources.gpu) if address is None else "cpu"
            assets = prepare(spec.data, extractor, CACHE, device)
            store = open_or_create(spec, assets)
        store.give_up_when(interrupted.is_set)
        stack.enter_context(only_driver_of(store, spec.study_url_resolved, spec.name, interrupted))
        take_ownership(spec.trials, store.header["study_id"])
        plan = plan_of(spec, slots)
        conductor = Conductor(plan, store)
        if conductor.finished:
            result = Result.of(spec, conductor)
            if result.finished:
                return Outcome(result, store.header, already_finished=True)
        write_atomically(spec.folder / SPEC_FILE, spec.to_yaml().encode())
        return _run(spec, conductor, store, assets, slots, interrupted, view, ray_folder)


def _run(
    spec: SearchSpec,
    conductor: Conductor,
    store: StudyStore,
    assets: Assets,
    slots: int,
    interrupted: Interruption,
    view: ProgressView,
    ray_folder: Path | None,
) -> Outcome:
    projection = ProjectionProcess(
        projection_settings(spec, store), spec.folder / LOG_FILE, tracking_environment(spec)
    )
    tracker = Tracker(projection)
    tracker.put_parent(parent_info(spec, store, "RUNNING"))
    for record in conductor.records.values():
        tracker.put(record)  # what a killed driver or a lost MLflow left open
    view.restored(conductor.records.values())
    view.expect({name: conductor.num_trials(purpose) for purpose, name in PHASE_OF.items()})
    janitor = Janitor(Retention(conductor.plan.race), spec.trials)
    janitor.restored(conductor.records.values())
    conductor.on_change = _observer(tracker, view, conductor, janitor)
    result = None
    try:
        if not conductor.finished:
            _train(spec, conductor, assets, slots, interrupted, view, ray_folder)
        result = Result.of(spec, conductor)
        sampled = unmeasured(spec, result.board) if conductor.finished else None
        if sampled is not None:
            _measure_sampling(spec, sampled, assets, tracker, interrupted, view)
            result = Result.of(spec, conductor)
        tracker.put_leaderboard([row.to_dict() for row in result.board.rows])
    finally:
        seconds = _STOPPED_JOB_SECONDS if is_shipped() else _STOPPED_SECONDS
        if result is not None and result.finished:
            seconds = _CLOSE_SECONDS
        status = (
            result.mlflow_status() if result is not None else "KILLED"
        )  # an error: it can be gone on with
        try:
            tracker.put_parent(parent_info(spec, store, status, result))
        finally:
            janitor.close(seconds)
            leftover = tracker.close(seconds)
            projection.close()
    left = leftover.message(command(spec, "reconcile")) if leftover else None
    return Outcome(result, store.header, left=left)


def _measure_sampling(
    spec: SearchSpec,
    record: TrialRecord,
    assets: Assets,
    tracker: Tracker,
    interrupted: Interruption,
    view: ProgressView,
) -> None:
    """Optimise sampling levels on the trial's model, unless the search is interrupted."""
    view.phase("sampling levels of the winner", 0)
    try:
        with interrupted.raising():
            measured, _ = measure(spec, record, assets, spec.sampling.nfe)
    except KeyboardInterrupt:
        return
    tracker.put_sampling(record, measured)


def _train(
    spec: SearchSpec,
    conductor: Conductor,
    assets: Assets,
    slots: int,
    interrupted: Interruption,
    view: ProgressView,
    ray_folder: Path | None,
) -> None:
    """ray_folder: of the Ray that is connected; None: start one."""
    with ExitStack() as stack:
        if interrupted.is_set():
            return
        if ray_folder is None:
            view.phase("starting Ray", 0)
            cpus = math.ceil(slots * spec.resources.cpu)
            gpus = math.ceil(slots * spec.resources.gpu - 1e-6)
            ray_folder = stack.enter_context(local_ray(num_cpus=max(1, cpus), num_gpus=gpus))
            if interrupted.is_set():
                return
        # Here, because Ray reads its settings when it is imported.
        from search.engine.tune import Slots, run_trials, schedule_trainable

        wanted = spec.resources
        if wanted.gpu:
            check_slice(spec, assets, conductor.trials, interrupted, view.note)
        if interrupted.is_set():
            return
        slot = Slots(cpu=wanted.cpu, gpu=wanted.gpu, micro_batch=wanted.micro_batch)
        run_trials(
            conductor,
            trainable=schedule_trainable(
                assets=assets,
                network=spec.network,
                training=spec.training,
                num_samples=spec.objective.num_samples,
                slots=slot,
                max_concurrent=slots,
            ),
            slots=slot,
            trials=spec.trials,
            ray_folder=ray_folder,
            interrupted=interrupted,
            mark=mark_of(conductor.trials.header["study_id"]),
            on_step=view.trial_progress,
        )


def _observer(
    tracker: Tracker, view: ProgressView, conductor: Conductor, janitor: Janitor
) -> Callable[[TrialRecord], None]:
    """Tells the tracker, the view and the janitor of every change of a trial."""
    started: set[int] = set()
    entered: set[Purpose] = set()
    retried: set[int] = set()

    def on_change(record: TrialRecord) -> None:
        tracker.put(record)
        if record.state is not State.RUNNING:
            janitor.ended(record)
        _log.info("trial %d %s %s %s", record.number, record.purpose, record.state, record.objective)
        if record.micro_batch is not None and record.number not in retried:
            retried.add(record.number)
            view.note(
                f"trial {record.number} ran out of GPU memory: once more with {record.micro_batch} images at once"
            )
        if record.purpose is not Purpose.REPLICATE and record.purpose not in entered:
            entered.add(record.purpose)
            view.phase(PHASE_OF[record.purpose], conductor.num_trials(record.purpose))
        view.expect({PHASE_OF[Purpose.CONFIRM]: conductor.num_trials(Purpose.CONFIRM)})
        if record.state is not State.RUNNING:
            view.trial_ended(record)
        elif record.number not in started:
            started.add(record.number)
            view.trial_started(record)
        else:
            view.trial_reported(record)

    return on_change
