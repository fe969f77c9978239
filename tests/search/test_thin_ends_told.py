"""Where it is said that a schedule has few draws at one end: search file, leaderboard, export, loader."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search import cli
from search.file.spec import SearchSpec, spec_of
from search.file.yaml12 import parse_document
from search.record import Purpose, TrialRecord
from search.running.plan_of import board_of, thin_presets
from search.winner.document import export_document, write_export
from spaces import PRESETS, NoiseSchedule, load_schedule
from spaces.noise.lognormal import LogNormal
from spaces.thin_ends import thin_end
from tests.records import record, replicates

ICT = PRESETS["ict"].schedule
NARROW = replace(ICT, noise=LogNormal(p_mean=0.9, p_std=0.4))
SAID = thin_end(NARROW, 100)


def read(more: str = "presets: [ict]") -> SearchSpec:
    text = f"name: toy\ndata: digits\n{more}\ntraining: {{total_steps: 100}}\nconfirm: {{top: 1, baselines: 1}}\n"
    return spec_of(parse_document(text, "toy.yaml"))


def records(schedule: NoiseSchedule, value: float = 50.0) -> list[TrialRecord]:
    """A proposal and ict, both confirmed."""
    return [
        record(0, 100.0, preset="ict", purpose=Purpose.BASELINE),
        record(1, value, schedule=schedule),
        *(found for of in (0, 1) for found in confirmed(of, (100.0, value)[of], (ICT, schedule)[of])),
    ]


def confirmed(of: int, value: float, schedule: NoiseSchedule) -> list[TrialRecord]:
    values = [value * factor for factor in (1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0, 1.01)]
    return replicates(of, values, first=10 + 10 * of, schedule=schedule)


def document(schedule: NoiseSchedule) -> dict[str, Any]:
    spec = read()
    header = {
        **{"search": spec.resolved(), "extractor_sha256": "0" * 64, "data_sha256": "1" * 64},
        **{"versions": {}, "git_commit": None},
    }
    return export_document(board_of(spec, records(schedule)), header)


def test_the_sentence_of_these_tests() -> None:
    assert SAID is not None and SAID.startswith("has ") and " below sigma 0.3: " in SAID


def test_the_leaderboard_says_it_of_the_winner_first() -> None:
    assert board_of(read(), records(NARROW)).notes[0] == f"trial 1 {SAID}."
    others = board_of(read(), records(ICT)).notes
    assert others and not any("draws" in note for note in others)
    # Of a winner only: where ict is the better one, nothing is said of a proposal that lost.
    assert not any("draws" in note for note in board_of(read(), records(NARROW, value=200.0)).notes)


def test_the_leaderboard_says_it_of_a_preset_too() -> None:
    thin = PRESETS["hang_gu_laplace"].schedule
    spec = read("presets: [ict, hang_gu_laplace]")
    best = record(1, 50.0, preset="hang_gu_laplace", purpose=Purpose.BASELINE)
    found = [records(ICT)[0], best, *confirmed(0, 100.0, ICT), *confirmed(1, 50.0, thin)]
    assert board_of(spec, found).notes == (f"hang_gu_laplace {thin_end(thin, 100)}.",)


def test_a_search_file_is_told_of_its_presets(tmp_path: Path) -> None:
    assert thin_presets(read()) == []
    thin = PRESETS["hang_gu_laplace"].schedule
    assert thin_presets(read("presets: [ict, hang_gu_laplace]")) == [
        f"preset hang_gu_laplace {thin_end(thin, 100)}."
    ]
    own = tmp_path / "own.json"
    own.write_text(json.dumps(NARROW.to_dict()))
    assert thin_presets(read(f"presets: [ict, {{name: mine, file: {own}}}]")) == [f"preset mine {SAID}."]


def test_a_dry_run_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text("name: x\ndata: digits\npresets: [ict, hang_gu_laplace]\n")
    assert cli.main(["run", "x.yaml", "--dry-run", "--address", "auto"]) == 0
    assert "\n# preset hang_gu_laplace has " in capsys.readouterr().out
    assert cli.main(["run", "x.yaml", "--dry-run", "--address", "auto", "--json"]) == 0
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert warning.startswith("preset hang_gu_laplace has ")


def test_the_document_has_it_and_who_loads_it_is_told() -> None:
    thin, fine = document(NARROW), document(ICT)
    assert (thin["evidence"]["warning"], fine["evidence"]["warning"]) == (f"It {SAID}.", None)
    assert load_schedule(thin).warnings == (f"It {SAID}.",)
    assert load_schedule(fine).warnings == ()
    # A bare schedule says it as well.
    assert len(load_schedule(NARROW.to_dict()).warnings) == 1
    assert load_schedule(ICT.to_dict()).warnings == ()


@pytest.mark.parametrize("schedule", [NARROW, ICT])
def test_export_says_it_on_stderr_and_in_the_files_of_every_format(
    schedule: NoiseSchedule,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_export(Path("best.json"), document(schedule))
    assert cli.main(["export", "best.json", "--format", "k-diffusion"]) == 0
    said = [f"warning: It {SAID}.\n"] if schedule is NARROW else []
    assert capsys.readouterr().err == "".join(said)
    readme = Path("best_schedule_k_diffusion/README.txt").read_text()
    assert (f"It {SAID}." in readme) == bool(said)
