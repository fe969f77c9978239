"""Records real learning curves of a search: what the simulator (`search/simulator/`) plays back.

    nice -n 15 python -m bench.quality.record_curves searches/digits.yaml

Every curve is a real trial, trained and measured by `TrialWorker` at every eighth of the budget, one torch thread.
First the literature presets and random schedules, then perturbations of the best so far, round by round: a search
that converges there should not see a staircase. Then both once more. Each is trained on the same few seeds; at the end
the best and the presets get more, so that a confirmation on fresh seeds has real ones to draw on. With `--few` all of
that is less, as a space of more parts is recorded in half an hour: one seed each at first. Any prefix of the work can
be used.

One line of JSON per curve is appended to a file; the same command again goes on where it stopped. At the end the
table is written (`search/simulator/table.py` has the format), with `--write` at once, from what is there.
"""

import argparse
import fcntl
import itertools
import json
import math
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import optuna
import torch

from bench.arguments import whole_number
from bench.figures import heading, machine, versions
from search.errors import EXIT_INPUT, InputError
from search.file.identity import changed_fields
from search.file.spec import SearchSpec, load_spec
from search.machine.cache_folder import cache_folder
from search.machine.checkout import git_commit
from search.simulator.table import shipped_path, write_table
from spaces import PRESETS, NoiseSchedule, SearchSpace
from spaces.space.neighbour import neighbour
from trainable.metric.assets import Assets, prepare
from trainable.network import Network
from trainable.setting import Setting
from trainable.task import WORST_OBJECTIVE, TrialTask
from trainable.training.config import TrainingConfig
from trainable.trial import TrialWorker

CURVES_FILE = "curves.jsonl"
NUM_RUNGS = 8
_DRAW_SEED = 2718  # of the schedules drawn here; training seeds are 0, 1, ...
# How far a perturbation goes, as a share of a parameter's range: drawn for each schedule, log-uniform.
_NEAR, _FAR = 0.03, 0.3


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much is recorded.

    turns: of each, the number of schedules drawn at random, then that of the rounds of perturbations, one of each of
    the best `num_best` by mean. seeds: for every schedule, before the best are chosen. num_replicated: of the best
    schedules, that many and the presets get `more_seeds` in all. common_seeds: for every schedule in the end, if more,
    the best first.
    """

    turns: tuple[tuple[int, int], ...] = ((140, 6), (160, 14))
    num_best: int = 16
    seeds: int = 3
    num_replicated: int = 40
    more_seeds: int = 12
    common_seeds: int = 0


FEW = Amount(turns=((200, 4),), seeds=1, more_seeds=3, common_seeds=2)


@dataclass(frozen=True)
class Task:
    """One curve to record. origin: where its schedule came from."""

    schedule: NoiseSchedule
    seed: int
    origin: str = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A recorded trial.

    values: objective at the steps reached, the worst value where it diverged. cpu_seconds: of the process, from
    the start of the trial to each of them, measurements included.
    """

    values: list[float]
    losses: list[float | None]
    cpu_seconds: list[float]
    outcome: str


def stages(
    space: SearchSpace,
    presets: Mapping[str, NoiseSchedule],
    amount: Amount,
    done: Mapping[Task, Curve],
    total_steps: int = 2000,
) -> Iterator[list[Task]]:
    """The work in its order. What a stage holds may depend on `done`, which must have all stages before it.

    total_steps: of a trial, to which a space's least `ends` belong.
    """
    origins = {schedule: f"preset {name}" for name, schedule in presets.items()}
    base, more = range(amount.seeds), range(amount.seeds, amount.more_seeds)

    def tasks(schedules: Sequence[NoiseSchedule], seeds: range) -> list[Task]:
        return [Task(schedule, seed, origins[schedule]) for schedule in schedules for seed in seeds]

    def best() -> list[NoiseSchedule]:
        def mean(schedule: NoiseSchedule) -> float:
            return statistics.fmean(done[task].values[-1] for task in tasks([schedule], base))

        return sorted(origins, key=mean)  # stable

    yield tasks(list(presets.values()), base)
    draws = enumerate(_random_schedules(space, total_steps))
    round_numbers = itertools.count()
    for num_random, num_rounds in amount.turns:
        drawn = {schedule: f"random {index}" for index, schedule in itertools.islice(draws, num_random)}
        new = [schedule for schedule in drawn if schedule not in origins]
        origins |= {schedule: drawn[schedule] for schedule in new}
        yield tasks(new, base)
        for number in itertools.islice(round_numbers, num_rounds):
            parents = [schedule for schedule in best() if space.params_of(schedule) is not None]
            places = {schedule: place for place, schedule in enumerate(origins)}
            near = {}
            for parent in parents[: amount.num_best]:
                rng = random.Random(f"{_DRAW_SEED}/{number}/{places[parent]}")
                near[perturbed(space, parent, rng)] = f"round {number}, near schedule {places[parent]}"
            new = [
                schedule
                for schedule in near
                if schedule not in origins and space.allows(schedule, total_steps)
            ]
            origins |= {schedule: near[schedule] for schedule in new}
            yield tasks(new, base)
    ranked = best()
    replicated = dict.fromkeys([*presets.values(), *ranked[: amount.num_replicated]])
    yield tasks(list(replicated), more)
    yield tasks(ranked, range(amount.common_seeds))


