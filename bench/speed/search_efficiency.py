"""How much of the machine a whole search turns into training, against Ray Tune's stock wiring.

efficiency = time that bare loops, one on each slot, take for all steps trained / (wall time x slots). It exceeds what
the slots spend in training where the product's step is faster than the bare loop's; that share is printed too. The
two searches have the same space, budget, rungs and number of trials; each is a process of its own, timed from its
start to its end, with the bare loops measured before and after it. They propose and stop different trials: steps per
second say more than trials per minute.
"""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bench.figures import Spread, ratios, table
from search.errors import OperationFailed
from search.file.spec import SearchSpec, load_spec
from search.machine.cache_folder import cache_folder
from search.running.search import Search
from search.running.slots import Machine

ROOT = Path(__file__).resolve().parents[2]
NUM_TRIALS, NUM_PAIRS = 40, 1
RUNGS = [0.25, 0.5]  # Ray's ASHA has no others: its rungs are powers of the reduction factor apart
_YARDSTICK_STEPS = 1000


class Ran(NamedTuple):
    """A process that ran a search; times since 1970.

    trials: of each its results in order, with step, train_seconds (since the trial's start) and time.
    """

    trials: Sequence[Sequence[dict[str, float]]]
    began: float
    ended: float

    @property
    def first_step(self) -> float:
        """When the first training step began."""
        return min(results[0]["time"] - results[0]["train_seconds"] for results in self.trials)


@dataclass(frozen=True)
class Efficiency:
    """A search that has run. Seconds of wall time.

    before: from the start of the process to the first training step. training: from there to the last
    measurement. after: from there to the end of the process. in_steps: sum over all trials of the time in
    their training loops, by their own clocks. bare: steps per second of a bare loop at that time, of as many
    side by side as there are slots.
    """

    trials: int
    steps: int
    before: float
    training: float
    after: float
    in_steps: float
    slots: int
    bare: float

    @property
    def wall(self) -> float:
        return self.before + self.training + self.after

    @classmethod
    def of(cls, ran: "Ran", slots: int, bare: float) -> "Efficiency":
        """The figures of a process."""
        trials, began, ended = ran
        first = ran.first_step
        last = max(results[-1]["time"] for results in trials)
        return cls(
            trials=len(trials),
            steps=int(sum(results[-1]["step"] for results in trials)),
            before=first - began,
            training=last - first,
            after=ended - last,
            in_steps=sum(results[-1]["train_seconds"] for results in trials),
            slots=slots,
            bare=bare,
        )

    def efficiency(self, wall: float) -> float:
        """Over that part of the wall time."""
        return self.steps / self.bare / (wall * self.slots)


def search_file(folder: Path, num_trials: int = NUM_TRIALS, total_steps: int | None = None) -> Path:
    """The digits search without presets and confirmation, which the stock wiring does not have.

    total_steps: None, those of the digits search.
    """
    document: dict[str, Any] = yaml.safe_load((ROOT / "searches" / "digits.yaml").read_text())
    document |= {
        "name": "bench",
        "presets": [],
        "noise_floor": {"seeds": 0},
        "budget": {"max_trials": num_trials},
        "audit": 0.0,
        "stopping": {"name": "asha", "rungs": RUNGS, "reduction_factor": 2},
        "confirm": {"top": 0},
        "holds_at": [],
        "storage": {"path": str(folder / "runs")},
    }
    if total_steps is not None:
        document["training"] |= {"total_steps": total_steps}
    path = folder / "bench.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def run_product(file: Path) -> Ran:
    """`python -m search run FILE`, as a user types it."""
    began, ended, _ = _process("-m", "search", "run", str(file), "--json")
    records = Search.open(str(file)).records()
    trials = [
        [{"step": r.step, "time": r.time_ms / 1000, **r.metrics} for r in record.reports]
        for record in records
    ]
    return Ran(trials, began, ended)


def run_stock(file: Path) -> Ran:
    """The stock wiring, in a process and a Ray of its own."""
    began, ended, out = _process("-m", "bench", "stock", str(file))
    return Ran(json.loads(out.splitlines()[-1]), began, ended)


