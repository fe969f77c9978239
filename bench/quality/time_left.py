"""How well the time left is foretold: what was said all along, against what the search then took.

    python -m bench time-left
    python -m bench time-left searches/digits.yaml

Without a file searches are played on recorded curves, by the virtual clock: trials of other settings are made of the
curves of the search's own, and some trials are slower than others. With files these searches are run here, and what
they foretell is read as `watch` reads it. Each hundredth of the time after the first tenth is a look. Its middle is
within 25 % where it is off by a quarter of what is left at most, or of FLOOR of the whole; its range holds likewise.
"""

import argparse
import itertools
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from bench.figures import heading, table
from search.errors import OperationFailed
from search.file.spec import SearchSpec, load_spec, overridden
from search.policy.conductor import Conductor
from search.policy.pace_elsewhere import Ratio
from search.policy.plan import Plan
from search.running.foretold import left_of
from search.running.plan_of import plan_of
from search.running.timed_elsewhere import TIMED
from search.screen.words import QUARTER
from search.simulator.replay import Curves, Measured, Replay
from search.simulator.simulation import Playback, simulate
from search.simulator.table import read_table, table_path
from spaces import NoiseSchedule
from trainable.task import OWN

FILE = "searches/digits.yaml"
REPEATS = 3
TRIALS, SLOTS = (40, 160), (1, 2, 4)
FLOOR = 0.05  # of the whole: near the end a quarter of what is left is less than a rung
_SPREAD = 0.15  # of ln(seconds) between trials
# Seconds of a step in the file's other settings, in those of its own, as timed on a CPU.
_RATIOS = (1.2, 8.2, 1.0)
_TIMED_SPREAD = 0.1  # of the logarithm of such a ratio
_SIGNS_OF_LIFE = 4  # between two rungs
_POLL_SECONDS = 1.0
_HEAD = ["search", "looks", "within 25 %", "range holds", "most/least"]


class Look(NamedTuple):
    """What was foretold at seconds `at` since the start: what is left at least and at most."""

    at: float
    least: float
    most: float

    def later(self, at: float) -> "Look":
        """As it stands then."""
        passed = at - self.at
        return Look(at, max(0.0, self.least - passed), max(0.0, self.most - passed))

    @property
    def shown(self) -> tuple[float, float]:
        """One figure on the screen stands for itself and a quarter."""
        if self.most <= QUARTER**2 * self.least:
            middle = math.sqrt(self.least * self.most)
            return middle / QUARTER, middle * QUARTER
        return self.least, self.most


@dataclass(frozen=True)
class Judged:
    """Of each look: whether its middle is within a quarter, whether its range holds, how wide it is."""

    near: tuple[bool, ...] = ()
    holds: tuple[bool, ...] = ()
    widths: tuple[float, ...] = ()

    @classmethod
    def of(cls, looks: Sequence[Look], whole: float) -> "Judged":
        """looks: in their order. whole: seconds that the search took."""
        near, holds, widths = [], [], []
        slack = (QUARTER - 1) * FLOOR * whole
        for percent in range(10, 100):
            at = (percent + 0.5) / 100 * whole
            past = [look for look in looks if look.at <= at]
            look = past[-1].later(at) if past else Look(at, 0.0, math.inf)  # nothing was foretold
            left, (least, most) = whole - at, look.shown
            near.append(abs((look.least + look.most) / 2 - left) <= max((QUARTER - 1) * left, slack))
            holds.append(bool(past) and least - slack <= left <= most + slack)
            widths.append(max(1.0, look.most) / max(1.0, look.least))
        return cls(tuple(near), tuple(holds), tuple(widths))

    def __add__(self, other: Self) -> "Judged":
        return Judged(self.near + other.near, self.holds + other.holds, self.widths + other.widths)

    def row(self, name: str) -> list[str]:
        """Of the table."""
        near, holds = f"{statistics.fmean(self.near):.0%}", f"{statistics.fmean(self.holds):.0%}"
        return [name, str(len(self.near)), near, holds, f"{statistics.median(self.widths):.2f}"]


def main(arguments: Sequence[str]) -> int:
    """Measure and show; returns the exit code. InputError for a file that is no search file."""
    parser = argparse.ArgumentParser(
        prog="python -m bench time-left", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="search files, which are run here (none: searches are played)",
    )
    files = parser.parse_args(arguments).files
    for file in files:  # before the first of them takes its hours
        load_spec(file)
    print(heading(), flush=True)
    if files:
        for file in files:
            _show_run(file)
    else:
        rows = list(_played_rows())
        print(f"time left: {REPEATS} simulated searches in a row; median of most/least")
        print(table(_HEAD, rows))
    return 0


