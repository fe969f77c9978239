"""Choices in folders of the user's own: found, refused, part of a search, shipped, and held to what ours keep."""

import itertools
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from search import cli
from search.cli import main
from search.contracts import promises_of
from search.errors import InputError
from search.evidence.leaderboard import leaderboard
from search.file.kinds import KINDS
from search.file.plugins import load_plugins
from search.file.spec import SearchSpec, SpecError, load_spec
from search.machine.plugin_folder import read_plugin
from search.record import Purpose
from search.running.own_code import files_to_ship, keep_code
from search.running.search import Search
from search.winner.document import export_document
from spaces import NOISE, PRESETS, NoiseSchedule, load_schedule
from spaces.plugins import carried, in_use, use
from tests.records import record, replicates
from tests.search.test_search import ASSETS
from trainable.own_process import in_own_process

ROOT = Path(__file__).resolve().parents[2]
README = dict(
    re.findall(r"```python\n# \w+/(\S+\.py)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
)
WEIBULL = README["noise/weibull.py"]
HALF = '''
from dataclasses import dataclass

import numpy as np

from PLUGIN.shared import HALF
from spaces.curriculum import Curriculum, Steps


@dataclass(frozen=True, kw_only=True)
class Half(Curriculum):
    """Few levels for half of the training, then many."""

    levels: int = 12

    BOUNDS = {"levels": (4, 100)}

    def levels_at(self, step_K: Steps, total_steps: int) -> Steps:
        return np.where(step_K < HALF * total_steps, self.levels // 2, self.levels)

    @property
    def most_levels(self) -> int:
        return self.levels

    @property
    def most_stages(self) -> int:
        return 2
'''
TINY = '''
from dataclasses import dataclass

import torch
from torch import nn

from trainable.network import Network, NetworkModule, draw_linear_


class Module(NetworkModule):
    draws = True

    def __init__(self, channels: int):
        super().__init__()
        self.inner = nn.Conv2d(channels, 8, 3, padding=1)
        self.drop = nn.Dropout(0.2)
        self.outer = nn.Conv2d(8, channels, 3, padding=1)

    def reset_parameters(self, generator: torch.Generator) -> None:
        draw_linear_(self.inner, generator)
        draw_linear_(self.outer, generator)

    def forward(self, x_BCHW: torch.Tensor, c_noise_B: torch.Tensor) -> torch.Tensor:
        return self.outer(self.drop(self.inner(x_BCHW) + c_noise_B[:, None, None, None]))


@dataclass(frozen=True, kw_only=True)
class Tiny(Network):
    """Two layers with dropout between them."""

    def build(self, image_shape: tuple[int, int, int]) -> NetworkModule:
        return Module(image_shape[0])
'''
BEST = '''
from dataclasses import dataclass

from search.stopping_rule import Rung, StoppingRule


@dataclass(frozen=True, kw_only=True)
class Best(StoppingRule):
    """Only the best at a rung goes on."""

    rungs: tuple[float, ...] = (0.5,)

    def stops(self, number: int, rung: Rung) -> bool:
        return rung.values[number] > min(rung.values.values()) or rung.values[number] >= 1e9
'''
HALVES = '''
from dataclasses import dataclass

import numpy as np

from spaces.arrays import Array
from spaces.curriculum import Steps
from spaces.gap import Gap


@dataclass(frozen=True, kw_only=True)
class Halves(Gap):
    """A share of t that is halved once."""

    share: float = 0.5

    RULE = "max(sigma_min, t (1 - share / 2^s)), s = 0 in the first half of the steps, then 1"
    BOUNDS = {"share": (0.01, 0.99)}

    @property
    def most_stages(self) -> int:
        return 2

    def stages_at(self, step_K: Steps, total_steps: int) -> Steps:
        return np.where(2 * step_K < total_steps, 0, 1)

    def teacher(self, t_M: Array, sigma_min: float, stage: int) -> Array:
        return (t_M * (1 - self.share / 2**stage)).clip(min=sigma_min)
'''
POWER = '''
from dataclasses import dataclass

from optuna.distributions import FloatDistribution

from spaces.arrays import Array
from spaces.weight import Weight


@dataclass(frozen=True, kw_only=True)
class Power(Weight):
    """A power of t."""

    p: float = 1.5

    FORMULA = "1 / t^p"
    BOUNDS = {"p": (0.0, 4.0)}
    SPACE = {"p": FloatDistribution(0.0, 2.0)}

    def of_pairs(self, t_M: Array, r_M: Array, sigma_data: float) -> Array:
        return t_M**-self.p
'''
BENT = '''
from dataclasses import dataclass

from optuna.distributions import FloatDistribution

from spaces.loss import Constants, Loss


@dataclass(frozen=True, kw_only=True)
class Bent(Loss):
    """Squares for near images, norms for far ones."""

    knee: float = 0.1

    TEXT = "s / sqrt(s + knee^2) of the per-image L2 norm"
    BOUNDS = {"knee": (1e-3, 10.0)}
    SPACE = {"knee": FloatDistribution(0.01, 1.0, log=True)}

    def constants(self, num_values: int, huber_c: float) -> Constants:
        return Constants(1.0, self.knee**2, 0.0)
'''
PARTS = {"gaps/halves.py": HALVES, "weights/power.py": POWER, "losses/bent.py": BENT}
FILES = {
    "noise/weibull.py": WEIBULL,
    "data/stripes.py": README["data/stripes.py"],
    "algorithms/thorough_tpe.py": README["algorithms/thorough_tpe.py"],
    "curricula/half.py": HALF,
    "networks/tiny.py": TINY,
    "stopping/best.py": BEST,
    **PARTS,
    "shared.py": "HALF = 0.5\n",
}
TEXT = """\
name: own
plugins: [./PLUGIN]
data: stripes
network: tiny
training: {total_steps: 8, batch_size: 8}
objective: {extractor: pixels, num_samples: 50}
space: {noise: {weibull: }, curriculum: {half: }}
algorithm: thorough_tpe
stopping: best
budget: {max_trials: 4}
"""
ICT = PRESETS["ict"].schedule
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """A plugin of these files, of a name that this process has not seen: modules stay."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEDULE_SEARCH_CACHE", str(tmp_path / "cache"))

    def made(files: dict[str, str], name: str | None = None) -> Path:
        folder = tmp_path / (name or f"mine_{next(_numbers)}")
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text.replace("PLUGIN", folder.name))
        return folder

    yield made
    use(())


_numbers = itertools.count()


def search_file(plugin: Path, text: str = TEXT) -> Path:
    path = plugin.parent / "own.yaml"
    path.write_text(text.replace("PLUGIN", plugin.name))
    return path


def test_a_search_takes_choices_of_every_kind(make: Make) -> None:
    plugin = make(FILES)
    spec = load_spec(search_file(plugin))
    assert [each.name for each in in_use()] == [plugin.name]
    assert spec.resolved()["plugins"] == [str(plugin)]
    assert {"weibull"} < set(NOISE) and "weibull" not in NOISE.ours
    again = plugin.parent / "again.yaml"
    again.write_text(spec.to_yaml())
    assert load_spec(again) == spec
    # The same search wherever they lie; their content has a checksum of its own.
    (plugin.parent / "moved").mkdir()
    plugin.rename(plugin.parent / "moved" / plugin.name)
    moved = load_spec(search_file(plugin, TEXT.replace("./", "moved/")))
    assert moved.fingerprint_fields() == spec.fingerprint_fields()
    # Without them their choices are not offered, and what was made of them goes on to work.
    plain = load_spec(search_file(plugin, "name: own\ndata: digits\n"))
    assert "plugins" not in plain.resolved() and "weibull" not in NOISE and "weibull" not in list(NOISE)
    assert NoiseSchedule.from_dict(_schedule().to_dict()) == _schedule()
    for _, _, written in OF_A_PLUGIN:
        one = NoiseSchedule.from_dict(written)
        assert NoiseSchedule.from_dict(one.to_dict()) == one
    with pytest.raises(SpecError, match="unknown noise family 'weibull'"):
        load_spec(search_file(plugin, "name: own\ndata: digits\nspace: {noise: {weibull: }}\n"))


def _schedule(**parts: dict[str, Any]) -> NoiseSchedule:
    return NoiseSchedule.from_dict(
        {
            **parts,
            "noise": {"name": "weibull", "scale": 2.0},
            "grid": {"name": "karras"},
            "curriculum": {"name": "constant", "levels": 12},
        }
    )


def test_gap_weight_and_loss_of_a_plugin_are_searched(make: Make) -> None:
    plugin = make(PARTS)
    space = "{gap: {halves: , adjacent: }, weight: {power: }, loss: {bent: , pseudo_huber: }, noise: {lognormal: }}"
    spec = load_spec(search_file(plugin, f"name: own\nplugins: [PLUGIN]\ndata: digits\nspace: {space}\n"))
    assert {"gap", "weight.power.p", "loss", "loss.bent.knee"} < spec.space.distributions().keys()
    again = plugin.parent / "again.yaml"
    again.write_text(spec.to_yaml())
    assert load_spec(again) == spec
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(20):
        trial = study.ask()
        schedule = spec.space.suggest(trial)
        assert spec.space.params_of(schedule) == trial.params
        seen |= {type(schedule.gap).__name__, type(schedule.loss).__name__}
    assert seen == {"Halves", "Adjacent", "Bent", "PseudoHuber"}
    # Where a file names none, the usual ones are taken.
    plain = load_spec(search_file(plugin, "name: own\nplugins: [PLUGIN]\ndata: digits\n"))
    assert not plain.space.unusual


def test_a_family_of_a_plugin_is_searched_where_a_file_names_none(make: Make) -> None:
    plugin = make({"noise/weibull.py": WEIBULL})
    spec = load_spec(search_file(plugin, "name: own\nplugins: [PLUGIN]\ndata: digits\n"))
    assert "weibull" in {family.prefix for family in spec.space.noise}
    plain = load_spec(search_file(plugin, "name: own\ndata: digits\n"))
    assert "weibull" not in {family.prefix for family in plain.space.noise}


REFUSED: list[tuple[dict[str, str], str]] = [
    ({"noise/lognormal.py": WEIBULL}, "noise/lognormal.py has the name of one of ours: lognormal. Rename it"),
    ({"noise/karras.py": WEIBULL}, "noise/karras.py has the name of one of ours: karras"),
    ({"curricula/uniform_floor.py": HALF}, "has the name of one of ours: uniform_floor"),
    ({"noise/weight.py": WEIBULL}, "noise/weight.py has the name of one of ours: weight"),
    ({"weights/edm.py": POWER}, "weights/edm.py has the name of one of ours: edm"),
    ({"gaps/a.py": HALVES.replace("    RULE", "    CONTINUOUS = False\n    RULE")}, "gaps/a.py:12: TypeError: Halves:"),
    ({"gaps/a.py": HALVES.replace("RULE", "RULES")}, "gaps/a.py: Halves lacks RULE, which every gap has"),
    ({"weights/a.py": POWER.replace("of_pairs", "pairs")}, "weights/a.py: Power lacks of_pairs, which every weight"),
    ({"losses/a.py": BENT.replace("TEXT", "TEXTS")}, "losses/a.py: Bent lacks TEXT, which every loss has"),
    ({"noise/a.py": WEIBULL.replace("def cdf", "def cdfs")}, "noise/a.py: Weibull lacks cdf, which every noise family"),
    ({"noise/a.py": WEIBULL, "curricula/a.py": HALF, "shared.py": "HALF = 1"}, "a.py has the name of another one"),
    ({"noize/weibull.py": WEIBULL}, "noize is no folder of choices (did you mean noise?). Known: noise, curricula"),
    ({"shared.py": "x = 1\n"}, "has no choices. Put one into a folder in it, as mine_"),
    ({"trainers/mine.py": "x = 1\n"}, "trainers/mine.py is a trainer, which no plugin can be"),
    ({"noise/bad.py": "x = 1\ndef (\n"}, "noise/bad.py:2: SyntaxError: invalid syntax (of mine_"),
    ({"noise/bad.py": "\nimport no_such\n"}, "noise/bad.py:2: ModuleNotFoundError: No module named 'no_such'"),
    ({"noise/bad.py": "from PLUGIN.shared import x\n", "shared.py": "x = 1\ny = 1 / 0\n"}, "shared.py:2: ZeroDivision"),
    ({"noise/bad.py": "x = 1\n"}, "noise/bad.py must define exactly one NoiseDistribution, but defines none"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "message"), REFUSED)
def test_what_is_no_plugin_is_refused_in_one_line(make: Make, files: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError) as raised:
        load_spec(search_file(make(files)))
    lines = [str(line) for line in raised.value.args]
    assert all(re.match(r".*/own\.yaml:2: plugins\[0\]: ", line) for line in lines)
    assert message in "\n".join(lines)
    assert not any("\n" in line for line in lines)
    assert in_use() == ()


def test_folders_that_cannot_be_are_refused(make: Make, tmp_path: Path) -> None:
    plugin = make({"noise/weibull.py": WEIBULL})
    for text, message in (
        ("[nowhere]", "nowhere is no folder on this machine. Name the folder of the plugin"),
        ("[3]", "must be the path of a folder, but got 3"),
        ("PLUGIN", "plugins: must be a list"),
        ("[PLUGIN, ./PLUGIN]", f"plugins[1]: two plugins are called {plugin.name}. Rename one"),
    ):
        with pytest.raises(SpecError) as raised:
            load_spec(search_file(plugin, f"name: own\nplugins: {text}\ndata: digits\n"))
        assert message in str(raised.value)
    for name in ("json", "search", "no-word", "pytest"):
        with pytest.raises(ValueError, match="cannot be a plugin by this name"):
            read_plugin(make({"noise/weibull.py": WEIBULL}, name))
    one, other = make({"noise/weibull.py": WEIBULL}), make({"noise/weibull.py": WEIBULL})
    with pytest.raises(ValueError, match=f"has the name of another one, in .*{other.name}/noise"):
        load_plugins(one, other)


def test_a_plugin_that_is_edited_is_not_mixed_with_what_it_was(make: Make) -> None:
    plugin = make(FILES)
    load_spec(search_file(plugin))
    (plugin / "shared.py").write_text("HALF = 0.4\n")
    with pytest.raises(SpecError, match=r"shared.py is not what .* was when this process read it"):
        load_spec(search_file(plugin))


def started(spec: SearchSpec) -> Search:
    search = Search(spec)
    search.folder.mkdir(parents=True)
    search.open_or_create(ASSETS)
    keep_code(spec)
    search.write_file()
    return search


def test_an_edited_plugin_is_another_search_and_one_that_is_gone_is_gone_on_without(make: Make) -> None:
    plugin = make(FILES)
    spec = load_spec(search_file(plugin))
    search = started(spec)
    (mine,) = spec.plugins
    assert search.header["plugins"] == {plugin.name: mine.sha256}
    Search(load_spec(search_file(plugin))).open_or_create(ASSETS)
    edited = spec.model_copy(update={"plugins": [replace(mine, sha256="0" * 64)]})
    for other in (edited, spec.model_copy(update={"plugins": []})):
        with pytest.raises(InputError, match="was measured with another plugin"):
            Search(other).open_or_create(ASSETS)

    plugin.rename(plugin.parent / "gone")
    again = Search.open("own")
    again.open_or_create(ASSETS)
    assert again.spec.resolved()["plugins"] == [str((search.folder / "code" / plugin.name).absolute())]
    (search.folder / "code" / plugin.name / "shared.py").write_text("edited")
    with pytest.raises(InputError, match=r"was edited\. Remove it"):
        keep_code(spec)


def test_submit_ships_it_with_the_search_file(make: Make, tmp_path: Path) -> None:
    plugin = make(FILES)
    file = search_file(plugin)
    spec = load_spec(file)
    files = files_to_ship(str(file), spec, "searches/own.yaml")
    assert files.keys() == {"searches/own.yaml", *(f"searches/code/{plugin.name}/{name}" for name in FILES)}
    for name, content in files.items():
        (tmp_path / "head" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "head" / name).write_bytes(content)
    plugin.rename(plugin.parent / "gone")
    there = load_spec(tmp_path / "head" / "searches" / "own.yaml")
    assert there.fingerprint_fields() == spec.fingerprint_fields()
    assert there.plugins[0].sha256 == spec.plugins[0].sha256


UNPICKLED = """
import pickle, sys
from pathlib import Path
schedule, network = pickle.loads(Path(sys.argv[1]).read_bytes())
from spaces import NOISE, NoiseSchedule
assert NoiseSchedule.from_dict(schedule.to_dict()) == schedule
print(schedule.describe(), type(network).__name__, "weibull" in NOISE)
"""


def test_it_goes_to_other_processes_with_what_needs_it(make: Make, tmp_path: Path) -> None:
    plugin = make(FILES)
    spec = load_spec(search_file(plugin))
    schedule = _schedule(weight={"name": "power"}, loss={"name": "bent"})
    payload = (schedule, spec.network)
    (tmp_path / "payload").write_bytes(pickle.dumps(carried(payload)))
    plugin.rename(plugin.parent / "gone")
    done = subprocess.run(
        [sys.executable, "-c", UNPICKLED, str(tmp_path / "payload")],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{schedule.describe()} Tiny True\n", done.stderr
    assert in_own_process(schedule.describe) == schedule.describe()
    use(())
    assert carried(payload) is payload


PLAIN = NoiseSchedule.from_dict({**ICT.to_dict(), "curriculum": {"name": "constant", "levels": 12}}).to_dict()
OF_A_PLUGIN: list[tuple[str, str, dict[str, Any]]] = [
    ("noise", "weibull", {**PLAIN, "noise": {"name": "weibull", "scale": 2.0}}),
    ("curriculum", "half", {**PLAIN, "curriculum": {"name": "half"}}),
    ("gap", "halves", {"grid": {}, "noise": PLAIN["noise"], "gap": {"name": "halves"}}),
    ("weight", "power", {**PLAIN, "weight": {"name": "power", "p": 1.0}}),
    ("loss", "bent", {**PLAIN, "loss": {"name": "bent", "knee": 0.2}}),
]


@pytest.mark.parametrize(("part", "name", "written"), OF_A_PLUGIN)
def test_the_export_names_it_and_the_reader_says_what_it_needs(
    make: Make, part: str, name: str, written: dict[str, Any]
) -> None:
    plugin = make(FILES)
    spec = load_spec(search_file(plugin))
    schedule = NoiseSchedule.from_dict(written)
    baseline = {"purpose": Purpose.BASELINE, "preset": "ict"}
    found = {"schedule": schedule}
    records = [record(0, (8, 40.0), **baseline), *replicates(0, [41.0, 39.0], first=10)]
    records += [
        replace(each, **found) for each in (record(2, (8, 30.0)), *replicates(2, [31.0, 29.0], first=20))
    ]
    header = {
        "search": spec.resolved(),
        **{"data_sha256": "a" * 64, "extractor_sha256": "b" * 64, "versions": {}, "git_commit": None},
        "plugins": {each.name: each.sha256 for each in spec.plugins},
    }
    document = export_document(leaderboard("own", "fd_pixels", records), header)
    assert document["provenance"]["plugins"] == header["plugins"]
    assert load_schedule(document).schedule == schedule
    use(())
    with pytest.raises(ValueError) as raised:
        load_schedule(document)
    assert str(raised.value) == (
        f"schedule: schedule.{part} is {name!r} of a plugin that is not here: {plugin.name} (checksum "
        f"{spec.plugins[0].sha256[:12]}). Name its folder: --plugin FOLDER (in Python "
        "search.file.plugins.load_plugins), or use training.stages, whose plain numbers need no plugin"
    )
    file = plugin.with_name("best.json")
    file.write_text(json.dumps(document))
    convert = ["export", str(file), "--format", "torch", "--output", str(plugin.with_name("torch"))]
    assert cli.main(convert) == 2
    assert cli.main([*convert, "--plugin", str(plugin)]) == 0
    assert load_schedule(document).checked
    assert cli.main(["export", "own", "--plugin", str(plugin)]) == 2


def test_check_says_what_is_kept(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(make(FILES))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == [
        *("ok    algorithms thorough_tpe", "ok    curricula half", "ok    data stripes", "ok    gaps halves"),
        *("ok    losses bent", "ok    networks tiny", "ok    noise weibull", "ok    stopping best"),
        "ok    weights power",
    ]
    assert lines[-1] == "9 choices: 0 with a promise that is not kept"


BROKEN: dict[str, tuple[str, str, str]] = {
    "noise/weibull.py": ("self.shape))", "self.shape)) / 2", "exp(log_sf) is not 1 - cdf for weibull("),
    "data/stripes.py": ("Generator().manual_seed(0)", "default_generator", "gives other images when"),
    "algorithms/thorough_tpe.py": ("seed=seed", "seed=0", "proposes the same whatever the seed"),
    "curricula/half.py": ("return 2\n", "return 1\n", "most_stages is 1, but there are 2 of half in"),
    "networks/tiny.py": ("nn.Dropout(0.2)", "nn.BatchNorm2d(8)", "has batch norm (drop), by which"),
    "stopping/best.py": ("min(rung.values.values())", "[*rung.values.values()][0]", "in another order"),
    "gaps/halves.py": ("2**stage", "2**-stage", "further away than in the stage before in stage 1 of halves"),
    "weights/power.py": ("1 / t^p", "1 / t", "FORMULA gives another weight than of_pairs at t="),
    "losses/bent.py": ("1.0, self.knee**2, 0.0", "0.0, self.knee**2, -10.0", "does not grow for bent("),
}  # fmt: skip
HUBER_C = "    def huber_c_of(self, training: float) -> float:\n        return training / 2\n\n"
BROKEN_PARTS: list[tuple[str, str, str, str]] = [
    (
        "gaps/halves.py",
        "return 2\n",
        "return 3\n",
        "most_stages is 3, but there are 2 for halves in 2000 steps",
    ),
    (
        "gaps/halves.py",
        "2 * step_K < total_steps",
        "step_K <= step_K.mean()",
        "a step alone has another stage for halves",
    ),
    ("gaps/halves.py", "(t_M * (1", "(t_M[::-1] * (1", "sigma_min <= r < t must hold, but at t="),
    ("weights/power.py", "t_M**-self.p", "t_M - r_M * 3", "of_pairs gives -"),
    (
        "weights/power.py",
        "1 / t^p",
        "t to the -p",
        "FORMULA 't to the -p' cannot be computed: invalid syntax",
    ),
    ("losses/bent.py", "2, 0.0", "2, -self.knee", "is not finite for bent("),
    (
        "losses/bent.py",
        "    def constants",
        HUBER_C + "    def constants",
        "huber_c_of gives 5e-10 of 1e-09 for bent(",
    ),
    ("losses/bent.py", "Constants(1.0", "Constants(-1.0", "is not finite for bent("),
    ("losses/bent.py", '"s / sqrt', '"\\ns / sqrt', "TEXT must be one line, but is"),
]


def test_check_says_what_is_not_kept(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    broken = {file: FILES[file].replace(old, new) for file, (old, new, _) in BROKEN.items()}
    assert all(broken[file] != FILES[file] for file in broken)
    plugin = make(
        {**FILES, **broken, "noise/fails.py": WEIBULL.replace("return -torch.expm1", "raise KeyError(3)")}
    )
    assert main(["check", str(plugin), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    found = {f"{each['kind']}/{each['name']}.py": each["broken"] for each in answer["choices"]}
    for file, (_, _, message) in BROKEN.items():
        assert any(message in line for line in found[file]), (file, found[file])
    assert any(
        f"{plugin}/noise/fails.py:" in line and "TypeError: " in line for line in found["noise/fails.py"]
    )
    assert (answer["ok"], answer["exit_code"]) == (False, 1)
    assert main(["check", str(plugin)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "10 choices: 10 with a promise that is not kept"
    assert all(line.startswith("fail  ") for line in lines[:-1])


@pytest.mark.parametrize(("file", "old", "new", "message"), BROKEN_PARTS)
def test_check_says_what_a_part_of_a_schedule_does_not_keep(
    make: Make, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, message: str
) -> None:
    broken = PARTS[file].replace(old, new)
    assert broken != PARTS[file]
    assert main(["check", str(make({file: broken}))]) == 1
    lines = capsys.readouterr().out.splitlines()
    kind, _, name = file.removesuffix(".py").partition("/")
    assert any(line.startswith(f"fail  {kind} {name}: ") and message in line for line in lines)
    assert lines[-1] == "1 choices: 1 with a promise that is not kept"


def test_one_fault_is_one_line(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    files = {file: PARTS[file].replace(*BROKEN[file][:2]) for file in ("gaps/halves.py", "weights/power.py")}
    assert main(["check", str(make(files))]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_check_refuses_what_a_search_refuses(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(make({"noise/lognormal.py": WEIBULL}))]) == 2
    assert "has the name of one of ours: lognormal" in capsys.readouterr().err
    assert main(["check", "nowhere"]) == 2
    assert "is no folder on this machine" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "trainers"])
def test_every_kind_has_promises(kind: str) -> None:
    assert promises_of(kind)


def test_what_is_promised_is_what_is_tested(make: Make) -> None:
    """Of each kind one of ours, by the way of the verb."""
    of: dict[str, Any] = {"noise": "uniform", "curricula": "constant", "grids": "karras", "presets": "ict"}
    of |= {"gaps": "constant_ratio", "weights": "uniform", "losses": "squared_l2"}
    of |= {"data": "digits", "networks": "mlp", "extractors": "pixels", "metrics": "coverage"}
    of |= {"algorithms": "random", "stopping": "asha", "optimizer_strategies": "constant"}
    assert of.keys() == KINDS.keys() - {"trainers"}
    for kind, name in of.items():
        assert [broken for promise in promises_of(kind) if (broken := promise(name))] == []
