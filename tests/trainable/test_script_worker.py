"""A script as a trial: real processes, each a few lines of Python."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from spaces import PRESETS, load_schedule
from trainable.command import process
from trainable.command import worker as worker_module
from trainable.command.script import Script
from trainable.command.worker import ScriptWorker
from trainable.storage.folder import StorageError
from trainable.task import Progress, TrialTask

HEAD = """
import json, os, signal, sys, time
schedule, seed, folder, steps, rungs = sys.argv[1:]
def report(**numbers):
    with open(os.path.join(folder, "reports.jsonl"), "a") as file:
        file.write(json.dumps(numbers) + "\\n")
"""
WELL = "for step in map(int, rungs.split(',')):\n    report(step=step, fid=1000 / step, loss=.5)\n"
PID = "print(os.getpid(), file=open(folder + '/pid', 'w'), flush=True)\n"
FOREVER = "\nwhile True: time.sleep(.05)\n"

Make = Callable[..., ScriptWorker]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """`make(lines)`: a worker whose script has these lines, with its first trial begun."""
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.5)
    workers = []

    def made(text: str, *, python: str = "{python}", number: int = 0, **options: object) -> ScriptWorker:
        code = tmp_path / "code"
        code.mkdir(exist_ok=True)
        (code / "train.py").write_text(HEAD + text)
        words = (python, "train.py", "{schedule}", "{seed}", "{folder}", "{total_steps}", "{rungs}")
        fields = {"command": words, "resumes": True, "patience_seconds": 60.0, **options}
        worker = ScriptWorker(
            Script(code=str(code), code_sha256="", objective="fid", counter="step", **fields),  # type: ignore[arg-type]
            {"PYTHONUNBUFFERED": "1"},
            clock=lambda: 5.0,
        )
        workers.append(worker)
        worker.begin(task(tmp_path, number))
        return worker

    yield made
    for worker in workers:
        worker.end()


def task(directory: Path, number: int = 0, **fields: object) -> TrialTask:
    plain = {"folder": str(directory / "trials" / f"{number}")}
    return TrialTask(
        number=number,
        schedule=PRESETS["ict_short"].schedule.to_dict(),
        seed=11,
        rungs=(100, 200, 400),
        **plain | fields,  # type: ignore[arg-type]
    )


def to_the_end(worker: ScriptWorker) -> Progress:
    progress = worker.advance()
    while progress.outcome is None:
        progress = worker.advance()
    return progress


def reason(worker: ScriptWorker) -> str:
    progress = to_the_end(worker)
    assert progress.outcome == "failed"
    assert progress.reason is not None and "\n" not in progress.reason
    return progress.reason


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pid_in(file: Path) -> int:
    until(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


def test_a_script_reports_rung_by_rung_and_completes(make: Make, tmp_path: Path) -> None:
    worker = make("print('hello', seed, steps, file=sys.stderr)\n" + WELL)
    steps = []
    progress = worker.advance()
    while progress.outcome is None:
        steps.append(progress.step)
        progress = worker.advance()
    assert steps[:3] == [100, 200, 400]
    assert progress.outcome == "complete"
    assert [report["objective"] for report in progress.reports] == [10.0, 5.0, 2.5]
    assert all(set(report["metrics"]) == {"fid", "loss", "train_seconds"} for report in progress.reports)
    assert {report["time_ms"] for report in progress.reports} == {5000}
    folder = tmp_path / "trials" / "0"
    assert "hello 11 400" in (folder / "output.log").read_text()
    given = load_schedule(folder / "schedule.json")
    assert given.schedule == PRESETS["ict_short"].schedule
    assert given.training is not None and given.training.total_steps == 400
    assert given.confirmed is False


def test_an_ended_trial_begun_again_tells_what_it_reported_and_starts_nothing(
    make: Make, tmp_path: Path
) -> None:
    before = to_the_end(make(WELL))
    log = (tmp_path / "trials" / "0" / "output.log").read_text()
    again = make("raise SystemExit(3)").advance()
    assert (again.outcome, again.reports, again.step) == ("complete", before.reports, 400)
    assert (tmp_path / "trials" / "0" / "output.log").read_text() == log


def test_a_trial_that_was_interrupted_runs_the_same_command_again(make: Make, tmp_path: Path) -> None:
    text = """
