"""Setting up: what the system lacks in one line, pip's pages summed up, and no environment that is half made."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
[ "$1" = -c ] || exec {python} "$@"
exec {python} -c 'import sys; {lacks}; exec(sys.argv[2])' "$@"
"""
# In place of the standard one: an environment whose python writes down what it is asked for.
VENV = """
import pathlib, sys
folder = pathlib.Path(sys.argv[-1])
(folder / "bin").mkdir(parents=True, exist_ok=True)
for left in folder.glob("half*"):
    left.unlink()
python = folder / "bin" / "python"
python.write_text('''#!/bin/sh
[ "$1" = -c ] && exit 0
echo "$*" >> calls
case "$*" in *" pip "*) . ./pip.sh;; esac
''')
python.chmod(0o755)
"""
WARNED = """
i=0; while [ $i -lt 212 ]; do i=$((i+1))
echo "WARNING: Location 'file:///a/simple/p$i/' is ignored: it is neither a file nor a directory."; done
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What setting up needs, where a path is as people have it; pip does what `pip.sh` says."""
    folder = tmp_path / "My Projects (1) & Co's"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "install.py"):
        shutil.copy(ROOT / name, folder)
    (tmp_path / "fakes").mkdir()
    (tmp_path / "fakes" / "venv.py").write_text(VENV)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fakes"))
    (folder / "pip.sh").write_text("echo Collecting ray\n")
    return folder


def command(*arguments: str) -> list[str]:
    return ["make", "--no-print-directory", f"PYTHON={sys.executable}", *arguments]


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=checkout, capture_output=True, text=True, timeout=60)


def calls(checkout: Path) -> list[str]:
    return (checkout / "calls").read_text().splitlines()


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("lacks", "message"),
    [
        ('sys.modules["ensurepip"] = None', "On Debian run, as root: apt-get install python3-venv"),
        (
            'sys.version_info = (3, 10); sys.version = "3.10.1 (old)"',
            "Python 3.11 to 3.14 is needed, this is 3.10.1. Name another one: make PYTHON=python3.11 ...",
        ),
        (
            'sys.version_info = (3, 15); sys.version = "3.15.0 (new)"',
            "Python 3.11 to 3.14 is needed, this is 3.15.0. Name another one: make PYTHON=python3.11 ...",
        ),
    ],
)
def test_what_setting_up_lacks_is_told_before_anything_is_made(
    checkout: Path, tmp_path: Path, lacks: str, message: str
) -> None:
    python = tmp_path / "python"
    python.write_text(PYTHON.format(python=sys.executable, lacks=lacks))
    python.chmod(0o755)
    made = make(checkout, "setup", f"PYTHON={python}")
    assert made.returncode == 2
    told, _ = made.stderr.splitlines()  # the other one is make's own
    assert message in told
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_not_there_is_named(checkout: Path) -> None:
    made = make(checkout, "setup", "PYTHON=python3.99")
    assert made.stderr.startswith("There is no python3.99. Name a Python: make PYTHON=python3.11 ...\n")


def test_the_makefile_takes_the_pythons_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    low, high = re.findall(r"3\.(\d+)", project["requires-python"])
    assert f"(3, {low}) <= sys.version_info < (3, {high})" in (ROOT / "Makefile").read_text()
    versions = [f"Programming Language :: Python :: 3.{minor}" for minor in range(int(low), int(high))]
    assert project["classifiers"] == versions


def test_set_up_once_with_one_calm_line_and_pips_warnings_summed_up(checkout: Path) -> None:
    (checkout / "pip.sh").write_text(WARNED + "echo 'WARNING: The script ray is not on PATH'\n")
    made = make(checkout, "search")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == [
        "Setting up .venv (a few minutes, once). What pip prints goes into .venv/setup.log",
        "WARNING: The script ray is not on PATH",
        "pip warned 213 times; see .venv/setup.log",
    ]
    assert made.stderr == ""
    assert (checkout / ".venv" / "setup.log").read_text().count("is ignored") == 212
    pip, run = calls(checkout)
    assert pip.endswith(f"--constraint {checkout}/constraints.txt {checkout}/.venv/project")
    assert run == "-m search run searches/digits.yaml --output best_schedule.json"
    assert make(checkout, "setup").stdout == ""
    assert len(calls(checkout)) == 2
    assert not {"build", "consistency_schedule_search.egg-info"} & {path.name for path in checkout.iterdir()}


