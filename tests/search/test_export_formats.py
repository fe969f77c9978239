"""Contract of every export format, on documents of many schedules; then each one's own form."""

import copy
import dataclasses
import itertools
import json
import math
import pickle
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search import cli
from search.errors import InputError
from search.export_format import FORMATS, MAX_RELATIVE_ERROR, README, ExportFormat, Rendered
from search.exports._karras_index import KarrasIndex
from search.exports.comfyui import decimal_text
from search.exports.edm import karras_levels, nearest_rho
from spaces import PRESETS, KarrasGrid, NoiseSchedule, load_schedule
from spaces.curricula.constant import Constant
from spaces.document.format import format_of, loss_and_weighting, sampler_of
from spaces.document.writing import stages_part
from spaces.losses.squared_l2 import SquaredL2
from spaces.noise.lognormal import LogNormal
from spaces.noise.uniform import Uniform
from spaces.schedule import USUAL
from spaces.sparkline import with_density
from spaces.weights.edm import EDM as EDMWeight

STEPS = {1: (80.0,), 2: (80.0, 0.821), 3: (80.0, 24.4, 0.661), 5: (80.0, 24.4, 5.84, 0.9, 0.661)}


def max_relative_error(rendered: Rendered) -> float:
    return max(rendered.relative_errors.values())


def document(
    steps: Mapping[int, tuple[float, ...]] = STEPS, *, noise: Any = None, **changes: Any
) -> dict[str, Any]:
    """A document with these sampling levels. changes: sigma_data, weight, loss and the grid's options; or schedule."""
    sigma_data = changes.pop("sigma_data", 0.5)
    later = {part: changes.pop(part) for part in USUAL if part in changes}
    given = changes.pop("schedule", None)
    grid = KarrasGrid(**changes)
    schedule = given or NoiseSchedule(
        grid=grid, noise=noise or LogNormal(), curriculum=Constant(levels=5), **later
    )
    return {
        "format": format_of(schedule),
        "confirmed": True,
        "schedule": schedule.to_dict(),
        "describe": schedule.describe(),
        "training": {
            "total_steps": 100,
            "loss": loss_and_weighting(schedule)[0],
            "weighting": loss_and_weighting(schedule)[1],
            "huber_c_over_sqrt_d": schedule.loss.huber_c_of(0.00054),
            "sigma_data": sigma_data,
            **stages_part(schedule, 100, sigma_data),
        },
        "sampling": {
            "sampler": sampler_of(schedule),
            "sigma_min": grid.sigma_min,
            "sigma_max": grid.sigma_max,
            "steps": {str(n): list(levels) for n, levels in steps.items()},
            "measured": None,
        },
        "objective": {
            "name": "fd_toy",
            "num_samples": 2000,
            "network_evaluations": 1,
            "extractor_sha256": "e" * 64,
            "data": "digits",
            "data_sha256": "d" * 64,
        },
        "evidence": {"mean": 2.0, "values": {"1": 1.0, "2": 3.0}, "finding": "toy is better."},
        "provenance": {},
    }


def document_without_sampling() -> dict[str, Any]:
    old = document()
    del old["sampling"]
    return old


DOCUMENTS = {
    "usual": document(),
    "one step": document({1: (80.0,)}),
    "small levels": document({2: (0.5, 3e-5)}, sigma_min=1e-6, sigma_max=0.5),
    "large levels": document({2: (5000.0, 33.3), 3: (5000.0, 800.0, 33.3)}, sigma_max=5000.0),
    "no float32": document({2: (80.1, 0.0065)}, sigma_min=0.0064, sigma_max=80.1),
    "other rho": document({2: (80.0, 1.0)}, rho=2.5),
    "other law": document(noise=Uniform()),
    "first version": document_without_sampling(),
    "other gap": document({2: (80.0, 1.0)}, schedule=PRESETS["cmt"].schedule),
    "other weight": document({2: (80.0, 1.0)}, weight=EDMWeight(), loss=SquaredL2()),
}
# What a target refuses: EDM a single level, the training of flows a law that is no lognormal or is cut off, FastGen one
# that it has not.
NOT_THERE = {
    "edm": ("one step", "first version"),
    "flow_training": ("small levels", "no float32", "other law"),
    "onetrainer": ("small levels", "no float32", "other law"),
    "fastgen": ("other law",),
}
# EDM's grids cannot have the five levels.
RENDERABLE = {
    (name, label): (2,) if name == "edm" and label in ("usual", "other law") else ()
    for name in FORMATS
    for label in DOCUMENTS
    if label not in NOT_THERE.get(name, ())
}


