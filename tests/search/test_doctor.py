"""`doctor` on a machine where a library is broken: that is a finding, and the other checks go on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("library", "check"), [("torch", "gpu"), ("packaging", "versions")])
def test_a_library_that_does_not_import_is_one_finding(library: str, check: str, tmp_path: Path) -> None:
    (tmp_path / library).mkdir()
    (tmp_path / library / "__init__.py").write_text("raise OSError('libbroken.so: cannot open')\n")
    done = subprocess.run(
        [sys.executable, "-m", "search", "doctor", "--quick"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith("fail")]
    assert done.returncode == 1, done.stderr
    assert f"fail  {check:<10} OSError: libbroken.so: cannot open" in failed
    assert "ok    python " in done.stdout
    assert " mlflow " in done.stdout
