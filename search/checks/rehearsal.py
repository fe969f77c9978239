"""A search of two short trials, on the very path that a search takes, in a temporary folder.

`python -m search run` in a process of its own: a private Ray, two workers side by side (a second one starts otherwise
than the first), trials that train, measure and checkpoint, the study and MLflow in databases that are made and migrated
as for any search.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from search.checks.check import Check
from search.machine.checkout import ROOT
from search.machine.last_words import last_words
from search.machine.temporary import temporary_folder

# Half a minute on a quiet machine.
_LONGEST_SECONDS, _STOP_SECONDS = 240.0, 10.0

_SEARCH = """
name: rehearsal
data: digits
network: {name: film_mlp, width: 8, depth: 1}
training: {total_steps: 20, batch_size: 16}
objective: {extractor: pixels, num_samples: 50}
space: {noise: {lognormal: }, curriculum: {constant: }}
presets: [ict_short]
stopping: {name: none, rungs: [0.5]}
noise_floor: {seeds: 0}
confirm: {top: 0}
budget: {max_trials: 2}
resources: {cpu: 0.5, max_concurrent: 2}
storage: {path: runs}
"""


def check_rehearsal(longest_seconds: float = _LONGEST_SECONDS) -> Iterator[Check]:
    """Whether such a search comes to its end, with all of it in MLflow. longest_seconds: then it is ended."""
    start = time.monotonic()
    with temporary_folder("search-doctor-") as folder:
        (folder / "rehearsal.yaml").write_text(_SEARCH, encoding="utf-8")
        code, err = _run(folder, longest_seconds)
        said = last_words(folder / "runs" / "rehearsal" / "search.log")
    seconds = time.monotonic() - start
    if code is None:
        message = (
            f"a search of two short trials had not ended after {seconds:.0f} s; its log says last: {said}"
        )
        yield Check("search", "fail", message, "Is this machine overloaded? See the lines above")
    elif code != 0:
        told = _last_line(err) or said
        yield Check("search", "fail", f"a search of two short trials ended with exit code {code}: {told}")
    elif "warning: " in err:  # MLflow lacks something
        yield Check("search", "fail", f"a search of two short trials ended, but {_last_line(err)}")
    else:
        message = "two short trials ran side by side from a search file to its end, with study and MLflow, in"
        yield Check("search", "ok", f"{message} {seconds:.0f} s")


def _run(folder: Path, longest_seconds: float) -> tuple[int | None, str]:
    """Exit code (None: it had to be ended), stderr."""
    paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    process = subprocess.Popen(
        [sys.executable, "-m", "search", "run", "rehearsal.yaml"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # it is ended by us, with all that it started
    )
    try:
        _, err = process.communicate(timeout=longest_seconds)
    except subprocess.TimeoutExpired:
        return None, ""
    finally:
        _end(process)
    return process.returncode, err


def _end(process: "subprocess.Popen[str]") -> None:
    """The second signal ends a search at once, with all its processes."""
    for sent in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(sent)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_STOP_SECONDS)


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].removeprefix("error: ").removeprefix("warning: ")