def stock_main(path: str) -> None:
    """What that process does; prints its trials as JSON."""
    from search.engine.ray_here import local_ray
    from trainable.metric.assets import prepare

    spec = load_spec(path)
    assets = prepare(spec.own_setting.data, spec.own_setting.extractor, cache_folder())
    with local_ray(num_cpus=Machine.here().slots(spec), num_gpus=0) as ray_folder:
        # local_ray has turned off loggers and snapshots of Tune's; here they are as Tune ships them.
        for name in [name for name in os.environ if name.startswith("TUNE_")]:
            del os.environ[name]
        from bench.speed.stock_wiring import run_stock

        trials = run_stock(spec, assets, ray_folder)
    print(json.dumps(trials))


def _process(*arguments: str) -> tuple[float, float, str]:
    """Times since 1970 of its start and end, and its output."""
    began = time.time()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    ended = time.time()
    if done.returncode != 0:
        sys.stderr.write(done.stderr[-3000:])
        raise OperationFailed(
            f"`python {' '.join(arguments)}` ended with exit code {done.returncode}, see above"
        )
    return began, ended, done.stdout


def bare_steps_per_second(spec: SearchSpec, slots: int) -> float:
    """Of one bare loop, the mean of as many at a time as there are slots."""
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(slots), context.Queue()
    processes = [context.Process(target=_bare, args=(spec.resolved(), barrier, queue)) for _ in range(slots)]
    for process in processes:
        process.start()
    seconds = [queue.get(timeout=300) for _ in processes]
    for process in processes:
        process.join()
    return sum(_YARDSTICK_STEPS / one for one in seconds) / slots


def _bare(resolved: dict[str, Any], barrier: Barrier, queue: Any) -> None:
    import torch

    from bench.speed.bare_loop import BareLoop
    from search.file.spec import spec_of
    from search.file.yaml12 import Document

    torch.set_num_threads(1)
    spec = spec_of(Document("bench", resolved, {}))
    loop = BareLoop(
        spec.own_setting.network, spec.own_setting.data.load(cache_folder()).x_NCHW, spec.training
    )
    loop.train(100)
    barrier.wait(timeout=120)
    queue.put(loop.train(_YARDSTICK_STEPS))


def main(show: Callable[[str], None]) -> None:
    """Measure and show."""
    runs = {"product": run_product, "stock wiring": run_stock}
    searches: dict[str, list[Efficiency]] = {which: [] for which in runs}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        spec = load_spec(search_file(folder))
        slots = Machine.here().slots(spec)
        yardsticks = [bare_steps_per_second(spec, slots)]
        for pair in range(NUM_PAIRS):
            for which, run in runs.items():
                own = folder / f"{which.split()[0]}-{pair}"
                own.mkdir()
                ran = run(search_file(own))
                yardsticks.append(bare_steps_per_second(spec, slots))
                searches[which].append(Efficiency.of(ran, slots, statistics.mean(yardsticks[-2:])))
    show(
        f"efficiency: {NUM_TRIALS} trials of the digits, {spec.training.total_steps} steps, ASHA, no presets, no "
        f"confirmation; {slots} slots\n"
        f"{NUM_PAIRS} pair(s); bare loop {Spread.of(yardsticks).text(0)} steps/s on each slot"
    )
    show(table(["", *searches, "product / stock", "target"], _rows(*searches.values())))


def _rows(product: list[Efficiency], stock: list[Efficiency]) -> list[list[str]]:
    def row(name: str, of: Callable[[Efficiency], float], digits: int, target: str = "") -> list[str]:
        both = [[of(search) for search in searches] for searches in (product, stock)]
        return [name, *(Spread.of(one).text(digits) for one in both), ratios(*both).text(), target]

    return [
        row("trials", lambda s: s.trials, 0),
        row("steps trained", lambda s: s.steps, 0),
        row("seconds, whole command", lambda s: s.wall, 1),
        row("  to the first training step", lambda s: s.before, 1, "<= 4"),
        row("  from there to the last measurement", lambda s: s.training, 1),
        row("  after it", lambda s: s.after, 1),
        row("steps per second, whole command", lambda s: s.steps / s.wall, 0),
        row("trials per minute, whole command", lambda s: 60 * s.trials / s.wall, 1, "ratio >= 2"),
        row("  first step to last measurement", lambda s: 60 * s.trials / s.training, 1, "ratio >= 2"),
        row("efficiency, whole command", lambda s: s.efficiency(s.wall), 2, ">= 0.90"),
        row("  first step to last measurement", lambda s: s.efficiency(s.training), 2, ">= 0.85"),
        row("  share of that time in training loops", lambda s: s.in_steps / (s.slots * s.training), 2),
    ]