# Each option of a format, to be given on the command line.
OF_A_FILE = [name for name, target in FORMATS.items() if not target.NEEDS_MODEL]
OPTIONS = [(name, field) for name in OF_A_FILE for field in dataclasses.fields(FORMATS[name])]


@pytest.fixture(params=RENDERABLE, ids=lambda key: f"{key[0]}-{key[1]}")
def rendered(request: pytest.FixtureRequest) -> Rendered:
    name, label = request.param
    return FORMATS.build(name).render(DOCUMENTS[label], nfe=RENDERABLE[request.param])


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_says_what_it_is_and_what_it_was_checked_with(name: str) -> None:
    cls = FORMATS[name]
    assert cls.__doc__
    assert cls.TARGET
    assert FORMATS.build(name).title == name.replace("_", "-")
    assert pickle.loads(pickle.dumps(FORMATS.build(name))) == FORMATS.build(name)


def test_levels_that_will_be_used_are_within_a_percent_and_decrease(rendered: Rendered) -> None:
    assert rendered.used
    for n, used in rendered.used.items():
        wanted = rendered.wanted[n]
        assert len(used) == len(wanted) == n
        assert np.allclose(used, wanted, rtol=MAX_RELATIVE_ERROR, atol=0)
        assert all(before > after > 0 for before, after in itertools.pairwise(used))
    assert 0 <= max_relative_error(rendered) <= MAX_RELATIVE_ERROR


def test_the_stated_error_is_that_of_the_levels(rendered: Rendered) -> None:
    for n, error in rendered.relative_errors.items():
        used, wanted = np.array(rendered.used[n]), np.array(rendered.wanted[n])
        assert error == pytest.approx(np.max(np.abs(used - wanted) / wanted))


def test_files_are_named_plainly_and_end_in_a_newline(rendered: Rendered) -> None:
    for name, text in rendered.files.items():
        assert re.fullmatch(r"(scheduler/)?[a-z0-9_]+\.(json|py|txt)|README\.txt", name)
        assert text.endswith("\n")
        if name.endswith(".json"):
            json.loads(text)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "json"])
def test_the_readme_has_the_call_the_levels_their_error_and_the_conditions(name: str) -> None:
    rendered = FORMATS.build(name).render(DOCUMENTS["usual"], nfe=(2,))
    readme = rendered.files[README]
    assert rendered.calls[2] in readme
    assert f"(largest relative error {rendered.relative_errors[2]:.2g})" in readme
    assert "80, 0.821" in readme
    assert rendered.conditions
    assert all(condition in readme for condition in rendered.conditions)
    assert FORMATS[name].TARGET in readme
    assert f"  {with_density(load_schedule(DOCUMENTS['usual']).schedule)}\n" in readme


@pytest.mark.parametrize("name", FORMATS)
def test_only_the_numbers_of_evaluations_asked_for_are_rendered(name: str) -> None:
    rendered = FORMATS.build(name).render(DOCUMENTS["usual"], nfe=(2,))
    assert set(rendered.used) == {2}
    with pytest.raises(
        InputError, match="there are no levels for 4 network evaluations, only for 1, 2, 3, 5"
    ):
        FORMATS.build(name).render(DOCUMENTS["usual"], nfe=(2, 4))


@pytest.mark.parametrize("name", FORMATS)
def test_a_document_that_contradicts_itself_is_not_rendered(name: str) -> None:
    changed = copy.deepcopy(DOCUMENTS["usual"])
    changed["schedule"]["noise"]["p_mean"] = 0.0
    with pytest.raises(ValueError, match="interval_probabilities must be the schedule's"):
        FORMATS.build(name).render(changed)