def _random_schedules(space: SearchSpace, total_steps: int) -> Iterator[NoiseSchedule]:
    """Those that a search may propose."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=_DRAW_SEED))
    while True:
        schedule = space.suggest(study.ask())
        if space.allows(schedule, total_steps):
            yield schedule


def perturbed(space: SearchSpace, schedule: NoiseSchedule, rng: random.Random) -> NoiseSchedule:
    """A schedule of the space near `schedule`: its numbers moved, its families mostly kept."""
    params = space.params_of(schedule)
    assert params is not None, "outside the space"
    share = math.exp(rng.uniform(math.log(_NEAR), math.log(_FAR)))
    return neighbour(space, params, share, rng).schedule


# One curve


class Recorder:
    """Runs trials one after another, as the workers of a search do."""

    def __init__(
        self,
        assets: Assets,
        network: Network,
        training: TrainingConfig,
        num_samples: int,
        steps: Sequence[int],
    ):
        torch.set_num_threads(1)
        self._worker = TrialWorker(Setting(assets, network, training, num_samples))
        self._steps = tuple(steps)

    def __call__(self, task: Task) -> tuple[Task, Curve]:
        """The whole trial; its checkpoints and pictures are thrown away."""
        with tempfile.TemporaryDirectory(prefix="curve-") as folder:
            return task, self.curve(task, folder)

    def curve(self, task: Task, folder: str) -> Curve:
        """The whole trial; its checkpoints and pictures are kept in the empty folder."""
        schedule = task.schedule.to_dict()
        begun = time.process_time()
        self._worker.begin(
            TrialTask(number=0, schedule=schedule, seed=task.seed, rungs=self._steps, folder=folder)
        )
        cpu_seconds = []
        outcome = None
        while outcome is None:
            progress = self._worker.advance()
            outcome = progress.outcome
            cpu_seconds.append(round(time.process_time() - begun, 3))
        return Curve(
            values=[report["objective"] for report in progress.reports],
            losses=[report["metrics"].get("loss") for report in progress.reports],
            cpu_seconds=cpu_seconds,
            outcome=outcome,
        )


# What is kept


@dataclass(frozen=True)
class Recording:
    """What a folder holds. header: what was recorded, where and with what. curves: in the order of the work."""

    header: dict[str, Any]
    curves: dict[Task, Curve]

    @classmethod
    def of(cls, lines: bytes) -> "Recording":
        """From whole lines, at least the first."""
        header, *rest = map(json.loads, lines.splitlines())
        curves = {}
        for line in rest:
            task = Task(NoiseSchedule.from_dict(line["schedule"]), line["seed"], line["origin"])
            curves[task] = Curve(**{name: line[name] for name in Curve.__dataclass_fields__})
        return cls(header, curves)


def whole_lines(file: BinaryIO) -> bytes:
    """All but a last line that a kill has cut short."""
    file.seek(0)
    return b"".join(line for line in file if line.endswith(b"\n"))


class Folder:
    """Curves in an append-only file. One process at a time.

    identity: what curves must agree in to stand in one table. about: kept beside it when the folder is new.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], about: Mapping[str, Any]):
        """InputError where the folder holds curves of something else, or another process records there."""
        path.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = (path / CURVES_FILE).open("a+b")
        try:
            self.curves = self._open(path, identity, about)
        except BaseException:
            self._file.close()
            raise

    def _open(self, path: Path, identity: Mapping[str, Any], about: Mapping[str, Any]) -> dict[Task, Curve]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{path} is being written by another process: wait for it") from None
        lines = whole_lines(self._file)
        self._file.truncate(len(lines))
        if not lines:
            lines = self._append({"identity": identity, "about": about})
        recording = Recording.of(lines)
        changed = changed_fields(recording.header["identity"], json.loads(json.dumps(identity)))
        if changed:
            raise InputError(f"{path} was recorded with another {', '.join(changed)}: give another --folder")
        return recording.curves

    def add(self, task: Task, curve: Curve) -> None:
        """Keep a curve."""
        self.curves[task] = curve
        schedule = task.schedule.to_dict()
        self._append({"schedule": schedule, "seed": task.seed, "origin": task.origin, **vars(curve)})

    def _append(self, line: Mapping[str, Any]) -> bytes:
        text = json.dumps(line).encode() + b"\n"
        self._file.write(text)
        self._file.flush()
        os.fsync(self._file.fileno())
        return text

    def close(self) -> None:
        """Let others record there."""
        self._file.close()


