"""Samples are measured when a search is over: kept model by model, gone on with, told where they cannot be."""

import json
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import search.running.measuring
from search import cli
from search.evidence.conclusion import measure_lines
from search.machine.interruption import Interruption
from search.policy.conductor import Conductor
from search.policy.trials import JUDGES, MEASURED
from search.record import TrialRecord
from search.running.driver import Run
from search.running.judged import facts_of
from search.running.measuring import Measuring, prepared_judges
from search.running.search import Search
from search.study.whole import DamagedStudy
from spaces import load_schedule
from tests.played import played
from tests.records import record
from trainable.setting import Setting
from trainable.storage.checkpoint import discard_checkpoints
from trainable.task import OWN

FILE = """
name: toy
data: digits
network: {name: film_mlp, width: 16, depth: 1}
training: {total_steps: 60, batch_size: 16}
objective: {extractor: pixels, num_samples: 100}
space:
  noise: {lognormal: }
  curriculum: {constant: {levels: {low: 5, high: 10}}}
presets: [ict_short]
budget: {max_trials: 2}
stopping: none
confirm: {top: 1, baselines: 1, rounds: [2]}
measures:
  judges:
  - extractor: pixels
    metrics: [frechet_distance, kernel_distance, {name: recall, nearest_k: 5}]
  nfe: [1, 2]
"""
KEYS = {
    f"{name}_nfe{n}"
    for name in ("fd_pixels", "kernel_distance_pixels", "recall_nearest_k_5_pixels")
    for n in (1, 2)
}


class Audience:
    """Keeps what it is told. tracker, view: itself."""

    def __init__(self) -> None:
        self.records: list[TrialRecord] = []
        self.notes: list[str] = []
        self.phases: list[str] = []
        self.tracker = SimpleNamespace(put=self.records.append)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def phase(self, name: str, total: int) -> None:
        self.phases.append(name)

    def waiting(self, *_: object) -> Any:
        from contextlib import nullcontext

        return nullcontext()


def measure(folder: Path, setting: Setting, interruption: Interruption | None = None) -> Audience:
    """One driver's measuring at the end of a search."""
    found = Search.open(str(folder / "toy.yaml"))
    found.open_or_create(setting.assets)
    judges = prepared_judges(found.spec, setting.assets, folder / ".cache", "cpu")
    found.keep_judges(judges)
    audience: Any = Audience()
    conductor = Conductor(found.plan(), found.store)
    run = Run(found, conductor, {OWN: setting}, judges, "", interruption or Interruption(), audience, None)
    run.measure_samples(audience)
    return audience


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Setting]:
    """The folder of a search whose trials have ended, and what they were trained in."""
    folder = tmp_path_factory.mktemp("search")
    _, setting = played(folder, FILE)
    return folder, setting


@pytest.fixture
def interruption() -> Interruption:
    made = Interruption()
    made.install()
    return made