def _show_run(file: str) -> None:
    looks, whole = run(file)
    print(table(_HEAD, [Judged.of(looks, whole).row(f"{file}, {whole:.0f} s")]))
    for percent in range(10, 100, 10):
        past = [look for look in looks if look.at <= percent / 100 * whole]
        if past:
            left, last = (1 - percent / 100) * whole, past[-1]
            print(
                f"at {percent} %: {last.least:.0f} to {last.most:.0f} s left, it took {left:.0f}", flush=True
            )


# Simulated


def searches() -> Iterator[tuple[str, SearchSpec]]:
    """By what is special: without and with a confirmation, and with other settings too."""
    spec = load_spec(FILE)
    # The recorded curves are of schedules without a floor; proposals at random take no time.
    plain = replace(spec.space, uniform_floor=0.0, ends=None)
    spec = overridden(spec, {"algorithm": "random", "space": plain})
    alone: dict[str, Any] = {"holds_at": {}}
    for trials in TRIALS:
        some: dict[str, Any] = {"budget.max_trials": trials}
        yield f"{trials} trials", overridden(spec, {**some, **alone, "confirm": {"top": 0}})
        yield f"{trials} trials, confirmed", overridden(spec, {**some, **alone})
        yield f"{trials} trials, confirmed, other settings", overridden(spec, some)


def _played_rows() -> Iterator[list[str]]:
    curves, everything = Curves(read_table(table_path(load_spec(FILE)))), Judged()
    for (name, spec), slots in itertools.product(searches(), SLOTS):
        judged = Judged()
        for repeat in range(REPEATS):
            judged += Judged.of(*played(spec, curves, slots, repeat))
        everything += judged
        yield judged.row(f"{name}, {slots} at a time")
    yield everything.row("all")


def played(spec: SearchSpec, curves: Curves, slots: int, repeat: int) -> tuple[list[Look], float]:
    """The looks of one search, and how long it took."""
    spec = spec.model_copy(update={"seed": 10_000 * repeat})
    plan, rng = plan_of(spec, slots), random.Random(f"time left/{slots}/{repeat}")
    replay = Replay(curves, repeat, spec.seed)
    playbacks, ratios = {OWN: _noisy(replay, rng)}, {}
    for setting, ratio in zip(plan.holds.settings if plan.holds else (), _RATIOS, strict=False):
        playbacks[setting] = _noisy(_elsewhere(replay, plan, ratio), rng)
        ratios[setting] = Ratio(ratio * math.exp(rng.gauss(0, _TIMED_SPREAD)), TIMED)
    return looks_at(plan, playbacks, ratios)


def looks_at(
    plan: Plan, playbacks: Mapping[str, Playback], ratios: Mapping[str, Ratio]
) -> tuple[list[Look], float]:
    """What is foretold after each result, and how long the search takes."""
    looks: list[Look] = []

    def look(conductor: Conductor) -> None:
        conductor.foreknow(ratios)
        found = conductor.outlook()
        if found.least is not None and found.most is not None:
            looks.append(Look(conductor.spending.wall, found.least, found.most))

    search = simulate(plan, playbacks, on_result=look, signs_of_life=_SIGNS_OF_LIFE)
    return looks, search.seconds


def _noisy(playback: Playback, rng: random.Random) -> Playback:
    """Some trials are slower than others."""

    def play(schedule: NoiseSchedule, seed: int, rungs: Sequence[int]) -> list[Measured]:
        slower = math.exp(rng.gauss(0, _SPREAD))
        return [one._replace(seconds=slower * one.seconds) for one in playback(schedule, seed, rungs)]

    return play


def _elsewhere(playback: Playback, plan: Plan, ratio: float) -> Playback:
    """Trials of another setting have the values of the search's own, at the same shares of their steps."""

    def play(schedule: NoiseSchedule, seed: int, rungs: Sequence[int]) -> list[Measured]:
        slower = ratio * rungs[-1] / plan.total_steps
        own = playback(schedule, seed, plan.rungs)
        return [
            Measured(step, one.objective, slower * one.seconds) for step, one in zip(rungs, own, strict=False)
        ]

    return play


# Real


def run(file: str) -> tuple[list[Look], float]:
    """The looks of the search of this file, run here, and how long it took. OperationFailed where it fails."""
    looks = []
    with tempfile.TemporaryDirectory(prefix="bench-") as storage:
        folder, start = Path(storage) / load_spec(file).name, time.time()
        command = [sys.executable, "-m", "search", "run", file, "--storage", storage]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                now = time.time()
                if (left := left_of(folder, start, now)) is not None:
                    looks.append(Look(now - start, *left))
                time.sleep(_POLL_SECONDS)
        if process.returncode:
            raise OperationFailed(f"`run {file}` ended with exit code {process.returncode}, see above")
    return looks, time.time() - start
