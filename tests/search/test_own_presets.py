"""Schedules of one's own among the presets of a search file, and in a comparison."""

import json
from pathlib import Path

import pytest

from search.cli import main
from search.file.spec import SearchSpec, SpecError, spec_of
from search.file.yaml12 import parse_document
from search.running.plan_of import plan_of
from spaces import PRESETS

OWN = PRESETS["hang_gu_laplace"].schedule


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(OWN.to_dict()))
    return path


def read(presets: str) -> SearchSpec:
    text = f"name: own\ndata: digits\npresets: {presets}\nbudget: {{max_trials: 8}}\n"
    return spec_of(parse_document(text, "x.yaml"))


def test_a_schedule_from_a_file_is_a_baseline_under_its_name(exported: Path) -> None:
    spec = read(f"[ict, {{name: mine, file: {exported}}}]")
    assert plan_of(spec, 1).baselines == {"ict": PRESETS["ict"].schedule, "mine": OWN}


def test_the_written_search_needs_the_file_no_more_and_is_the_same_search(exported: Path) -> None:
    spec = read(f"[ict, {{name: mine, file: {exported}}}]")
    exported.unlink()
    again = spec_of(parse_document(spec.to_yaml(), "search.yaml"))
    assert again == spec and again.fingerprint_fields() == spec.fingerprint_fields()


@pytest.mark.parametrize(
    ("presets", "message"),
    [
        ("[{name: mine}]", "must be a preset's name, or a mapping with `name` and one of"),
        ("[{name: ict, file: FILE}]", "'ict' is a preset of the literature. Give your own schedule another"),
        ("[{name: a/b, file: FILE}]", "a name must be of letters, digits"),
        ("[{name: mine, file: 3}]", "file: must be a path, but got 3"),
        ("[{name: mine, schedule: 3}]", "schedule: needs a mapping, but got 3"),
        ("[{name: mine, file: no.json}]", "no.json: cannot be read: No such file"),
        (
            "[{name: mine, file: FILE}, {name: mine, file: FILE}]",
            "must be given once, but 'mine' is given twice",
        ),
    ],
)
def test_what_is_no_schedule_is_refused_in_one_line(presets: str, message: str, exported: Path) -> None:
    with pytest.raises(SpecError) as error:
        read(presets.replace("FILE", str(exported)))
    (line,) = str(error.value).splitlines()
    assert line.startswith("x.yaml:3: presets[") and message in line


def test_a_file_is_compared_in_another_setting(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [
        "compare",
        "searches/digits.yaml",
        "--presets",
        f"ict,{exported}",
        "--at",
        "network: {name: mlp, width: 8}",
    ]
    assert main([*line, "--storage", str(tmp_path), "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["search"]
    assert found["name"] == "digits-compare-network-name-mlp-width-8"
    assert found["network"]["name"] == "mlp" and found["network"]["width"] == 8
    assert found["presets"] == ["ict", {"name": "mine", "schedule": OWN.to_dict()}]
    assert found["training"]["total_steps"] == 2000


@pytest.mark.parametrize("name", ["short", "n" * 64])
@pytest.mark.parametrize(
    "setting", ["", "{network: {name: mlp, width: 8, depth: 3}, training: {total_steps: 100}}"]
)
def test_a_comparison_that_is_given_no_name_has_one_that_a_search_may_have(
    name: str, setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(f"name: {name}\ndata: digits\n")

    def name_of(setting: str) -> str:
        at = ["--at", setting] if setting else []
        line = ["compare", str(file), "--presets", "ict", *at, "--storage", str(tmp_path)]
        assert main([*line, "--dry-run", "--json"]) == 0
        return json.loads(capsys.readouterr().out)["search"]["name"]

    assert name_of(setting).startswith(f"{name[:40]}") and len(name_of(setting)) <= 64
    assert name_of(setting) == name_of(setting) != name_of("training: {total_steps: 200}")