kept = os.path.join(folder, "checkpoint")
done = int(open(kept).read()) if os.path.exists(kept) else 0
print("from", done)
for step in (100, 200, 400):
    if step > done:
        report(step=step, fid=step + os.path.exists(kept) / 2)
        if step == 100: open(kept, "w").write("50")
        if step == 200 and done == 0: sys.stdout.flush(); FOREVER
""".replace("FOREVER", "time.sleep(600)")
    first = make(text)
    assert first.advance().step == 100
    first.end()
    # What was reported while nobody read is known too, and a line that was cut with its script is not.
    reports = tmp_path / "trials" / "0" / "reports.jsonl"
    until(lambda: reports.read_text().count("\n") == 2 or not reports.write_text(reports.read_text()))
    with reports.open("a") as file:
        file.write('{"step": 4')
    second = make(text)
    replayed = second.advance()
    assert replayed.outcome is None
    assert [report["step"] for report in replayed.reports] == [100, 200]
    assert replayed.step == 200
    progress = to_the_end(second)
    assert [report["objective"] for report in progress.reports] == [100.0, 200.5, 400.5]
    assert "from 50" in (tmp_path / "trials" / "0" / "output.log").read_text()


def test_a_script_that_cannot_resume_begins_anew_in_a_clean_folder_and_the_time_counts(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
print(sorted(os.listdir(folder)))
os.mkdir(os.path.join(folder, "mine"))
report(step=100, fid=9. if AGAIN else 8.)
if not AGAIN: time.sleep(600)
report(step=200, fid=7.); report(step=400, fid=6.)
"""
    first = make(text.replace("AGAIN", "False"), resumes=False)
    assert first.advance().step == 100
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + 1000)
    with monkeypatch.context() as patch:
        patch.setattr(worker_module, "time", later)  # it has run for long since its last report
        first.end()
    second = make(text.replace("AGAIN", "True"), resumes=False)
    progress = to_the_end(second)
    assert [report["objective"] for report in progress.reports] == [8.0, 7.0, 6.0]
    assert [report["metrics"]["train_seconds"] > 1000 for report in progress.reports] == [False, True, True]
    lines = [
        line for line in (tmp_path / "trials" / "0" / "output.log").read_text().splitlines() if "[" in line
    ]
    assert lines == ["['output.log', 'read.json', 'schedule.json']"] * 2


def test_the_script_runs_on_while_the_driver_decides_and_is_ended_with_its_group(
    make: Make, tmp_path: Path
) -> None:
    text = """
import subprocess
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", deaf])
def saved(*args):
    open(os.path.join(folder, "saved"), "w").write("yes")
    sys.exit(0)
signal.signal(signal.SIGTERM, saved)
report(step=100, fid=1.)
open(os.path.join(folder, "pids"), "w").write(f"{os.getpid()} {child.pid}\\n")
"""
    worker = make(text + FOREVER)
    assert worker.advance().step == 100
    folder = tmp_path / "trials" / "0"
    until(lambda: (folder / "pids").exists() and (folder / "pids").read_text().endswith("\n"))
    pids = [int(pid) for pid in (folder / "pids").read_text().split()]
    assert all(map(runs, pids))
    worker.end()
    assert (folder / "saved").read_text() == "yes"
    until(lambda: not any(map(runs, pids)))


@pytest.mark.parametrize("is_over", [False, True])
def test_a_script_that_is_stopped_for_good_leaves_no_checkpoint(
    make: Make, tmp_path: Path, is_over: bool
) -> None:
    """What it saves when it is told to end; after an interruption that is what it goes on from."""
    text = """
def saved(*args):
    os.makedirs(os.path.join(folder, "checkpoints"), exist_ok=True)
    open(os.path.join(folder, "checkpoints", "last"), "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, saved)
report(step=100, fid=1.)
"""
    worker = make(text + FOREVER)
    assert worker.advance().step == 100
    worker.end(is_over=is_over)
    assert (tmp_path / "trials" / "0" / "checkpoints" / "last").exists() is not is_over


