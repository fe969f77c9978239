"""A search whose trials a script trains, as everything but Ray sees it: file, cost, doctor, identity, logs, export."""

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from search import cli
from search.checks.needs import check_script
from search.errors import InputError, OperationFailed
from search.evidence.leaderboard import leaderboard
from search.evidence.race import RaceRules, standing
from search.export_format import FORMATS
from search.file.spec import SearchSpec, load_spec, overridden, spec_of
from search.file.yaml12 import SpecError, parse_document
from search.record import Purpose, TrialRecord
from search.running import script
from search.running.cost import cost_of
from search.running.plan_of import board_of, objective_of, plan_of
from search.running.preparing import begun_with_script
from search.running.script import check_command, code_of, keep_script, script_of
from search.running.search import Search
from search.screen.view import ProgressView
from search.study.retention import Janitor, Retention
from search.study.trial_storage import TrialStorage
from search.winner.document import export_document
from spaces import NOISE, load_schedule
from tests.records import record, replicates
from trainable.storage.folder import StorageError
from trainable.storage.local import LocalFolder

ROOT = Path(__file__).resolve().parents[2]
TEXT = """
name: mine
trainer:
  name: command
  command: ["{python}", train.py, "{schedule}", "{seed}", "{folder}"]
  folder: code
  objective: bits
training: {total_steps: 500}
"""


def spec(text: str = "", changed: tuple[str, str] = ("", "")) -> SearchSpec:
    return spec_of(parse_document(TEXT.replace(*changed) + text))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a script in code/ and mine.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("code").mkdir()
    Path("code/train.py").write_text("print('hello')\n")
    Path("mine.yaml").write_text(TEXT)
    return tmp_path


def test_the_file_says_what_it_has_and_reads_back() -> None:
    found = spec()
    kept = found.resolved()
    assert kept["training"] == {"total_steps": 500}
    assert not {"data", "network", "objective", "sampling"} & kept.keys()
    assert kept["trainer"]["patience"] == 3600.0
    assert spec_of(parse_document(found.to_yaml())) == found
    assert overridden(found, {"budget.max_trials": 9}).budget.max_trials == 9
    assert objective_of(found) == "bits"
    # The same search wherever the folder lies; its content has a checksum of its own.
    elsewhere = spec(changed=("folder: code", "folder: /other/code"))
    assert elsewhere.fingerprint_fields() == found.fingerprint_fields()
    assert (
        spec(changed=("objective: bits", "objective: nats")).fingerprint_fields()
        != found.fingerprint_fields()
    )


def test_the_folder_of_the_script_is_beside_the_search_file_or_in_the_current_directory(folder: Path) -> None:
    Path("searches").mkdir()
    beside, here = folder / "searches" / "mine.yaml", folder / "mine.yaml"
    beside.write_text(TEXT.replace("folder: code", "folder: ../code"))
    for file in (beside, here):
        found = load_spec(file).script
        assert found is not None and found.folder == str(folder / "code")
    beside.write_text(TEXT)  # from before: relative to where the command is given
    found = load_spec(beside).script
    assert found is not None and found.folder == str(folder / "code")


def test_a_file_without_a_trainer_is_as_it_was() -> None:
    ours = spec_of(parse_document("name: toy\ndata: digits\n"))
    assert ours.script is None
    assert "trainer" not in ours.resolved()
    assert spec_of(parse_document("name: toy\ndata: digits\ntrainer: consistency\n")) == ours


def test_no_schedule_that_adapts_in_training_is_proposed_to_a_script() -> None:
    for found in (spec(), spec("space: {curriculum: {constant: }}\n")):
        families = {family.prefix for family in found.space.noise}
        assert families == {name for name, cls in NOISE.items() if cls.SEARCHED and not cls.ADAPTIVE}


NO_MEANING = "has no meaning where a script trains"


