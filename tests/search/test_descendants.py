"""What a process has started is found and ended, whatever it is called and whoever started it."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A child that starts a grandchild; both sleep. Its name has a bracket and a space in it.
CHILD = """
import subprocess, sys, time
from pathlib import Path
Path("/proc/self/comm").write_text("a) b (c")
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print(grandchild.pid, flush=True)
time.sleep(300)
"""
PARENT = f"""
import subprocess, sys
from search.machine.descendants import descendants, kill_descendants
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE, text=True)
grandchild = int(child.stdout.readline())
assert descendants() == [child.pid, grandchild], (descendants(), child.pid, grandchild)
kill_descendants()
child.wait(30)
print(grandchild)
"""


def test_children_and_theirs_are_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARENT], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 60
    while is_alive(int(done.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


ORPHANED = f"""
import os, subprocess, sys, time
from search.machine.descendants import adopt_orphans, descendants, kill_descendants, kill_descendants_with
adopt_orphans()
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE, text=True,
                         env=os.environ | {{"ORPHAN": "1"}})
orphan = int(child.stdout.readline())
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
child.kill()
child.wait(30)
assert set(descendants()) == {{orphan, other.pid}}, (descendants(), orphan, other.pid)
kill_descendants_with(["ORPHAN"])
assert os.waitpid(orphan, 0)[0] == orphan
assert other.poll() is None
kill_descendants()
other.wait(30)
"""


def test_orphans_are_adopted_and_ended_too_and_some_by_how_they_were_started() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ORPHANED], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
