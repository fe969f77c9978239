"""A search from a script in Python: interrupted, gone on with, finished, read."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from search.notebook import Search
from search.running.known import SPEC_FILE
from tests.integration.running import ROOT, finish, until

pytestmark = pytest.mark.integration

SEARCH = {
    "name": "toy",
    "data": "digits",
    "network": {"name": "film_mlp", "width": 16, "depth": 1},
    "training": {"total_steps": 400, "batch_size": 32},
    "objective": {"num_samples": 200},
    "presets": ["ict_short"],
    "space": {"noise": {"lognormal": None}, "curriculum": {"constant": None}},
    "budget": {"max_trials": 8},
    "noise_floor": {"seeds": 1},
    "confirm": {"top": 1, "rounds": [2]},
}
SCRIPT = """
import sys
from search import run

try:
    toy = run({search}, progress=sys.argv[1] == "shown")
    print("finished", toy.name)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A user's script in a folder of its own; its storage is there, too."""
    path = tmp_path / "mine.py"
    path.write_text(SCRIPT.format(search=repr(SEARCH)))
    return path


def begun(script: Path, how: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(script), how],
        cwd=script.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_a_script_is_interrupted_and_goes_on(script: Path) -> None:
    storage = script.parent / "runs"
    process = begun(script, "hidden")

    def reports() -> bool:
        assert process.poll() is None, process.communicate()
        there = (storage / "toy" / SPEC_FILE).exists()
        return there and any(record.reports for record in Search("toy", str(storage)).records())

    try:
        until(reports, 120, "a value is reported")
    except BaseException:
        process.kill()
        raise
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out.strip()) == (0, "interrupted"), err
    code, out, err = finish(begun(script, "shown"))
    assert code == 0, err
    assert out.splitlines()[-1] == "finished toy" and "search: 7 trials" in out
    toy = Search("toy", str(storage))
    assert toy.result().finished and len(toy.leaderboard()) == 8
    # Finished, it is only read, and nothing is shown.
    code, out, err = finish(begun(script, "hidden"))
    assert (code, out.strip(), err) == (0, "finished toy", "")
