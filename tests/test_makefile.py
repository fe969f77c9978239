"""Setting up where the system lacks something: one line that says what."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
exec {python} -c 'import sys; {lacks}; exec(sys.argv[2])' "$@"
"""


@pytest.mark.parametrize(
    ("lacks", "message"),
    [
        ('sys.modules["ensurepip"] = None', "On Debian run, as root: apt-get install python3-venv"),
        (
            'sys.version_info = (3, 10); sys.version = "3.10.1 (old)"',
            "Python 3.11 or newer is needed, this is 3.10.1",
        ),
    ],
)
def test_what_setting_up_lacks_is_told_before_anything_is_made(
    tmp_path: Path, lacks: str, message: str
) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(PYTHON.format(python=sys.executable, lacks=lacks))
    python.chmod(0o755)
    made = subprocess.run(
        ["make", "setup", f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert made.returncode == 2
    told, _ = made.stderr.splitlines()  # the other one is make's own
    assert message in told
    assert not (tmp_path / ".venv").exists()