@pytest.mark.parametrize(
    ("text", "changed", "message"),
    [
        ("data: digits\n", ("", ""), f"data: {NO_MEANING}"),
        ("network: mlp\n", ("", ""), f"network: {NO_MEANING}"),
        ("objective: {num_samples: 300}\n", ("", ""), f"objective: {NO_MEANING}"),
        ("sampling: {nfe: [2]}\n", ("", ""), f"sampling: {NO_MEANING}"),
        ("resources: {micro_batch: 4}\n", ("", ""), f"resources.micro_batch: {NO_MEANING}"),
        ("resources: {stack: 4}\n", ("", ""), f"resources.stack: {NO_MEANING}"),
        (
            "holds_at: [network: mlp]\n",
            ("", ""),
            f"holds_at.settings[0].network: {NO_MEANING}. Give its command",
        ),
        (
            "holds_at: [data: digits]\n",
            ("", ""),
            f"holds_at.settings[0].data: {NO_MEANING}. Give its command",
        ),
        (
            "holds_at: [training: {batch_size: 4}]\n",
            ("", ""),
            f"holds_at.settings[0].training.batch_size: {NO_MEANING}",
        ),
        (
            "holds_at: [command: {append: ['{width}']}]\n",
            ("", ""),
            "holds_at.settings[0].command.append: `command` can have {folder}, {python},",
        ),
        ("holds_at: [command: {append: []}]\n", ("", ""), "command.append: must be a list of words such as"),
        ("holds_at: [command: {append: [a, [b]]}]\n", ("", ""), "append: must be a list of words such as"),
        ("holds_at: [command: [a]]\n", ("", ""), "holds_at.settings[0].command: must be"),
        (
            "holds_at: [training: {total_steps: 1x}]\n",
            ("", ""),
            "holds_at.settings[0]: must be other than the search's own setting",
        ),
        ("", ("500}", "500, batch_size: 128}"), f"training.batch_size: {NO_MEANING}"),
        ("presets: [second_moment]\n", ("", ""), "presets[0]: second_moment adapts in training"),
        ("space: {noise: {learned: }}\n", ("", ""), "space.noise.learned: adapts in training"),
        (
            "space: {weight: {learned_uncertainty: }}\n",
            ("", ""),
            "space.weight.learned_uncertainty: adapts in training",
        ),
        ("", (', "{seed}"', ""), "trainer: `command` must have {seed} in it"),
        ("", ('"{seed}"', '"{seed}", "{sead}"'), "in it, but got {sead}"),
        ("", ("objective: bits", "objective: step"), "`objective` and `rungs_by` must be two names"),
        ("", ("objective: bits", "objective: a/b"), "`objective` must be a name that MLflow takes"),
        ("", ("  folder: code\n", ""), "trainer.folder: is required, but is missing"),
        ("", ("name: command", "name: comand"), "unknown trainer 'comand' (did you mean command?)"),
    ],
)
def test_what_has_no_meaning_or_is_missing_is_one_line(
    text: str, changed: tuple[str, str], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        spec(text, changed)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dry_run_prepares_nothing_and_says_that_time_is_unknown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "mine.yaml", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "# hours: unknown before the script has run" in out
    assert sorted(path.name for path in folder.iterdir()) == ["code", "mine.yaml"]
    (check,) = check_script(spec())
    assert (check.level, "1 files" in check.message) == ("ok", True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("folder: code", "folder: elsewhere"), "elsewhere is no folder on this machine"),
        (("train.py", "trein.py"), "code has no trein.py. Name a script that is in trainer.folder"),
        (('"{python}"', "pythonn"), "there is no program 'pythonn' on this machine"),
        (('"{python}"', "train.py"), "there is no program 'train.py' on this machine"),  # not ./train.py
        (("train.py", "../mine.py"), "code has no ../mine.py"),  # it is not in the copy that trials run
    ],
)
def test_a_script_that_is_not_there_is_told_before_anything_starts(
    folder: Path, changed: tuple[str, str], message: str
) -> None:
    for look in (cost_of, script_of):
        with pytest.raises(InputError) as caught:
            look(spec(changed=changed))
        assert message in str(caught.value)