class Off(ExportFormat):
    """A target that uses levels a fixed share too large."""

    TARGET = "none"
    REMEDY = "Do something else"

    def derive(self, loaded: Any, steps: Any) -> Rendered:
        used = {n: tuple(1.02 * s for s in levels) for n, levels in steps.items()}
        return Rendered(files={}, calls=dict.fromkeys(steps, "call"), wanted=steps, used=used, conditions=())


def test_an_error_above_a_percent_is_refused_with_the_way_around_unless_it_is_accepted() -> None:
    with pytest.raises(InputError) as caught:
        Off().render(DOCUMENTS["usual"], nfe=(2,))
    assert "up to 2.0% off with 2 network evaluations, where 1% is allowed" in str(caught.value)
    assert "Do something else. Or take it as it is with --accept-error" in str(caught.value)
    assert max_relative_error(Off().render(DOCUMENTS["usual"], accept_error=True)) == pytest.approx(0.02)


def test_json_is_the_document_itself() -> None:
    (text,) = FORMATS.build("json").render(DOCUMENTS["usual"]).files.values()
    assert json.loads(text) == DOCUMENTS["usual"]
    assert load_schedule(json.loads(text)).schedule == load_schedule(DOCUMENTS["usual"]).schedule


def test_a_document_that_could_not_be_read_back_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.exports.json.MAX_BYTES", 1000)
    with pytest.raises(InputError, match="no more than 1000 are read back"):
        FORMATS.build("json").render(DOCUMENTS["usual"])


def test_diffusers_positions_are_those_of_the_recipe() -> None:
    """The recipe, with these very levels, was checked against diffusers 0.42.1."""
    rendered = FORMATS.build("diffusers").render(DOCUMENTS["usual"])
    config = json.loads(rendered.files["scheduler_config.json"])
    assert config["num_train_timesteps"] == 2**20
    assert (config["sigma_max"], config["rho"], config["clip_denoised"]) == (80.0, 7.0, False)
    arguments = json.loads(rendered.files["call_arguments.json"])
    assert arguments["5"] == {
        "num_inference_steps": None,
        "timesteps": [666825, 636279, 419406, 209770, 0],
    }
    assert rendered.relative_errors[5] == pytest.approx(2.5e-6, rel=0.05)


@pytest.mark.parametrize(("grid_points", "error"), [(40, 0.0856), (201, 0.0188), (1001, 0.00203)])
def test_a_small_grid_of_diffusers_misses_levels_by_what_was_measured(grid_points: int, error: float) -> None:
    target = FORMATS.build({"name": "diffusers", "grid_points": grid_points})
    rendered = target.render(DOCUMENTS["usual"], nfe=(5,), accept_error=True)
    assert max_relative_error(rendered) == pytest.approx(error, rel=0.01)
    if error > MAX_RELATIVE_ERROR:
        with pytest.raises(InputError, match="Raise --grid-points"):
            target.render(DOCUMENTS["usual"], nfe=(5,))


@pytest.mark.parametrize("sigma_min", [0.002, 0.0064, 0.0048115646, 0.3, 1e-6])
def test_diffusers_sigma_min_is_a_float32_whose_square_it_computes_exactly(sigma_min: float) -> None:
    rendered = FORMATS.build("diffusers").render(document({2: (80.0, 0.9)}, sigma_min=sigma_min), nfe=(2,))
    written = json.loads(rendered.files["scheduler_config.json"])["sigma_min"]
    assert written == pytest.approx(sigma_min, rel=1e-7)
    assert np.float32(written) == written
    level = torch.tensor(written)
    assert level**2 - written**2 == 0  # diffusers' last step draws noise of the root of this


@pytest.mark.parametrize("name", ["diffusers", "openai_cm"])
def test_levels_that_fall_on_one_point_are_refused(name: str) -> None:
    target = FORMATS.build({"name": name, "grid_points": 4})
    with pytest.raises(InputError, match=r"cannot tell the levels .* apart\. Raise --grid-points"):
        target.render(DOCUMENTS["usual"], nfe=(5,), accept_error=True)


