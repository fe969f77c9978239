"""A search without a winner says so, everywhere: text, exit code, MLflow's status."""

import argparse
import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest

import search.run.runner
from search import cli
from search.commands._running import carry_out
from search.file.spec import SearchSpec, load_spec
from search.machine.interruption import Interruption
from search.record import Purpose, Report, State
from search.run.result import Result
from search.run.runner import Outcome, run_search
from search.run.session import open_or_create
from search.study.store import StudyStore
from spaces import PRESETS
from tests.records import record
from trainable.task import WORST_OBJECTIVE

SCHEDULE = PRESETS["ict"].schedule
PLAIN = "noise_floor: {seeds: 0}\npresets: [ict]\nbudget: {max_trials: 2}\n"
CONFIRMED = PLAIN + "confirm: {top: 1, baselines: 0, rounds: [2]}\n"
UNCONFIRMED = PLAIN + "confirm: {top: 0}\n"

# Purpose, state, and the last value of each trial.
Trials = list[tuple[Purpose, State, float | None]]
FAILED: Trials = [(Purpose.BASELINE, State.FAILED, None), (Purpose.SEARCH, State.FAILED, None)]
DIVERGED: Trials = [
    (Purpose.BASELINE, State.DIVERGED, WORST_OBJECTIVE),
    (Purpose.SEARCH, State.DIVERGED, WORST_OBJECTIVE),
]
SEARCHED: Trials = [(Purpose.BASELINE, State.COMPLETE, 9.0), (Purpose.SEARCH, State.COMPLETE, 8.0)]
NONE_CONFIRMED: Trials = [
    *SEARCHED,
    (Purpose.CONFIRM, State.FAILED, None),
    (Purpose.CONFIRM, State.FAILED, None),
]
ALL_DIVERGED_ANEW: Trials = [
    *SEARCHED,
    (Purpose.CONFIRM, State.DIVERGED, WORST_OBJECTIVE),
    (Purpose.CONFIRM, State.DIVERGED, WORST_OBJECTIVE),
]
HALF_CONFIRMED: Trials = [
    *SEARCHED,
    (Purpose.CONFIRM, State.COMPLETE, 8.5),
    (Purpose.CONFIRM, State.FAILED, None),
]
WON: Trials = [
    *SEARCHED,
    (Purpose.SEARCH, State.FAILED, None),
    (Purpose.CONFIRM, State.COMPLETE, 8.5),
    (Purpose.CONFIRM, State.COMPLETE, 8.6),
]


def spec_in(folder: Path, text: str) -> SearchSpec:
    (folder / "toy.yaml").write_text(f"name: toy\ndata: digits\n{text}storage: {{path: {folder / 'runs'}}}\n")
    return load_spec(folder / "toy.yaml")


def fill(store: StudyStore, trials: Trials) -> StudyStore:
    """The trials in the study; those of the confirmation repeat trial 1."""
    seed = 0
    for purpose, state, value in trials:
        attributes: dict[str, Any] = {"stage": str(purpose), "schedule": SCHEDULE.to_dict(), "seed": 0}
        if purpose is Purpose.BASELINE:
            attributes["preset"] = "ict"
        if purpose is Purpose.CONFIRM:
            seed += 1
            attributes |= {"replicate_of": 1, "seed": seed}
        number = store.add(attributes, {}, {})
        store.finish(
            record(
                number,
                *([] if value is None else [Report(2000, value, 0, {"fd_digits_cnn": value})]),
                purpose=purpose,
                state=state,
                seed=attributes["seed"],
                reason="OSError: no space left" if state is State.FAILED else None,
            )
        )
    return store


def result_of(folder: Path, text: str, trials: Trials) -> Result:
    return Result.read(spec_in(folder, text), fill(StudyStore(optuna.create_study()), trials))


@pytest.mark.parametrize(
    ("text", "trials", "failed", "said"),
    [
        (
            CONFIRMED,
            FAILED,
            True,
            "every trial of search 'toy' failed, first with: OSError: no space left. See ",
        ),
        (
            CONFIRMED,
            DIVERGED,
            True,
            "no trial of search 'toy' ran to its end: 2 diverged. Lower training.learning",
        ),
        (
            CONFIRMED,
            [*DIVERGED[:1], *FAILED[1:]],
            True,
            "1 diverged, 1 failed (first with: OSError: no space",
        ),
        (
            CONFIRMED,
            NONE_CONFIRMED,
            True,
            "2 of 2 confirmation trials of search 'toy' failed, first with: OSError",
        ),
        (
            CONFIRMED,
            HALF_CONFIRMED,
            True,
            "1 of 2 confirmation trials of search 'toy' failed, first with: OSError",
        ),
        (CONFIRMED, ALL_DIVERGED_ANEW, True, "whatever search 'toy' confirmed diverged on fresh seeds"),
        (
            UNCONFIRMED,
            SEARCHED,
            False,
            "confirms nothing (confirm.top=0), so it has no winner. Confirm it with: ",
        ),
        (UNCONFIRMED, FAILED, True, "every trial of search 'toy' failed"),
    ],
)
def test_why_there_is_no_winner(tmp_path: Path, text: str, trials: Trials, failed: bool, said: str) -> None:
    result = result_of(tmp_path, text, trials)
    assert result.finished
    assert result.no_winner is not None
    assert result.no_winner.failed is failed
    assert said in result.no_winner.message
    assert "\n" not in result.no_winner.message
    offers = "python -m search export toy --unconfirmed --storage " in result.no_winner.message
    assert offers == (SEARCHED[0] in trials)
    assert result.mlflow_status() == ("FAILED" if failed else "FINISHED")
    assert result.to_dict()["no_winner"] == result.conclusion == result.no_winner.message