def test_a_program_is_looked_for_where_trials_run(folder: Path) -> None:
    far = spec(changed=('"{python}"', "pythonn"))
    check_command(far, code_of(far), on_cluster=True)
    Path("code/run.sh").write_text("#!/bin/sh\n")
    Path("code/run.sh").chmod(0o755)
    near = spec(changed=('"{python}"', "./run.sh"))
    check_command(near, code_of(near))


def test_only_the_script_itself_must_be_in_the_folder(folder: Path) -> None:
    others = spec(changed=("train.py", "-u, ./train.py, --config=configs/a.py, --out, results/model.py"))
    check_command(others, code_of(others))
    Path("code/.gitignore").write_text("train.py\n")
    with pytest.raises(
        InputError, match=r"code has no train\.py\. Name a script .* no \.gitignore leaves out"
    ):
        check_command(spec(), code_of(spec()))


def test_a_search_that_is_kept_inside_the_folder_goes_on(folder: Path) -> None:
    inside = spec("storage: {path: code/runs}\n")
    before = code_of(inside).sha256
    Path("code/runs/mine").mkdir(parents=True)
    Path("code/runs/mine/study.db").write_text("grows")
    assert code_of(inside).sha256 == before != code_of(spec()).sha256


def test_another_script_is_another_search_and_a_search_goes_on_without_its_folder(folder: Path) -> None:
    search = Search(spec())
    search.folder.mkdir(parents=True)
    script, code = script_of(search.spec)
    search.open_or_create(script)
    keep_script(code, script)
    assert Path(script.code, "train.py").read_text() == "print('hello')\n"
    assert search.header["code_sha256"] == script.code_sha256
    assert search.header["data_sha256"] is None

    Path("code/train.py").write_text("print('another')\n")
    changed, _ = script_of(search.spec)
    with pytest.raises(InputError, match="was measured with another script"):
        Search(spec()).open_or_create(changed)
    Path("code").rename("moved")
    kept, code = script_of(search.spec)
    assert (kept, code) == (script, None)
    Search(spec()).open_or_create(kept)

    Path("moved").rename("code")
    Path("code/train.py").write_text("print('hello')\n")
    Path(script.code, "train.py").write_text("edited")
    with pytest.raises(InputError, match=r"was edited\. Remove it"):
        keep_script(script_of(search.spec)[1], script)


def test_in_a_bucket_the_code_is_one_object_with_which_a_search_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = LocalFolder(str(folder / "bucket"))
    monkeypatch.setattr(
        script, "open_folder", lambda location: LocalFolder(f"{kept.location}/{location[5:]}")
    )
    Path("code/run.sh").write_text("#!/bin/sh\n")
    Path("code/run.sh").chmod(0o755)
    found = spec("storage: {path: 's3://searches/runs'}\n")
    began, code = script_of(found)
    keep_script(code, began)
    assert began.code == f"s3://searches/runs/mine/code/{began.code_sha256}"
    (name,) = kept.names(below=True)
    with tarfile.open(folder / "bucket" / name) as archive:
        assert [(file.name, file.mode, file.uid) for file in archive] == [
            ("run.sh", 0o755, 0),
            ("train.py", 0o644, 0),
        ]
    Path("code").rename("moved")
    assert script_of(found) == (began, None)
    monkeypatch.setattr(LocalFolder, "names", Mock(side_effect=StorageError("it is away")))
    with pytest.raises(OperationFailed, match="it is away"):
        script_of(found)


