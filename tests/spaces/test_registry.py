"""A folder is a registry: what stands in it is found, and a bad file is named."""

import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spaces import CURRICULA, GRIDS, NOISE, NoiseDistribution
from spaces.preset import Presets
from spaces.registry import Registry, name_of, summary_of

POWER = '''
import math
from dataclasses import dataclass
from typing import ClassVar

from optuna.distributions import FloatDistribution

from spaces.noise_distribution import SigmaLaw


@dataclass(frozen=True, kw_only=True)
class Power(SigmaLaw):
    """Like log_uniform, but up to `top`. A family for this test only."""

    top: float = 80.0
    SPACE: ClassVar = {"top": FloatDistribution(10.0, 100.0)}

    def cdf(self, sigma):
        return ((sigma / 1e-3).log() / math.log(self.top / 1e-3)).clamp(0, 1)
'''

# What follows from a file of that name in the folder of noise families.
USED = """
import json
import math

from optuna.trial import FixedTrial

from spaces import SearchSpace, schedule_json_schema

space = SearchSpace.from_mapping({"noise": {"power_law": {}}, "curriculum": {"constant": {}}})
params = {"power_law.top": 20.0, "constant.levels": 20, "grid.rho": 7.0}
schedule = space.suggest(FixedTrial(params))
assert space.params_of(schedule) == params
assert math.isclose(schedule.stages(10)[0].probability_M.sum().item(), 1)
assert "power_law(top=20)" in schedule.describe()
assert type(schedule).from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule
assert "noise.power_law" in schedule_json_schema()["$defs"]
"""

ROOT = Path(__file__).parents[2]
MakeFolder = Callable[..., str]


@pytest.fixture
def make_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeFolder]:
    """Writes files into a package of its own and gives its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(**files: str) -> str:
        folder = tmp_path / "a_folder"
        folder.mkdir()
        for name, text in {"__init__": "", **files}.items():
            (folder / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return "a_folder"

    yield make
    for module in [name for name in sys.modules if name.split(".")[0] == "a_folder"]:
        del sys.modules[module]


def registry(package: str) -> Registry[NoiseDistribution]:
    return Registry(package, NoiseDistribution, "noise family")  # type: ignore[type-abstract]


def test_a_file_is_a_choice_named_after_it(make_folder: MakeFolder) -> None:
    found = registry(make_folder(power_law=POWER, _shared="x = 1"))
    assert list(found) == ["power_law"]
    noise = found.build({"name": "power_law", "top": 50.0})
    assert name_of(noise) == "power_law"
    assert summary_of(found["power_law"]) == "Like log_uniform, but up to `top`. A family for this test only."
    assert found.describe(noise) == {"name": "power_law", "top": 50.0}
    assert found.build("power_law") == found["power_law"]()


def test_a_file_dropped_into_the_noise_folder_is_searched_described_and_in_the_schema(
    tmp_path: Path,
) -> None:
    """In a process of its own: a folder is read once."""
    shutil.copytree(ROOT / "spaces", tmp_path / "spaces", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "spaces" / "noise" / "power_law.py").write_text(POWER)
    done = subprocess.run(
        [sys.executable, "-c", USED], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_module", "a_folder/bad.py does not import: ModuleNotFoundError"),
        ("def (", "a_folder/bad.py does not import: SyntaxError"),
        ("x = 1", "a_folder/bad.py must define exactly one NoiseDistribution, but defines none"),
        (
            POWER + POWER.replace("class Power", "class Twice"),
            "a_folder/bad.py must define exactly one NoiseDistribution, but defines Power, Twice",
        ),
    ],
)
def test_a_bad_file_stops_the_program_with_its_name(make_folder: MakeFolder, text: str, message: str) -> None:
    found = registry(make_folder(bad=text))
    with pytest.raises(ImportError) as caught:
        list(found.values())
    assert str(caught.value).startswith(message)


def test_only_the_file_that_is_asked_for_is_imported(make_folder: MakeFolder) -> None:
    found = registry(make_folder(bad="import no_such_module", power_law=POWER))
    assert list(found) == ["bad", "power_law"]
    assert "bad" in found and len(found) == 2
    assert found.build({"name": "power_law"}) == found["power_law"]()
    assert "a_folder.bad" not in sys.modules


def test_a_preset_file_without_a_preset_is_named(make_folder: MakeFolder) -> None:
    with pytest.raises(ImportError, match=r"a_folder/empty\.py must define PRESET"):
        Presets(make_folder(empty="x = 1"), "preset")["empty"]


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Unknown noise family 'LogNorml'\. Known: .*logn.*spaces/noise/"):
        NOISE["LogNorml"]
    with pytest.raises(ValueError, match="needs a `name`"):
        NOISE.build({"p_mean": 1.0})
    with pytest.raises(ValueError, match="sigma"):
        NOISE.build({"name": "lognormal", "sigma": 1.0})


def test_no_two_folders_share_a_name() -> None:
    """Optuna parameters are named after the family: `lognormal.p_mean`."""
    names = [*GRIDS, *NOISE, *CURRICULA, "grid", "noise", "curriculum", "uniform_floor"]
    assert len(set(names)) == len(names)