def test_a_search_with_a_winner_names_the_trials_that_failed_all_the_same(tmp_path: Path) -> None:
    result = result_of(tmp_path, CONFIRMED, WON)
    assert result.no_winner is None
    assert result.mlflow_status() == "FINISHED"
    assert "1 of 5 trials failed, first with: OSError: no space left. See " in result.table()[-1]
    assert result.to_dict()["failed"] == [{"number": 2, "reason": "OSError: no space left"}]


def test_an_unfinished_search_is_no_failure(tmp_path: Path) -> None:
    result = result_of(tmp_path, CONFIRMED, FAILED[:1])
    assert not result.finished
    assert result.no_winner is None
    assert result.mlflow_status() == "KILLED"
    assert result.mlflow_status(driven=True) == "RUNNING"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """`run` on a search that ends like this: exit code, stdout, stderr."""
    monkeypatch.setattr(Interruption, "install", lambda self: None)
    monkeypatch.setattr("search.commands._running._log_to", lambda path: None)

    def ended(
        text: str, trials: Trials, *, output: bool = False, as_json: bool = False
    ) -> tuple[int, str, str]:
        result = result_of(tmp_path, text, trials)
        monkeypatch.setattr(search.run.runner, "run_search", lambda *_, **__: Outcome(result, {}))
        args = argparse.Namespace(json=as_json, address=None, output=None)
        if output:
            args.output = str(tmp_path / "best.json")
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = carry_out(result.spec, args)
        return code, out.getvalue(), err.getvalue()

    return ended


@pytest.mark.parametrize("trials", [FAILED, DIVERGED, NONE_CONFIRMED])
def test_a_search_that_failed_ends_with_an_error(
    run: Callable[..., tuple[int, str, str]], trials: Trials
) -> None:
    code, out, err = run(CONFIRMED, trials)
    assert code == 1
    assert err.startswith("error: ") and err.count("\n") == 1
    assert "toy: fd_digits_cnn, lower is better" in out
    assert "search export toy\n" not in out


def test_without_confirmation_only_a_file_that_is_wanted_is_missed(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, out, err = run(UNCONFIRMED, SEARCHED)
    assert (code, err) == (0, "")
    assert "so it has no winner. Confirm it with: python -m search confirm toy --top 4" in out
    (tmp_path / "best.json").write_text("of another search")
    code, out, err = run(UNCONFIRMED, SEARCHED, output=True)
    assert code == 1
    assert err.startswith("error: search 'toy' confirms nothing")
    assert err.endswith(f"--unconfirmed --storage {tmp_path}/runs. {tmp_path}/best.json was not written\n")
    assert "Written" not in out


def test_with_json_the_error_stands_beside_the_leaderboard(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run(CONFIRMED, FAILED, as_json=True)
    answer = json.loads(out)
    assert code == answer["exit_code"] == 1
    assert err == f"error: {answer['error']}\n"
    assert [trial["number"] for trial in answer["leaderboard"]["failed"]] == [0, 1]


class Quiet:
    """A progress view that shows nothing."""

    def phase(self, name: str, total: int) -> None:
        pass


def test_a_failed_search_fails_when_it_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets: Any = SimpleNamespace(
        objective="fd_digits_cnn", data_sha256="d" * 64, extractor_sha256="e" * 64, extractor_accuracy=0.9
    )
    monkeypatch.setattr(search.run.runner, "prepare", lambda *_: assets)
    spec = spec_in(tmp_path, CONFIRMED)
    fill(open_or_create(spec, assets), FAILED)
    outcome = run_search(spec, interrupted=Interruption(), view=Quiet())  # type: ignore[arg-type]
    assert outcome.already_finished
    assert outcome.result.no_winner is not None
    assert outcome.result.no_winner.failed


def test_the_leaderboard_names_the_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fill(StudyStore(optuna.create_study()), FAILED)
    spec = spec_in(tmp_path, CONFIRMED)
    monkeypatch.setattr("search.run.session.open_store", lambda _: store)
    assert cli.main(["leaderboard", str(tmp_path / "toy.yaml")]) == 0
    assert (
        capsys.readouterr()
        .out.splitlines()[-1]
        .startswith("every trial of search 'toy' failed, first with: OSE")
    )
    assert spec.name == "toy"
