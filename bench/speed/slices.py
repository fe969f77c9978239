"""Trials an hour on one GPU that is divided into 1, 2, 4 and 8 slices, with and without NVIDIA's MPS.

Small networks leave a large card idle: several trials side by side use it better, up to a point that depends on the
network and on the card. Needs a GPU, and MPS (`nvidia-cuda-mps-control`) for the second half of its table.
"""

import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch

from bench.figures import table
from search.engine.ray_here import local_ray
from search.file.spec import SearchSpec, load_spec, overridden
from search.file.values import one_nth
from search.gpu_node import MPS_FOLDERS
from search.machine.cache_folder import cache_folder
from search.machine.sqlite_url import sqlite_url
from search.policy.conductor import Conductor
from search.record import State, TrialRecord
from search.running.plan_of import plan_of
from search.stopping.none import NoStopping
from search.study.store import StudyStore
from trainable.gpu.gpu_slice import gib
from trainable.metric.assets import prepare
from trainable.setting import Setting
from trainable.task import OWN

SLICES = (1, 2, 4, 8)
WAVES = 4  # trials for each slice, one after another; the first one is the warm-up
_CONTROL = "nvidia-cuda-mps-control"
_CHANGES = {
    "network": {"name": "unet"},
    "training": {"total_steps": 1000},
    "presets": [],
    "noise_floor.seeds": 0,
    "algorithm": "random",
}


def missing() -> str | None:
    """Why nothing can be measured here, in one line; None where it can."""
    if torch.cuda.is_available():
        return None
    return "bench slices needs a GPU, but torch sees none here: nothing was measured"


def trials_per_hour(ends: Sequence[float], slices: int) -> float | None:
    """From the seconds at which trials of equal length ended; None: too few did.

    Counted from the end of the first wave, so that neither start-up nor preparation is in it.
    """
    ends = sorted(ends)
    if len(ends) <= slices or ends[-1] <= ends[slices - 1]:
        return None
    return 3600 * (len(ends) - slices) / (ends[-1] - ends[slices - 1])


def rows(alone: Mapping[int, float | None], mps: Mapping[int, float | None]) -> list[list[str]]:
    """Of the table: for each number of slices, trials an hour without and with MPS, each against one slice alone."""
    base = alone.get(1)

    def cells(rate: float | None) -> list[str]:
        if rate is None:
            return ["-", "-"]
        return [f"{rate:.0f}", f"{rate / base:.2f}" if base else "-"]

    numbers = sorted({*alone, *mps})
    return [[f"{n}", f"{one_nth(n):g}", *cells(alone.get(n)), *cells(mps.get(n))] for n in numbers]


HEAD = ("slices", "gpu", "trials/h", "against 1", "with MPS", "against 1")


@contextmanager
def mps() -> Iterator[None]:
    """A control daemon of our own, which the processes that are started meanwhile find by their environment."""
    with tempfile.TemporaryDirectory(prefix="bench-mps-") as name:
        folders = {variable: str(Path(name, variable)) for variable in MPS_FOLDERS}
        for folder in folders.values():
            Path(folder).mkdir()
        before = {variable: os.environ.get(variable) for variable in folders}
        os.environ.update(folders)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        try:
            subprocess.run([_CONTROL, "-d"], check=True, timeout=60, **quiet)  # type: ignore[call-overload]
            yield
        finally:
            subprocess.run([_CONTROL], input=b"quit\n", timeout=60, check=False, **quiet)  # type: ignore[call-overload]
            for variable, value in before.items():
                os.environ.pop(variable) if value is None else os.environ.update({variable: value})


def measure(spec: SearchSpec, slices: int, folder: Path) -> list[float]:
    """Seconds at which the trials ended that ran to their end, WAVES for each slice."""
    logging.disable(logging.WARNING)  # Tune complains of switched-off files, a line for each trial
    assets = prepare(spec.own_setting.data, spec.own_setting.extractor, cache_folder())
    plan = replace(
        plan_of(spec, slices), stopping=NoStopping(rungs=()), race=None, holds=None, max_trials=WAVES * slices
    )
    ends: list[float] = []

    def on_change(record: TrialRecord) -> None:
        if record.state is State.COMPLETE:
            ends.append(time.perf_counter())

    folder.mkdir()
    store = StudyStore.create(sqlite_url(folder / "study.db"), spec.name, {"search": spec.resolved()})
    with local_ray(num_cpus=slices, num_gpus=1) as ray_folder:
        from search.engine.tune import Slots, run_trials, schedule_trainable

        slots = Slots(cpu=1, gpu=one_nth(slices))
        trainable = schedule_trainable(
            settings={
                OWN: Setting(assets, spec.own_setting.network, spec.training, spec.objective.num_samples)
            },
            slots=slots,
            max_concurrent=slices,
        )
        run_trials(
            Conductor(plan, store, on_change=on_change),
            trainable=trainable,
            slots=slots,
            trials=str(folder),
            ray_folder=ray_folder,
            interrupted=threading.Event(),
        )
    return ends


def main(show: Callable[[str], None]) -> None:
    """Measure and show."""
    spec = overridden(load_spec("searches/digits.yaml"), _CHANGES)
    properties = torch.cuda.get_device_properties(0)
    show(
        f"slices: {WAVES} trials for each slice, the first left out; digits, unet, {spec.training.total_steps} steps "
        f"of {spec.training.batch_size}\n"
        f"gpu       {properties.name}, {gib(properties.total_memory)}, CUDA {torch.version.cuda}"
    )
    with_mps = shutil.which(_CONTROL) is not None
    found: dict[bool, dict[int, float | None]] = {False: {}, True: {}}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for use_mps in (False, True)[: 1 + with_mps]:
            for slices in SLICES:
                folder = Path(name, f"{slices}-{use_mps}")
                with (
                    mps() if use_mps else nullcontext(),
                    ProcessPoolExecutor(1, get_context("spawn")) as pool,
                ):
                    # A process for each, so that all that it holds of the GPU is free again.
                    ends = pool.submit(measure, spec, slices, folder).result()
                found[use_mps][slices] = trials_per_hour(ends, slices)
    show(table(HEAD, rows(found[False], found[True])))
    if not with_mps:
        show(f"MPS: {_CONTROL} is not installed here")
    show("- : fewer trials ran to their end than that takes; the slice may be too small")
