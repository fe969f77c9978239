"""Runs a search on this machine or on a Ray cluster, from its file to its leaderboard."""

import logging
import math
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from search.cluster_ray import check_shared, cluster_ray, cluster_slots
from search.conductor import Conductor
from search.errors import InputError, OperationFailed
from search.leaderboard import Leaderboard
from search.local_ray import local_ray
from search.progress import ProgressView
from search.record import Stage, State, TrialRecord
from search.sampling import measure, median_trial, read_sampling
from search.session import (
    LOG_FILE,
    SPEC_FILE,
    board_of,
    only_driver,
    open_or_create,
    parent_info,
    plan_of,
    projection_settings,
)
from search.spec import SearchSpec
from search.study import StudyStore
from search.tracking import ProjectionProcess, Tracker
from trainable.assets import Assets, prepare
from trainable.atomic import write_atomically
from trainable.trial import device_of

CACHE = Path(".cache")
_PHASES = {
    Stage.BASELINE: "baselines",
    Stage.NOISE: "noise floor",
    Stage.SEARCH: "search",
    Stage.REPLICATE: "search",
    Stage.CONFIRM: "confirm",
}
_CLOSE_SECONDS = 30.0  # how long the end waits for MLflow

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Machine:
    """What this machine offers to trials."""

    cpus: int
    gpus: int

    @classmethod
    def here(cls) -> "Machine":
        return cls(cpus=len(os.sched_getaffinity(0)), gpus=torch.cuda.device_count())

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
        by_cpu = math.floor(self.cpus / wanted.cpu + 1e-6) if wanted.cpu else math.inf
        by_gpu = self.gpus * math.floor(1 / wanted.gpu) if 0 < wanted.gpu < 1 else math.inf
        if wanted.gpu >= 1:
            by_gpu = math.floor(self.gpus / wanted.gpu)
        return int(min(by_cpu, by_gpu, wanted.max_concurrent or math.inf))


@dataclass(frozen=True)
class Outcome:
    """How a run ended. already_finished: it had nothing to do. left: MLflow's leftover in one line, if any."""

    leaderboard: Leaderboard
    header: dict[str, object]
    finished: bool
    already_finished: bool = False
    left: str | None = None


def run_search(
    spec: SearchSpec,
    *,
    interrupted: threading.Event,
    view: ProgressView | None = None,
    address: str | None = None,
) -> Outcome:
    """Run the search, or go on with it, until it is finished or `interrupted` is set.

    address: of the Ray cluster that runs the trials; None: a Ray of our own on this machine. Raises InputError
    for a search that cannot run there, OperationFailed if every trial failed.
    """
    with ExitStack() as stack:
        stack.enter_context(only_driver(spec.folder))
        ray_folder = None
        if address is None:
            slots = Machine.here().slots(spec)
        else:
            if view is not None:
                view.phase("connecting to the cluster", 0)
            ray_folder = stack.enter_context(cluster_ray(address))
            slots = cluster_slots(spec.resources)
            check_shared(spec.folder)
        if view is not None:
            view.phase("preparing data and feature network", 0)
        extractor = spec.objective.extractor
        assert extractor is not None
        device = device_of(spec.resources.gpu) if address is None else "cpu"
        assets = prepare(spec.data, extractor, CACHE, device)
        store = open_or_create(spec, assets)
        plan = plan_of(spec, slots)
        conductor = Conductor(plan, store)
        if conductor.finished:
            board = board_of(spec, list(conductor.records.values()))
            if not _unmeasured(spec, board):
                return Outcome(board, store.header, finished=True, already_finished=True)
        write_atomically(spec.folder / SPEC_FILE, spec.to_yaml().encode())
        return _run(spec, conductor, store, assets, slots, interrupted, view, ray_folder)


