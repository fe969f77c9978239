"""Files of one's own, the README's among them, dropped into a copy of the checkout: found, listed, used, tested."""

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
from trainable.setting import Setting
from trainable.trial import TrialTask, TrialWorker

spec = load_spec("own.yaml")
study = optuna.create_study(sampler=spec.algorithm.sampler(0))
schedule = spec.space.suggest(study.ask())
assets = prepare(spec.data, spec.objective.extractor, Path(".cache"))
worker = TrialWorker(Setting(assets, spec.network, spec.training, spec.objective.num_samples))
worker.begin(TrialTask(number=0, schedule=schedule.to_dict(), seed=0, rungs=(20,), folder="trial"))
progress = worker.advance()
assert progress.outcome == "complete", progress
print(schedule.describe(), progress.reports[0]["metrics"])
"""


FORMAT = """
from dataclasses import dataclass

from search.export_format import ExportFormat, Rendered


@dataclass(frozen=True, kw_only=True)
class Rounded(ExportFormat):
    \"\"\"Levels as short text.

    digits: how many of each level are written. The last one is rounded.
    \"\"\"

    digits: int = 6

    BOUNDS = {"digits": (1, 17)}
    TARGET = "none"
    REMEDY = "Raise --digits"

    def derive(self, loaded, steps):
        texts = {n: " ".join(f"{level:.{self.digits}g}" for level in levels) for n, levels in steps.items()}
        used = {n: tuple(map(float, text.split())) for n, text in texts.items()}
        files = {"levels.txt": "".join(f"{text}\\n" for text in texts.values())}
        return Rendered(files=files, calls=texts, wanted=steps, used=used, conditions=("a reader of text",))
"""


PARTS = {
    "gaps/tenth.py": """
from dataclasses import dataclass

from spaces.gap import Gap


@dataclass(frozen=True, kw_only=True)
class Tenth(Gap):
    \"\"\"Nine tenths of t.\"\"\"

    RULE = "max(sigma_min, .9 t)"

    def teacher(self, t_M, sigma_min, stage):
        return (0.9 * t_M).clip(min=sigma_min)
""",
    "weights/cubic.py": """
from dataclasses import dataclass

from spaces.weight import Weight


@dataclass(frozen=True, kw_only=True)
class Cubic(Weight):
    \"\"\"One over the third power of t.\"\"\"

    FORMULA = "1 / t^3"

    def of_pairs(self, t_M, r_M, sigma_data):
        return t_M**-3
""",
    "losses/norm.py": """
from dataclasses import dataclass

from spaces.loss import Constants, Loss


@dataclass(frozen=True, kw_only=True)
class Norm(Loss):
    \"\"\"The L2 norm, but for a billionth.\"\"\"

    TEXT = "s / sqrt(s + 1e-18) of the per-image L2 norm"

    def constants(self, num_values, huber_c):
        return Constants(1.0, 1e-18, 0.0)
""",
}


EXPORT = """
import json
from pathlib import Path
from tests.search.test_export_formats import document

Path("best.json").write_text(json.dumps(document()))
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
    (copy / "search" / "exports" / "rounded.py").write_text(FORMAT)
    for part, code in PARTS.items():
        (copy / "spaces" / part).write_text(code)
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
    of_parts = "tests/spaces/test_weights_and_losses.py"
    for name, tests in (
        ("weibull", "tests/spaces/test_noise_contract.py"),
        ("thorough_tpe", "tests/search/test_algorithms.py"),
        ("rounded", "tests/search/test_export_formats.py"),
        ("tenth", "tests/spaces/test_gaps.py"),
        ("cubic", of_parts),
        ("norm", of_parts),
    ):
        out = run(checkout, "-m", "pytest", "-p", "no:cacheprovider", "-k", name, tests)
        assert re.search(r"[1-9]\d* passed", out)


def test_an_export_format_brings_its_own_option(checkout: Path) -> None:
    """One file: the verb, its help and its checks take the option from there."""
    help_text = " ".join(run(checkout, "-m", "search", "export", "--help").split())
    assert "--digits INT rounded: how many of each level are written" in help_text
    run(checkout, "-c", EXPORT)
    run(checkout, "-m", "search", "export", "best.json", "--format", "rounded", "--digits", "3", "--nfe", "2")
    assert (checkout / "best_schedule_rounded" / "levels.txt").read_text() == "80 0.821\n"