def test_each_model_is_measured_once_and_kept_through_an_interruption(
    toy: tuple[Path, Setting],
    interruption: Interruption,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, setting = toy
    monkeypatch.chdir(folder)
    before = Search.open("toy.yaml").result()
    wanted = before.board.to_measure()
    assert not before.finished and len(wanted) == 4  # a proposal and the preset, two fresh seeds

    real = search.running.measuring.measure_samples
    calls: list[str] = []

    def interrupted_in_the_second(trial: Any, **given: Any) -> Any:
        calls.append(trial.location)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return real(trial, **given)

    monkeypatch.setattr(search.running.measuring, "measure_samples", interrupted_in_the_second)
    first = measure(folder, setting, interruption)
    assert [r.number for r in first.records] == [wanted[0].number]
    halfway = Search.open("toy.yaml").result()
    assert not halfway.finished and halfway.board.to_measure() == wanted[1:]

    second = measure(folder, setting)
    assert [r.number for r in second.records] == [r.number for r in wanted[1:]]
    assert second.phases == ["samples by other measures"]
    assert second.notes[-1].endswith("measured, 3 of 3")
    assert len(calls) == 2 + 3
    assert measure(folder, setting).records == []

    after = Search.open("toy.yaml").result()
    assert after.finished
    rows = after.board.to_dict()["measures"]
    (compared,) = rows.values()
    assert {f"{by['name']}_nfe{by['network_evaluations']}" for by in compared} == KEYS
    for r in after.records:
        assert (r.measured is not None) == (r.number in {w.number for w in wanted})
    values = next(r for r in after.records if r.number == wanted[0].number).measured
    assert values is not None and values.values.keys() == KEYS
    # The same model by the same measure as the objective, on other noise.
    assert values.values["fd_pixels_nfe1"] == pytest.approx(wanted[0].objective, rel=0.2)

    assert cli.main(["leaderboard", "toy"]) == 0
    is_preset = after.board.winner is after.board.baseline
    assert (
        "By fd_pixels at 2 evaluations, against ict_short: trial 1 " in capsys.readouterr().out
    ) != is_preset
    assert cli.main(["export", "toy", "--output", "measured.json"]) == 0
    assert len(load_schedule("measured.json").measures) == (0 if is_preset else 6)


def test_a_model_that_is_gone_is_told_and_the_search_ends(tmp_path: Path) -> None:
    found, setting = played(tmp_path, FILE)
    gone, *others = found.result().board.to_measure()
    discard_checkpoints(found.trial_storage.folder(gone.number), keep=0)
    audience = measure(tmp_path, setting)
    assert "not measured: a checkpoint of step 60 is needed in" in audience.notes[0]
    result = Search.open(str(tmp_path / "toy.yaml")).result()
    assert result.finished and measure(tmp_path, setting).records == []
    assert any(
        line.startswith(f"The samples of trial {gone.number} were not measured: a checkpoint of step 60")
        for line in measure_lines(result.board)
    )
    assert all(
        r.measured is not None and r.measured.values
        for r in result.records
        if r.number in {other.number for other in others}
    )


def test_what_was_measured_on_other_weights_is_measured_again(toy: tuple[Path, Setting]) -> None:
    measure(*toy)
    found = Search.open(str(toy[0] / "toy.yaml"))
    number = next(r.number for r in found.records() if r.measured is not None)
    kept = found.header[f"{MEASURED}{number}"]
    other = {**kept["judges"]["pixels"], "extractor_sha256": "another"}
    found.store.set_header(f"{MEASURED}{number}", {**kept, "judges": {"pixels": other}})
    assert [r.number for r in found.board().to_measure()] == [number]
    assert [r.number for r in measure(*toy).records] == [number]
    again = Search.open(str(toy[0] / "toy.yaml")).header[f"{MEASURED}{number}"]
    assert again["judges"] == kept["judges"]


def test_values_that_were_cut_are_one_line(toy: tuple[Path, Setting]) -> None:
    found = Search.open(str(toy[0] / "toy.yaml"))
    measure(*toy)
    number = next(r.number for r in found.records() if r.measured is not None)
    key = f"{MEASURED}{number}"
    whole = found.header[key]
    try:
        for cut in ({}, {"judges": []}, {**whole, "judges": {"pixels": {}}}):
            found.store.set_header(key, cut)
            with pytest.raises(DamagedStudy, match=f"trial {number} cannot be read .* it was cut or edited"):
                Search.open(str(toy[0] / "toy.yaml")).records()
        found.store.set_header(key, whole)
        known = found.header[JUDGES]
        found.store.set_header(JUDGES, {"pixels": None})
        with pytest.raises(DamagedStudy, match="has lost what it kept of the search: judges"):
            Search.open(str(toy[0] / "toy.yaml")).records()
        found.store.set_header(JUDGES, known)
    finally:
        found.store.set_header(key, whole)


def test_a_search_that_an_earlier_version_kept_is_not_unfinished(
    toy: tuple[Path, Setting], tmp_path: Path
) -> None:
    kept = toy[0] / "runs" / "toy" / "search.yaml"
    text = kept.read_text()
    start, end = text.index("measures:"), text.index("sampling:")
    try:
        kept.write_text(text[:start] + text[end:])
        assert Search.kept_in(kept.parent).spec.measures.judges == []
    finally:
        kept.write_text(text)
    assert Search.kept_in(kept.parent).spec.is_measured


def test_a_feature_network_that_cannot_be_had_is_told(
    toy: tuple[Path, Setting], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(*_: Any) -> Any:
        raise ValueError("no room for\nit")

    spec, own = Search.open(str(toy[0] / "toy.yaml")).spec, toy[1].assets
    monkeypatch.setattr(search.running.measuring, "prepare", prepare)
    assert prepared_judges(spec, own, toy[0], "cpu") == {"pixels": "no room for it"}
    known = {
        "pixels": {"extractor_sha256": "e", "problem": None},
        "gone": {"extractor_sha256": "g", "problem": None},
    }
    assert facts_of({"pixels": "no room for it"}, known) == {
        "pixels": {"extractor_sha256": "e", "problem": "no room for it"},
        "gone": known["gone"],
    }
    assert facts_of({"pixels": own}, known)["pixels"] == {
        "extractor_sha256": own.extractor_sha256,
        "problem": None,
    }


def test_values_that_are_not_finite_are_kept_as_the_worst_finite_ones(
    toy: tuple[Path, Setting], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {
        "seed": 1,
        "sigmas": {},
        "judges": {"pixels": {"extractor_sha256": "e", "num_real": 9, "num_samples": 9}},
    }
    found["judges"]["pixels"]["metrics"] = {"1": {"frechet_distance": float("inf")}}
    monkeypatch.setattr(search.running.measuring, "measure_samples", lambda *_, **__: found)
    spec = Search.open(str(toy[0] / "toy.yaml")).spec
    kept = Measuring(spec, toy[1], {"pixels": toy[1].assets}).of(record(3, 1.0))
    assert json.loads(json.dumps(kept, allow_nan=False))["judges"]["pixels"]["values"] == {
        "fd_pixels_nfe1": 1e9
    }
