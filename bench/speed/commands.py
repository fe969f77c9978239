"""How long a command that only looks takes: CPU seconds of a process of its own, for a search of 400 trials.

Real seconds depend on what else the machine does; so do CPU seconds, but less.
"""

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bench.figures import Spread, table
from search.algorithm import ALGORITHMS
from search.errors import EXIT_FAILED, EXIT_INPUT, EXIT_OK
from search.file.spec import load_spec, overridden
from search.machine.checkout import ROOT
from search.policy.conductor import Conductor
from search.record import Report, TrialRecord
from search.running.search import Search

NUM_TRIALS = 400
REPEATS = 5
_FILE = "searches/digits.yaml"
_OPTUNA_ALONE = """
import sys, optuna
study = optuna.load_study(study_name=sys.argv[2], storage=sys.argv[1])
assert len(study.get_trials(deepcopy=False)) >= int(sys.argv[3])
"""

Line = tuple[Sequence[str], int, float]  # words, exit code, target in seconds


def main(show: Callable[[str], None]) -> None:
    """Measure and show."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        search = kept_search(Path(name) / "runs")
        for words, code, most in _lines(search, Path(name)):
            spread = _measured([sys.executable, "-m", "search", *words], code)
            shown = " ".join(
                word for word in words if name not in word and word not in ("--storage", "--output")
            )
            rows.append([shown, spread.text(), f"<= {most:g}"])
        alone = [
            sys.executable,
            "-c",
            _OPTUNA_ALONE,
            search.spec.study_url_resolved,
            search.name,
            str(NUM_TRIALS),
        ]
        rows.append(["Optuna alone reads the study", _measured(alone, EXIT_OK).text(), ""])
        rows.append(["import torch", _measured([sys.executable, "-c", "import torch"], EXIT_OK).text(), ""])
    show(f"commands: CPU seconds, {NUM_TRIALS} trials, {REPEATS} times; median [smallest, largest]")
    show(table(["python -m search", "seconds", "target"], rows))


def _lines(search: Search, folder: Path) -> Iterator[Line]:
    known = [search.name, "--storage", search.spec.storage.path]
    for line in (["--help"], ["leaderboard", "--help"]):
        yield line, EXIT_OK, 0.2
    yield ["leaderboard", "--wrong"], EXIT_INPUT, 0.2
    for kind in ("noise", "networks", "presets"):
        yield ["list", kind], EXIT_OK, 0.6
    for verb in ("leaderboard", "status", "report"):
        yield [verb, *known], EXIT_OK, 0.6
    yield ["export", *known, "--output", str(folder / "best.json")], EXIT_OK, 0.6
    yield ["stop", *known], EXIT_FAILED, 0.6  # nobody runs it
    yield ["logs", *known, "--trial", "0"], EXIT_INPUT, 0.6  # no script trained it
    yield ["run", _FILE, "--dry-run"], EXIT_OK, 2.0


def _measured(command: Sequence[str], code: int) -> Spread:
    """CPU seconds. The first time is not counted: files come into memory, and what is kept is made."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        environment = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = name  # as everywhere, a module is compiled once
        return Spread.of([_cpu_seconds(command, code, environment) for _ in range(REPEATS + 1)][1:])


def _cpu_seconds(command: Sequence[str], code: int, environment: Mapping[str, str]) -> float:
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == code, f"{' '.join(command)} ended with {process.returncode}"
    return usage.ru_utime + usage.ru_stime


def kept_search(root: Path) -> Search:
    """A finished search of the digits below `root`, its trials decided on as always and trained by nobody."""
    given = load_spec(str(ROOT / _FILE))
    spec = overridden(
        given,
        {
            "budget.max_trials": NUM_TRIALS,
            "storage": given.storage.model_copy(update={"path": str(root)}),
            "algorithm": ALGORITHMS.build("random"),
        },
    )
    search = Search(spec)
    facts = {"data_sha256": "0" * 64, "extractor_sha256": "0" * 64, "extractor_accuracy": None}
    search.open_or_create(cast(Any, SimpleNamespace(objective=search.objective, **facts)))
    search.write_file()
    conductor = Conductor(search.plan(), search.store)
    while (record := conductor.next()) is not None:
        reports: list[Report] = []
        for step in conductor.plan.rungs:
            reports.append(_report(record, step, conductor.plan.total_steps, search.objective))
            outcome = "complete" if step == conductor.plan.rungs[-1] else None
            if conductor.observe(record.number, step, reports, outcome):
                break
    search.store.close()
    return search


def _report(record: TrialRecord, step: int, total_steps: int, objective: str) -> Report:
    """A value that falls, from one schedule to the other by more than from seed to seed."""
    schedule = random.Random(record.schedule.describe()).uniform(20, 60)
    noise = random.Random(f"{record.number}/{step}").lognormvariate(0, 0.05)
    value = schedule * (3 - 2 * step / total_steps) * noise
    return Report(step, value, time_ms=1000 * step, metrics={objective: value, "train_seconds": step / 500})