def test_openais_positions_end_at_the_end_and_40_points_are_the_published_ones() -> None:
    """`--steps 40 --ts 0,22,39` is in OpenAI's launch.sh; 1.382 is its middle level."""
    middle = KarrasIndex(0.002, 80.0, 40).sigma(22)
    assert middle == pytest.approx(1.382, abs=5e-4)
    target = FORMATS.build({"name": "openai_cm", "grid_points": 40})
    flags = target.render(document({2: (80.0, middle)}), nfe=(2,)).files["flags_nfe2.txt"]
    words = shlex.split(flags)
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert options["--ts"] == "0,22,39"
    assert options["--steps"] == "40"
    assert options["--sampler"] == "multistep"
    assert "consistency" in options["--training_mode"]
    assert options["--clip_denoised"] == "False"
    assert (float(options["--sigma_min"]), float(options["--sigma_max"])) == (0.002, 80.0)


def test_openais_code_has_one_sigma_data() -> None:
    with pytest.raises(
        InputError, match=r"sigma_data=0.5 fixed in its code, but this schedule was found with 0.6"
    ):
        FORMATS.build("openai_cm").render(document(sigma_data=0.6))


def test_k_diffusions_lists_end_in_zero() -> None:
    rendered = FORMATS.build("k_diffusion").render(DOCUMENTS["usual"])
    lists = json.loads(rendered.files["sigmas.json"])
    assert lists["5"] == [80.0, 24.4, 5.84, 0.9, 0.661, 0.0]
    assert lists["1"] == [80.0, 0.0]
    assert max_relative_error(rendered) < 6e-8  # half a unit in the last place of float32


def test_comfyuis_numbers_survive_the_way_its_node_reads_them() -> None:
    """ManualSigmas takes what this expression finds; an exponent would be taken apart."""
    node = re.compile(r"[-+]?(?:\d*\.*\d+)")
    assert node.findall("1e-05") == ["1", "-05"]
    for label in ("usual", "small levels", "large levels"):
        rendered = FORMATS.build("comfyui").render(DOCUMENTS[label])
        for n, levels in rendered.wanted.items():
            text = rendered.files[f"sigmas_nfe{n}.txt"]
            assert [float(number) for number in node.findall(text)] == [*levels, 0.0]
    assert rendered.files["sigmas_nfe2.txt"].endswith(", 0.0\n")
    assert decimal_text(1.5e-7) == "0.00000015"


@pytest.mark.parametrize("rho", [0.5, 1.0, 3.0, 7.0, 50.0])
@pytest.mark.parametrize("n", [3, 4, 6])
def test_levels_of_a_karras_grid_are_exact_in_edm(rho: float, n: int) -> None:
    levels = karras_levels(tuple(np.geomspace(80.0, 0.1, n).tolist()), rho)
    assert nearest_rho(levels) == pytest.approx(rho, rel=1e-4)
    rendered = FORMATS.build("edm").render(document({n: (80.0, *levels[1:])}))
    assert max_relative_error(rendered) < 1e-5


def test_edm_refuses_one_step_and_levels_that_no_grid_has() -> None:
    with pytest.raises(InputError, match=r"\(1: generate.py divides by steps - 1\)"):
        FORMATS.build("edm").render(DOCUMENTS["one step"])
    with pytest.raises(InputError, match="two are exact"):
        FORMATS.build("edm").render(DOCUMENTS["usual"], nfe=(5,))
    both = FORMATS.build("edm").render(DOCUMENTS["usual"], nfe=(1, 2))
    assert set(both.used) == {2}
    assert set(both.left_out) == {1}
    assert max_relative_error(both) < 1e-12


