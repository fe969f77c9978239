"""A stopping rule that needs no rungs, dropped into a copy of the checkout: one file and nothing else."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

OWN_RULE = '''
from dataclasses import dataclass

from search.record import has_diverged
from search.stopping_rule import Rung, StoppingRule


@dataclass(frozen=True, kw_only=True)
class Hopeless(StoppingRule):
    """Stop a trial whose value is many times the best; without rungs it stops nothing."""

    factor: float = 10.0

    def stops(self, number: int, rung: Rung) -> bool:
        value = rung.values[number]
        return has_diverged(value) or value > self.factor * min(rung.values.values())
'''
OWN_SEARCH = """
name: own
data: digits
network: {name: film_mlp, width: 8, depth: 1}
training: {total_steps: 20, batch_size: 16}
objective: {num_samples: 50}
space: {noise: {lognormal: }, curriculum: {constant: }}
stopping: hopeless
"""


def test_a_rule_without_rungs_is_one_file(tmp_path: Path) -> None:
    """A search file can name it and the contract tests try it, with no other change."""
    root = Path(__file__).resolve().parents[2]
    for package in ("spaces", "trainable", "search", "tests"):
        shutil.copytree(root / package, tmp_path / package)
    shutil.copy(root / "pyproject.toml", tmp_path)
    (tmp_path / "search/stopping/hopeless.py").write_text(OWN_RULE)
    (tmp_path / "own.yaml").write_text(OWN_SEARCH)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    stopping = json.loads(run("search", "run", "own.yaml", "--dry-run", "--json"))["search"]["stopping"]
    assert stopping == {"name": "hopeless", "rungs": [], "factor": 10.0}
    out = run("pytest", "-p", "no:cacheprovider", "-k", "hopeless", "tests/search/test_stopping.py")
    assert re.search(r"[1-9]\d passed", out)