def test_each_extra_is_installed_once(checkout: Path) -> None:
    for _ in range(2):
        assert make(checkout, "setup-conformance").returncode == 0
    ends = [line.rpartition("/")[2].rpartition(" ")[2] for line in calls(checkout)]
    assert ends == [
        "project",
        "project[dev]",
        "project[dev,conformance]",
        "k-diffusion==0.1.1.post1",
        "timm==1.0.31",
    ]


def test_another_pin_is_installed(checkout: Path) -> None:
    assert make(checkout, "setup").returncode == 0
    with (checkout / "constraints.txt").open("a") as pins:
        pins.write("another==1\n")
    assert make(checkout, "setup").returncode == 0
    assert len(calls(checkout)) == 2


def test_where_pip_fails_its_last_errors_are_shown_and_it_can_go_on(checkout: Path) -> None:
    (checkout / "pip.sh").write_text(
        WARNED + "echo 'ERROR: No matching distribution found for ray'\nexit 1\n"
    )
    made = make(checkout, "search")
    assert made.returncode == 2
    first, second, _ = made.stderr.splitlines()
    assert first == "ERROR: No matching distribution found for ray"
    assert second == "pip failed: all that it printed is in .venv/setup.log. The same command again goes on"
    (checkout / "pip.sh").write_text("")
    assert make(checkout, "search").returncode == 0
    assert len(calls(checkout)) == 3


def test_of_two_at_once_one_makes_it_and_the_other_waits(checkout: Path) -> None:
    (checkout / "pip.sh").write_text("touch begun; while [ ! -e go ]; do sleep .02; done\n")
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command("setup"), cwd=checkout, **streams) as first:
        wait_for(checkout / "begun")
        with subprocess.Popen(command("setup"), cwd=checkout, **streams) as second:
            assert second.stdout is not None
            told = second.stdout.readline()
            (checkout / "go").touch()
            assert second.wait() == first.wait() == 0
    assert told == "Waiting for somebody else who is setting up .venv ...\n"
    assert len(calls(checkout)) == 1


def test_what_was_killed_half_way_is_made_anew(checkout: Path) -> None:
    (checkout / "pip.sh").write_text("touch .venv/half begun; while [ ! -e go ]; do sleep .02; done\n")
    with subprocess.Popen(command("setup"), cwd=checkout, start_new_session=True) as killed:
        wait_for(checkout / "begun")
        os.killpg(killed.pid, signal.SIGKILL)
    (checkout / "pip.sh").write_text("")
    assert make(checkout, "setup").returncode == 0
    assert len(calls(checkout)) == 2
    assert not (checkout / ".venv" / "half").exists()


def test_where_nothing_can_be_written_another_folder_is_asked_for(checkout: Path) -> None:
    made = make(checkout, "setup", "VENV=/proc/environment")
    assert made.stderr.startswith("/proc cannot be written to (")
    assert "Name a folder of yours for the environment: make VENV=FOLDER ..." in made.stderr
    assert make(checkout, "setup", f"VENV={checkout.parent / 'other place'}").returncode == 0


def test_an_environment_of_a_python_that_is_gone_is_left_alone(checkout: Path) -> None:
    assert make(checkout, "setup").returncode == 0
    (checkout / ".venv" / "bin" / "python").unlink()
    made = make(checkout, "setup")
    assert made.stderr.startswith(
        "The Python that .venv was made with is not on this machine. Remove that folder"
    )