def test_edms_loss_has_the_lognormals_parameters_and_no_others() -> None:
    lognormal = FORMATS.build("edm").render(document(noise=LogNormal(p_mean=-0.8, p_std=1.6)), nfe=(2,))
    assert json.loads(lognormal.files["loss.json"]) == {"sigma_data": 0.5, "P_mean": -0.8, "P_std": 1.6}
    uniform = FORMATS.build("edm").render(DOCUMENTS["other law"], nfe=(2,))
    assert json.loads(uniform.files["loss.json"]) == {"sigma_data": 0.5}
    line = "loss.json cannot have uniform rho=7 constant(levels=5). The nearest is P_mean 1.05641, P_std 3.0382: total "
    assert f"{line}variation 0.22, where 0.01 is allowed" in uniform.files[README]
    with_floor = dataclasses.replace(load_schedule(document()).schedule, uniform_floor=0.2)
    floor = FORMATS.build("edm").render(document(schedule=with_floor), nfe=(2,))
    assert json.loads(floor.files["loss.json"]) == {"sigma_data": 0.5}


def test_edms_form_says_what_law_weight_and_grid_mean_for_a_denoising_loss() -> None:
    usual, ours = (
        FORMATS.build("edm").render(DOCUMENTS[label], nfe=(2,)).files[README]
        for label in ("usual", "other weight")
    )
    assert "the law of the loss: EDMLoss draws from the whole lognormal" in usual
    assert "the weight of the loss: EDM's, not the schedule's 1 / (sigma[i+1] - sigma[i])" in usual
    assert "the weight of the loss: the schedule's, which is EDM's" in ours
    assert "of grid and curriculum the ends alone have a meaning" in usual


def test_edms_own_preset_is_its_own_loss() -> None:
    edm = document({1: (80.0,), 3: (80.0, 1.0)}, schedule=PRESETS["edm"].schedule)
    rendered = FORMATS.build("edm").render(edm, nfe=(3,))
    assert json.loads(rendered.files["loss.json"]) == {"sigma_data": 0.5, "P_mean": -1.2, "P_std": 1.2}
    assert "the weight of the loss: the schedule's, which is EDM's" in rendered.files[README]
    assert "is what the search has sampled with" in rendered.files[README]


# The verb, on an exported file.


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("best.json").write_text(json.dumps(document()))
    Path("luck.json").write_text(
        json.dumps({**document(), "confirmed": False, "evidence": {"mean": None, "values": {}}})
    )
    return tmp_path


@pytest.mark.parametrize("name", [name.replace("_", "-") for name in OF_A_FILE if name != "json"])
def test_an_exported_file_is_converted_into_a_folder(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["export", "best.json", "--format", name, "--nfe", "1,2"]) == 0
    folder = here / f"best_schedule_{name.replace('-', '_')}"
    rendered = FORMATS.build(name.replace("-", "_")).render(document(), nfe=(1, 2))
    assert {path.name: path.read_text() for path in folder.iterdir()} == rendered.files
    shown = capsys.readouterr().out
    assert rendered.calls[2] in shown
    assert "Written: best_schedule_" in shown


def test_a_model_is_written_of_a_search_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["best.json"], ["digits", "--address", "http://127.0.0.1:1"]):
        assert cli.main(["export", *words, "--format", "diffusers-pipeline"]) == 2
        line = "error: --format diffusers-pipeline writes the winner's model, which only the search has"
        assert capsys.readouterr().err.startswith(line)
    with pytest.raises(InputError, match="this search's network is another one"):
        FORMATS.build("diffusers_pipeline").model_files(object())