def write(path: Path, recording: Recording, seeds: int) -> int:
    """Write the table of the schedules that were trained on the first `seeds` seeds; returns their number."""
    identity, about = recording.header["identity"], recording.header["about"]
    rows: dict[NoiseSchedule, dict[str, Any]] = {}
    for task, curve in recording.curves.items():
        row = rows.setdefault(
            task.schedule, {"origin": task.origin, "schedule": task.schedule.to_dict(), "curves": {}}
        )
        values = [value if value < WORST_OBJECTIVE else None for value in curve.values]
        values += [None] * (len(identity["steps"]) - len(values))
        row["curves"][str(task.seed)] = {"cpu_seconds": curve.cpu_seconds[-1], "values": values}
    whole = [row for row in rows.values() if {str(seed) for seed in range(seeds)} <= row["curves"].keys()]
    curves = [curve for row in whole for curve in row["curves"].values()]
    cpu_hours = round(sum(curve["cpu_seconds"] for curve in curves) / 3600, 2)
    header = {**identity, "about": {**about, "num_curves": len(curves), "cpu_hours": cpu_hours}}
    write_table(path, header, whole)
    return len(whole)


# The work


def record(
    work: Callable[[Mapping[Task, Curve]], Iterator[list[Task]]],
    folder: Folder,
    run: Callable[[list[Task]], Iterator[tuple[Task, Curve]]],
    show: Callable[[str], None] = lambda text: None,
) -> None:
    """Record what is missing, stage by stage, each in its order."""
    for tasks in work(folder.curves):
        missing = [task for task in tasks if task not in folder.curves]
        for count, (task, curve) in enumerate(run(missing), start=1):
            folder.add(task, curve)
            show(
                f"{count}/{len(missing)} of this stage: seed {task.seed} {curve.values[-1]:.4g} {curve.outcome} "
                f"in {curve.cpu_seconds[-1]:.1f} CPU s: {task.origin}: {task.schedule.describe()}"
            )


def rungs(total_steps: int) -> tuple[int, ...]:
    """Steps of the eighths of the budget, rounded as stopping rules round theirs."""
    return tuple(round(total_steps * i / NUM_RUNGS) for i in range(1, NUM_RUNGS + 1))


def identity_of(spec: SearchSpec, assets: Assets) -> dict[str, Any]:
    """What curves must agree in to stand in one table."""
    resolved = spec.fingerprint_fields()
    return {
        "search": {
            name: resolved[name] for name in ("data", "network", "training", "objective", "space", "presets")
        },
        "steps": list(rungs(spec.training.total_steps)),
        "data_sha256": assets.data_sha256,
        "extractor_sha256": assets.extractor_sha256,
    }


@contextmanager
def _pool(
    recorder: tuple[Any, ...], workers: int
) -> Iterator[Callable[[list[Task]], Iterator[tuple[Task, Curve]]]]:
    if workers == 1:
        one = Recorder(*recorder)
        yield lambda tasks: map(one, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _start, recorder) as pool:
        yield lambda tasks: pool.imap(_run, tasks)


_recorder: Recorder  # of this process of the pool


def _start(*recorder: Any) -> None:
    global _recorder
    _recorder = Recorder(*recorder)


def _run(task: Task) -> tuple[Task, Curve]:
    return _recorder(task)


def main(arguments: Sequence[str]) -> int:
    """Record, then write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.quality.record_curves", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("file", help="search file")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/curves"), help="where curves are kept (runs/curves)"
    )
    parser.add_argument("--workers", type=whole_number, default=1, help="processes (1)")
    parser.add_argument(
        "--write", action="store_true", help="record nothing, write the table of what is there"
    )
    parser.add_argument(
        "--few", action="store_true", help="a quarter of the schedules, on one seed before the best are known"
    )
    parser.add_argument(
        "--table", type=Path, help="the table (that of the file's space, as `simulate` finds it)"
    )
    args = parser.parse_args(arguments)
    try:
        spec = load_spec(args.file)
        amount = FEW if args.few else Amount()
        if not args.write:
            _record(spec, args.folder, args.workers, amount)
        path = args.table or shipped_path(spec)
        with (args.folder / CURVES_FILE).open("rb") as file:
            num_schedules = write(
                path, Recording.of(whole_lines(file)), max(amount.seeds, amount.common_seeds)
            )
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_INPUT
    print(f"{num_schedules} schedules, {path.stat().st_size / 1000:.0f} kB: {path}")
    return 0


def _record(spec: SearchSpec, path: Path, workers: int, amount: Amount) -> None:
    torch.set_num_threads(1)
    assets = prepare(spec.own_setting.data, spec.own_setting.extractor, cache_folder())
    about = {"machine": machine(), "versions": versions(), "git_commit": git_commit()}
    folder = Folder(path, identity_of(spec, assets), about)
    print(f"{heading()}\n{len(folder.curves)} curves are there", flush=True)
    presets = {name: PRESETS[name].schedule for name in spec.presets}
    steps = rungs(spec.training.total_steps)
    recorder = (assets, spec.own_setting.network, spec.training, spec.objective.num_samples, steps)
    with _pool(recorder, workers) as run:
        record(
            lambda curves: stages(spec.space, presets, amount, curves, spec.training.total_steps),
            folder,
            run,
            lambda text: print(text, flush=True),
        )
    folder.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
