"""Work in a process of its own: its answer, its error, its end."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from trainable.own_process import in_own_process

ROOT = Path(__file__).parents[2]


def test_the_answer_comes_from_a_process_that_has_ended() -> None:
    process = in_own_process(os.getpid)
    assert process != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_an_error_is_raised_here() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        in_own_process(partial(int, "x"))


def test_a_process_that_dies_is_named() -> None:
    with pytest.raises(RuntimeError, match="has died, perhaps for want of memory"):
        in_own_process(partial(os._exit, 9))


def test_it_does_not_run_the_script_of_this_process(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "import os\nfrom trainable.own_process import in_own_process\n"
        "print('here')\nprint(in_own_process(os.getpid) != os.getpid())\n"
    )
    (tmp_path / "pickle.py").write_text("raise ValueError('that of the current folder')")
    ran = subprocess.run(
        [sys.executable, "-P", script.name],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("here\nTrue\n", "")


def test_who_is_interrupted_does_not_wait_for_it() -> None:
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            in_own_process(partial(time.sleep, 1e6))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