def test_json_output_has_levels_errors_calls_and_conditions(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["export", "best.json", "--format", "diffusers", "--output", "out", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["files"] == sorted(path.name for path in Path("out").iterdir())
    assert result["relative_errors"]["5"] == pytest.approx(2.5e-6, rel=0.05)
    assert result["used"]["2"] == pytest.approx([80.0, 0.821], rel=1e-5)
    assert result["wanted"]["2"] == [80.0, 0.821]
    assert all(result[key] for key in ("calls", "conditions"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["best.json", "--format", "onnx"],
            "Unknown export format 'onnx'. Known: comfyui, diffusers, diffusers-pipeline, edm, fastgen, flow-training",
        ),
        (["best.json"], "best.json is an export already: name the --format to convert it to"),
        (["digits", "--nfe", "2"], "--nfe has no effect with --format json"),
        (["digits", "--accept-error"], "--accept-error has no effect with --format json"),
        (["best.json", "--format", "edm", "--nfe", "0"], "`--nfe` is numbers like 1,2, but got '0'"),
        (["best.json", "--format", "edm", "--nfe", "2,"], "`--nfe` is numbers like 1,2, but got '2,'"),
        (["missing.json", "--format", "edm"], "missing.json: cannot be read: No such file or directory"),
        (["luck.json", "--format", "edm"], "luck.json does not say that its schedule is confirmed"),
        (["best.json", "--format", "diffusers", "--grid-points", "40"], "Raise --grid-points"),
        (
            ["best.json", "--format", "diffusers", "--grid-points", "1"],
            "--grid-points: `2 <= grid_points",
        ),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_writes_nothing(
    arguments: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["export", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(path.name for path in here.iterdir()) == ["best.json", "luck.json"]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_an_option_of_a_format_is_explained_taken_by_it_and_refused_with_others(
    name: str, option: dataclasses.Field[Any], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flag, title = f"--{option.name.replace('_', '-')}", name.replace("_", "-")
    assert cli.main(["export", "--help"]) == 0
    explained = " ".join(capsys.readouterr().out.split()).partition(f" {flag} ")[2]
    assert f" {title}: " in explained
    given = ["best.json", flag, str(option.default), "--nfe", "2", "--output"]
    assert cli.main(["export", *given, "own", "--format", title]) == 0
    assert cli.main(["export", "best.json", "--nfe", "2", "--output", "default", "--format", title]) == 0
    for path in (here / "own").iterdir():
        assert path.read_text() == (here / "default" / path.name).read_text()
    capsys.readouterr()
    for other in {*OF_A_FILE} - {known for known, field in OPTIONS if field.name == option.name}:
        assert cli.main(["export", *given, "no", "--format", other.replace("_", "-")]) == 2
        assert f"{flag} has no effect with --format {other.replace('_', '-')}" in capsys.readouterr().err


def test_an_option_in_the_help_is_of_the_verb_or_of_a_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", "--help"]) == 0
    flags = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    of_the_verb = "storage output unconfirmed format nfe accept-error register plugin address json"
    assert flags - {f"--{option.name.replace('_', '-')}" for _, option in OPTIONS} == {
        f"--{name}" for name in of_the_verb.split()
    }


def test_the_flags_accept_what_is_refused_without_them(here: Path) -> None:
    arguments = ["--format", "diffusers", "--grid-points", "40", "--nfe", "5", "--accept-error"]
    assert cli.main(["export", "best.json", *arguments]) == 0
    assert cli.main(["export", "luck.json", "--format", "edm", "--nfe", "2", "--unconfirmed"]) == 0
    assert "NOT confirmed on fresh seeds" in Path("best_schedule_edm", README).read_text()
    assert "(confirmed on fresh seeds)" in Path("best_schedule_diffusers", README).read_text()


def test_a_folder_that_cannot_be_written_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", "best.json", "--format", "comfyui", "--output", "best.json"]) == 1
    assert capsys.readouterr().err == "error: best.json cannot be written: File exists\n"


def test_help_lists_the_formats_without_importing_them() -> None:
    code = (
        "import sys; from search.cli import main; main(['export', '--help']); "
        "print([name for name in ('numpy', 'spaces') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"
    # argparse breaks long lines, at hyphens too.
    shown = "".join(done.stdout.split())
    assert all(name.replace("_", "-") in shown for name in FORMATS)


def test_karras_positions_are_the_nearest() -> None:
    index = KarrasIndex(0.002, 80.0, 1001)
    assert (index.sigma(0), index.sigma(1000)) == (pytest.approx(80.0), pytest.approx(0.002))
    for k in (0, 1, 500, 998):
        assert index.indices([index.sigma(k)]) == [k]
        assert index.indices([math.sqrt(index.sigma(k) * index.sigma(k + 1)) * 1.0001])[0] in (k, k + 1)
