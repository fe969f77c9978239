"""The README's three files, dropped into a copy of the checkout: found, listed, searched, tested."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SEARCH = """
name: own
data: stripes
network: {name: film_mlp, width: 8, depth: 1}
training: {total_steps: 20, batch_size: 16}
objective: {num_samples: 50}
space: {noise: {weibull: }, curriculum: {constant: }}
algorithm: thorough_tpe
"""

# One trial as a worker runs it, on the first proposal of the dropped-in algorithm.
TRIAL = """
from pathlib import Path
import optuna
from search.file.spec import load_spec
from trainable.metric.assets import prepare
from trainable.trial import TrialTask, TrialWorker

spec = load_spec("own.yaml")
study = optuna.create_study(sampler=spec.algorithm.sampler(0))
schedule = spec.space.suggest(study.ask())
assets = prepare(spec.data, spec.objective.extractor, Path(".cache"))
worker = TrialWorker(assets, spec.network, spec.training, spec.objective.num_samples)
worker.begin(TrialTask(number=0, schedule=schedule.to_dict(), seed=0, rungs=(20,), folder="trial"))
progress = worker.advance()
assert progress.outcome == "complete", progress
print(schedule.describe(), progress.reports[0]["metrics"])
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with the README's files in it."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("spaces", "trainable", "search", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    blocks = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 3
    for path, code in blocks:
        assert not (ROOT / path).exists()
        (copy / path).write_text(code)
    (copy / "own.yaml").write_text(SEARCH)
    return copy


def run(checkout: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("kind", "name"), [("noise", "weibull"), ("data", "stripes"), ("algorithms", "thorough_tpe")]
)
def test_the_command_line_lists_it(checkout: Path, kind: str, name: str) -> None:
    choices = json.loads(run(checkout, "-m", "search", "list", kind, "--json"))["choices"]
    (found,) = [choice for choice in choices if choice["name"] == name]
    assert found["summary"]


def test_a_trial_uses_all_three(checkout: Path) -> None:
    out = run(checkout, "-c", TRIAL)
    assert out.startswith("weibull(scale=")
    assert "fd_pixels" in out


def test_the_folders_contract_tests_take_it_in(checkout: Path) -> None:
    out = run(
        checkout,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-k",
        "weibull",
        "tests/spaces/test_noise_contract.py",
    )
    assert re.search(r"[1-9]\d* passed", out)
    out = run(
        checkout,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-k",
        "thorough_tpe",
        "tests/search/test_algorithms.py",
    )
    assert re.search(r"[1-9]\d* passed", out)