def _run(
    spec: SearchSpec,
    conductor: Conductor,
    store: StudyStore,
    assets: Assets,
    slots: int,
    interrupted: threading.Event,
    view: ProgressView | None,
    ray_folder: Path | None,
) -> Outcome:
    projection = ProjectionProcess(projection_settings(spec, store), spec.folder / LOG_FILE)
    tracker = Tracker(projection)
    tracker.put_parent(parent_info(spec, store, "RUNNING"))
    for record in conductor.records.values():
        tracker.put(record)  # what a killed driver or a lost MLflow left open
    if view is not None:
        view.restored(conductor.records.values())
        view.expect({name: conductor.num_trials(stage) for stage, name in _PHASES.items()})
    conductor.on_change = _observer(tracker, view, conductor)
    status, board = "FAILED", None
    try:
        if not conductor.finished:
            _train(spec, conductor, assets, slots, interrupted, view, ray_folder)
        if conductor.finished:
            _raise_if_all_failed(spec, conductor)
        board = board_of(spec, list(conductor.records.values()))
        if conductor.finished:
            _measure_sampling(spec, board, assets, tracker, interrupted, view)
        finished = conductor.finished and not _unmeasured(spec, board)
        status = "FINISHED" if finished else "KILLED"
        tracker.put_leaderboard([row.to_dict() for row in board.rows])
    finally:
        tracker.put_parent(parent_info(spec, store, status, board))
        leftover = tracker.close(_CLOSE_SECONDS if status == "FINISHED" else _CLOSE_SECONDS / 6)
        projection.close()
    left = leftover.message(spec.name) if leftover else None
    return Outcome(board, store.header, finished=finished, left=left)


def _unmeasured(spec: SearchSpec, board: Leaderboard) -> TrialRecord | None:
    """The trial whose sampling levels the search file asks for and that has none yet."""
    if not spec.sampling.nfe or board.winner is None:
        return None
    measured = read_sampling(spec.folder, board.winner)
    if measured is not None and set(map(str, spec.sampling.nfe)) <= set(measured["best"]):
        return None
    return median_trial(board.winner)


def _measure_sampling(
    spec: SearchSpec,
    board: Leaderboard,
    assets: Assets,
    tracker: Tracker,
    interrupted: threading.Event,
    view: ProgressView | None,
) -> None:
    """Optimise the winner's sampling levels, unless they are there or the search is interrupted."""
    record = _unmeasured(spec, board)
    if record is None:
        return
    if view is not None:
        view.phase("sampling levels of the winner", 0)

    def check() -> None:
        if interrupted.is_set():
            raise _Interrupted

    with suppress(_Interrupted):
        measured, _ = measure(spec, record, assets, spec.sampling.nfe, on_distance=check)
        tracker.put_sampling(record, measured)


class _Interrupted(Exception):
    """Ctrl-C while something other than trials was measured."""


def _train(
    spec: SearchSpec,
    conductor: Conductor,
    assets: Assets,
    slots: int,
    interrupted: threading.Event,
    view: ProgressView | None,
    ray_folder: Path | None,
) -> None:
    """ray_folder: of the Ray that is connected; None: start one."""
    with ExitStack() as stack:
        if ray_folder is None:
            if view is not None:
                view.phase("starting Ray", 0)
            cpus = math.ceil(slots * spec.resources.cpu)
            gpus = math.ceil(slots * spec.resources.gpu - 1e-6)
            ray_folder = stack.enter_context(local_ray(num_cpus=max(1, cpus), num_gpus=gpus))
        # Here, because Ray reads its settings when it is imported.
        from search.engine import Slots, run_trials, schedule_trainable

        if interrupted.is_set():
            return
        slot = Slots(cpu=spec.resources.cpu, gpu=spec.resources.gpu)
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
            search_folder=spec.folder,
            ray_folder=ray_folder,
            interrupted=interrupted,
            on_step=view.trial_progress if view is not None else lambda number, step: None,
        )


def _observer(
    tracker: Tracker, view: ProgressView | None, conductor: Conductor
) -> Callable[[TrialRecord], None]:
    """Tells the tracker and the view of every change of a trial."""
    seen: dict[int, State] = {}
    entered: set[Stage] = set()

    def on_change(record: TrialRecord) -> None:
        tracker.put(record)
        _log.info("trial %d %s %s %s", record.number, record.stage, record.state, record.objective)
        if view is None:
            return
        if record.stage is not Stage.REPLICATE and record.stage not in entered:
            entered.add(record.stage)
            view.phase(_PHASES[record.stage], conductor.num_trials(record.stage))
        view.expect({_PHASES[Stage.CONFIRM]: conductor.num_trials(Stage.CONFIRM)})
        if record.state is not State.RUNNING:
            view.trial_ended(record)
        elif record.number not in seen:
            view.trial_started(record)
        else:
            view.trial_reported(record)
        seen[record.number] = record.state

    return on_change


def _raise_if_all_failed(spec: SearchSpec, conductor: Conductor) -> None:
    records = list(conductor.records.values())
    if all(record.state is State.FAILED for record in records):
        raise OperationFailed(
            f"every trial of search {spec.name!r} failed, first with: {records[0].reason}. "
            f"See {spec.folder / LOG_FILE}"
        )