def test_what_a_trial_that_is_complete_has_kept_stays(make: Make, tmp_path: Path) -> None:
    text = "os.makedirs(folder + '/checkpoints')\nopen(folder + '/checkpoints/last', 'w').close()\n"
    worker = make(text + WELL + FOREVER)
    while worker.advance().step < 400:
        pass
    worker.end(is_over=True)
    assert (tmp_path / "trials" / "0" / "checkpoints" / "last").exists()


def test_a_script_starts_with_the_signals_of_the_system(make: Make, tmp_path: Path) -> None:
    text = "numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)\nprint(list(map(signal.getsignal, numbers)))\n"
    to_the_end(make(text + WELL))
    log = (tmp_path / "trials" / "0" / "output.log").read_text()
    assert log.count("SIG_DFL") == 2 and "default_int_handler" in log


def test_a_script_that_ignores_sigterm_is_killed(make: Make, tmp_path: Path) -> None:
    worker = make("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PID + FOREVER)
    pid = pid_in(tmp_path / "trials" / "0" / "pid")
    worker.end()
    until(lambda: not runs(pid))


WORKER = """
import sys, time
from pathlib import Path
from trainable.command.process import ScriptProcess
folder = Path(sys.argv[1])
script = "import os, time; print(os.getpid(), file=open('pid', 'w'), flush=True); time.sleep(600)"
kept = ScriptProcess([sys.executable, "-c", script], cwd=folder, log=folder / "log", environment={})
time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["worker", "keeper"])
def test_no_script_outlives_its_worker(tmp_path: Path, victim: str) -> None:
    """A worker in a process of its own, which is killed, or whose keeper is."""
    with subprocess.Popen([sys.executable, "-c", WORKER, tmp_path], cwd=Path(__file__).parents[2]) as worker:
        script = pid_in(tmp_path / "pid")
        keeper = int(Path(f"/proc/{script}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(worker.pid if victim == "worker" else keeper, signal.SIGKILL)
        until(lambda: not runs(script) and not runs(keeper))
        worker.kill()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "raise ValueError('what happened')",
            "it ended with exit code 1, and said last: .*ValueError: what happened",
        ),
        (
            "report(step=50, loss=1.)\nprint('  bye ')\nsys.exit(3)",
            "it ended with exit code 3 at step 50, and said last: bye",
        ),
        ("", r"it ended without a report \(.*output.log\)"),
        ("report(step=100, fd=1.)", "none of its reports has `fid`; they have fd at step 100"),
        ("report(step=100, fid=1.)", "without a report at the rung step 200 of 400 at step 100"),
        ("report(step=9); report(step=8); time.sleep(600)", "its reports go back from step 9 to 8"),
        ("report(step=300, fid=1.); time.sleep(600)", "it passed over the rung at step 100"),
        ("os.kill(os.getpid(), 9)", r"it was killed \(SIGKILL, perhaps for want of memory\)"),
        ("os.kill(os.getpid(), 11)", r"it was killed \(SIGSEGV\)"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line_with_the_last_words(
    make: Make, text: str, expected: str
) -> None:
    assert re.search(expected, reason(make(text)))


def test_a_script_or_interpreter_that_is_not_there_is_told(make: Make, tmp_path: Path) -> None:
    assert "it could not be started: No such file or directory" in reason(make("", python="pythonn"))
    assert "it could not be started: Permission denied" in reason(make("", python="./train.py", number=1))
    words = ("{python}", "trein.py", "{schedule}", "{seed}", "{folder}")
    assert "can't open file" in reason(make("", command=words, number=2))


def test_a_diverged_objective_ends_the_script_and_is_a_result(make: Make, tmp_path: Path) -> None:
    text = (
        "print(os.getpid(), file=open(folder + '/pid', 'w'), flush=True)\nreport(step=100, fid=float('nan'))"
    )
    worker = make(text + FOREVER)
    progress = worker.advance()
    assert (progress.outcome, progress.reports[0]["objective"]) == ("diverged", 1e9)
    until(lambda: not runs(pid_in(tmp_path / "trials" / "0" / "pid")))
    assert make(text + FOREVER).advance().outcome == "diverged"


def test_a_silent_script_is_ended_when_patience_is_over(make: Make) -> None:
    worker = make("print('loading')" + FOREVER, patience_seconds=2.0)
    assert "it has said nothing for 2 s (trainer.patience), and said last: loading" in reason(worker)
    talks = make("for i in range(12): print(i); time.sleep(.25)\n" + WELL, patience_seconds=2.5, number=1)
    assert to_the_end(talks).outcome == "complete"


def test_out_of_memory_is_told_as_such(make: Make) -> None:
    worker = make("raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB' + ' and' * 300)")
    progress = to_the_end(worker)
    assert progress.outcome == "oom"
    assert progress.smaller_micro_batch is None
    assert progress.reason is not None and progress.reason.startswith(
        "oom of the GPU slice: it ended with exit code 1"
    )


def test_a_script_that_goes_on_after_its_last_rung_is_ended(make: Make) -> None:
    assert to_the_end(make(WELL + "report(step=401)" + FOREVER)).outcome == "complete"
    quiet = make(WELL + FOREVER, patience_seconds=2.0, number=1)
    assert to_the_end(quiet).outcome == "complete"


def test_a_script_has_time_to_finish_after_its_last_rung(make: Make, tmp_path: Path) -> None:
    late = (
        WELL.replace("step=step, fid", "step=step + 9, fid") + "report(step=409, last=True)\ntime.sleep(1)\n"
    )
    assert to_the_end(make(late + "open(folder + '/final', 'w').close()")).outcome == "complete"
    assert (tmp_path / "trials" / "0" / "final").exists()


def test_a_trial_pauses_for_signs_of_life(make: Make) -> None:
    worker = make("report(step=30)" + FOREVER)
    until(lambda: worker.advance(0.05).step == 30)
    assert worker.advance(0.0).outcome is None


def test_reports_may_begin_anew_in_the_same_file(make: Make, tmp_path: Path) -> None:
    text = """
reports = os.path.join(folder, "reports.jsonl")
first = not os.path.exists(reports)
open(reports, "w").write(json.dumps({"step": 100, "fid": 3.0 if first else 4.0}) + "\\n")
if first: time.sleep(600)
report(step=200, fid=2.); report(step=400, fid=1.)
"""
    first = make(text)
    assert first.advance().step == 100
    first.end()
    progress = to_the_end(make(text))
    assert [report["objective"] for report in progress.reports] == [3.0, 2.0, 1.0]


def test_a_last_line_without_its_end_counts(make: Make) -> None:
    text = (
        WELL.replace("(',')", "(',')[:2]")
        + 'open(folder + "/reports.jsonl", "a").write(\'{"step": 400, "fid": 2}\')'
    )
    assert to_the_end(make(text)).outcome == "complete"


def test_a_trial_needs_the_driver_s_folder(make: Make, tmp_path: Path) -> None:
    worker = make(WELL)
    with pytest.raises(StorageError, match="is not what the driver sees there"):
        worker.begin(task(tmp_path, 1, search_location=str(tmp_path), mark="study-1"))
    (tmp_path / "study-1").touch()
    worker.begin(task(tmp_path, 1, search_location=str(tmp_path), mark="study-1"))
    assert to_the_end(worker).outcome == "complete"


def test_what_was_read_is_kept_beside_the_reports(make: Make, tmp_path: Path) -> None:
    to_the_end(make("report(step=1, files=['a.png'])\n" + WELL))
    kept = json.loads((tmp_path / "trials" / "0" / "read.json").read_text())
    assert kept["files"] == ["a.png"]
    assert [report["step"] for report in kept["taken"]] == [100, 200, 400]