def test_what_a_script_printed_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = Search(spec())
    search.folder.mkdir(parents=True)
    search.open_or_create(script_of(search.spec)[0])
    search.write_file()
    search.trial_storage.folder(7).write("output.log", b"hello\n")
    assert cli.main(["logs", "mine", "--trial", "7"]) == 0
    assert capsys.readouterr().out == "hello\n"
    assert cli.main(["logs", "mine", "--trial", "7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["log"] == "hello\n"
    for words, message in (
        (["mine", "--trial", "8"], "search 'mine' has no output of a script of trial 8"),
        (["mine"], "say whose: --trial N"),
        (["mine", "--trial", "7", "-f"], "--follow has no effect with --trial"),
    ):
        assert cli.main(["logs", *words]) == 2
        assert message in capsys.readouterr().err
    for verb, message in (
        ("sampling", "has no model of ours to sample from"),
        ("simulate", "search 'mine' cannot be simulated: curves are recorded of our own training"),
    ):
        assert cli.main([verb, "mine"]) == 2
        assert message in capsys.readouterr().err
    assert cli.main(["hold", "mine", "--at", "network: mlp"]) == 2
    assert f"network: {NO_MEANING}" in capsys.readouterr().err


HELD = "holds_at:\n- training: {total_steps: 4x}\n- command: {append: [--width, 128]}\n"


def test_a_winner_holds_at_more_steps_and_with_more_words_in_the_command(folder: Path) -> None:
    found = spec(HELD)
    longer, wider = found.script_settings
    assert (longer.name, longer.training.total_steps) == ("total_steps 2000", 2000)
    assert (wider.name, wider.trainer.command[-2:]) == ("--width 128", ("--width", "128"))
    assert found.settings == ()
    assert spec_of(parse_document(found.to_yaml())) == found
    rules = plan_of(found, 1).holds
    assert rules is not None and dict(rules.settings) == {"total_steps 2000": 2000, "--width 128": 500}
    assert {name: there.steps_per_second for name, there in cost_of(found).elsewhere.items()} == {
        "total_steps 2000": None,
        "--width 128": None,
    }
    # The one reads the script's own command, the other's worker more words.
    search = Search(found)
    search.folder.mkdir(parents=True)
    settings = begun_with_script(search, ProgressView("mine", "bits", 500), lambda: folder, on_cluster=False)
    assert [settings[name].command[-2:] for name in settings] == [
        ("{seed}", "{folder}"),
        ("{seed}", "{folder}"),
        ("--width", "128"),
    ]


def test_where_no_script_trains_there_is_no_command_to_append_to() -> None:
    with pytest.raises(SpecError, match=r"settings\[0\]\.command: has no meaning where no script trains"):
        spec_of(parse_document("name: toy\ndata: digits\nholds_at: [command: {append: [a]}]\n"))


def test_the_export_says_what_was_appended() -> None:
    setting = "--width 128"
    found = spec("holds_at: [command: {append: [--width, 128]}]\n")
    there: dict[str, Any] = {"purpose": Purpose.HOLD, "setting": setting}
    ict, proposal = (
        replicates(0, [80.0, 82.0], first=30, **there),
        replicates(2, [40.0, 42.0], first=40, **there),
    )
    document = export_document(*board(found, *ict, *proposal))
    (part,) = document["holds_at"]
    assert (part["setting"], part["command"]) == (setting, {"append": ["--width", "128"]})
    assert (part["network"], part["data"], part["training"]) == (None, None, None)
    (read_back,) = load_schedule(document).holds_at
    assert read_back.command == part["command"]


RECORDS = [
    record(0, (500, 40.0), purpose=Purpose.BASELINE, preset="ict"),
    record(2, (500, 30.0)),
    *replicates(0, [41.0, 39.0], first=10),
    *replicates(2, [31.0, 29.0], first=20),
]


def board(found: SearchSpec | None = None, *more: TrialRecord) -> tuple[Any, dict[str, Any]]:
    """The leaderboard of a search by a script, and what its study keeps. more: trials besides."""
    found = found or spec()
    header = {
        "search": found.resolved(),
        "code_sha256": "c" * 64,
        "versions": {"torch": "2.13.0"},
        "git_commit": None,
        "data_sha256": None,
        "extractor_sha256": None,
    }
    records, seeds, plan = [*RECORDS, *more], (1, 2, 3, 4), plan_of(found, 1)
    if plan.holds is None:
        return leaderboard("mine", "bits", records), header
    race = standing(records, RaceRules(top=1, baselines=1, rounds=(2,)), seeds)
    return leaderboard("mine", "bits", records, race=race, holds=plan.holds, seeds=seeds), header


def test_the_export_names_the_script_and_can_be_converted() -> None:
    document = export_document(*board())
    assert document["sampling"] is None
    assert document["objective"]["name"] == "bits"
    assert document["provenance"]["code"] == "code"
    assert document["provenance"]["code_sha256"] == "c" * 64
    assert document["provenance"]["command"][1] == "train.py"
    assert document["searched_at"]["trainer"]["objective"] == "bits"
    loaded = load_schedule(document)
    assert loaded.checked and loaded.confirmed
    assert loaded.training is not None and loaded.training.loss is None
    for name in ("k_diffusion", "comfyui", "diffusers"):
        assert "README.txt" in FORMATS[name]().render(document, accept_error=True).files
    with pytest.raises(InputError, match="divides by steps - 1"):  # it has one level
        FORMATS["edm"]().render(document)


def test_the_leaderboard_says_what_its_claims_are_about() -> None:
    (*_, note) = board_of(spec("presets: []\nnoise_floor: {seeds: 0}\n"), [record(2, (500, 30.0))]).notes
    assert note.startswith(
        "All of this is about the script in code up to step 500. In other code, or trained"
    )


def test_checkpoints_of_a_script_go_when_its_trial_is_none_of_the_best(tmp_path: Path) -> None:
    trials = TrialStorage(tmp_path)
    for number in (0, 1):
        for name in ("checkpoints/last.pt", "checkpoints/more/old.pt", "output.log", "000000100.json"):
            trials.folder(number).write(name, b"x")
    janitor = Janitor(Retention(None), trials, of_script=True)
    janitor.ended(record(0, (500, 10.0)))
    janitor.ended(record(1, (500, 20.0)))
    janitor.close(30)
    assert trials.folder(0).names(below=True) == [
        *("000000100.json", "checkpoints/last.pt", "checkpoints/more/old.pt", "output.log")
    ]
    assert trials.folder(1).names(below=True) == ["000000100.json", "output.log"]


def test_the_smallest_script_of_the_documentation_keeps_the_contract(tmp_path: Path) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/own-script.md").read_text(), re.DOTALL)
    schedule = {
        "training": {"stages": [{"start_step": 0, "sigmas": [0.1, 1.0], "interval_probabilities": [1.0]}]}
    }
    (tmp_path / "train.py").write_text(script)
    (tmp_path / "schedule.json").write_text(json.dumps(schedule))
    words = ["--schedule", "schedule.json", "--seed", "1", "--steps", "100", "--out", "."]
    for _ in range(2):  # the second time it has nothing left to do
        subprocess.run(
            [sys.executable, "train.py", *words], cwd=tmp_path, check=True, timeout=60, env={**os.environ}
        )
    lines = [json.loads(line) for line in (tmp_path / "reports.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [25, 50, 75, 100]
    assert all(line["fid"] > 0 for line in lines)


def test_the_examples_are_as_long_as_they_say_and_import_nothing_of_ours() -> None:
    for name in ("denoising", "consistency"):
        text = (ROOT / "examples" / name / "train.py").read_text()
        assert 60 <= text.count("\n") <= 120
        assert not re.search(r"^(from|import) (spaces|trainable|search)\b", text, re.MULTILINE)
        found = spec_of(parse_document((ROOT / "examples" / name / "search.yaml").read_text()))
        assert found.script is not None and found.script.folder == f"examples/{name}"
