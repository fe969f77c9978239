"""A search without a winner says so, everywhere: text, exit code, MLflow's status."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import search.running.driver
import search.running.preparing
from search import cli
from search.commands import _running
from search.decision import Decision
from search.file.spec import SearchSpec, load_spec
from search.machine.interruption import Interruption
from search.policy.agenda import Agenda
from search.policy.trials import NewTrial
from search.policy.trials import Trials as Kept
from search.record import Purpose, Report, State
from search.running.plan_of import plan_of
from search.running.result import Result
from search.running.search import Search
from search.simulator.trials_in_memory import TrialsInMemory
from spaces import PRESETS
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


def fill(store: Kept, trials: Trials) -> Kept:
    """The trials in the study; those of the confirmation repeat trial 1."""
    fresh_seeds = itertools.count(1)
    for purpose, state, value in trials:
        is_again = purpose is Purpose.CONFIRM
        trial = NewTrial(
            purpose=purpose,
            schedule=SCHEDULE,
            seed=next(fresh_seeds) if is_again else 0,
            preset="ict" if purpose is Purpose.BASELINE else None,
            replicate_of=1 if is_again else None,
            decision=Decision("started", "proposed", {"algorithm": "random"}),
        )
        number = store.add(trial)
        reports = () if value is None else (Report(2000, value, 0, {"fd_digits_cnn": value}),)
        for report in reports:
            store.report(number, report)
        ended = replace(
            trial.record(number, start_ms=0),
            state=state,
            reports=reports,
            reason="OSError: no space left" if state is State.FAILED else None,
        )
        store.finish(ended, {})
    return store


def result_of(folder: Path, text: str, trials: Trials) -> Result:
    spec, kept = spec_in(folder, text), fill(TrialsInMemory(), trials)
    return Result.of(spec, Agenda.of(plan_of(spec, 1), kept.read(), kept.header), kept.header)


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
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """A verb on a search that has ended like this: exit code, stdout, stderr."""
    assets: Any = SimpleNamespace(
        objective="fd_digits_cnn", data_sha256="d" * 64, extractor_sha256="e" * 64, extractor_accuracy=0.9
    )
    monkeypatch.setattr(search.running.preparing, "prepare", lambda *_: assets)
    monkeypatch.setattr(search.running.driver, "bring_up_to_date", lambda *_: None)
    monkeypatch.setattr(Interruption, "install", lambda self: None)
    monkeypatch.setattr(_running, "log_to", lambda path: None)

    def ended(text: str, trials: Trials, *options: str, verb: str = "run") -> tuple[int, str, str]:
        toy = Search(spec_in(tmp_path, text))
        if not toy.folder.exists():
            toy.folder.mkdir(parents=True)
            toy.open_or_create(assets)
            fill(toy.store, trials)
        capsys.readouterr()
        code = cli.main([verb, str(tmp_path / "toy.yaml"), *options])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

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
    code, out, err = run(UNCONFIRMED, SEARCHED, "--output", str(tmp_path / "best.json"))
    assert code == 1
    assert err.startswith("error: search 'toy' confirms nothing")
    assert err.endswith(f"--unconfirmed --storage {tmp_path}/runs. {tmp_path}/best.json was not written\n")
    assert "Written" not in out


def test_with_json_the_error_stands_beside_the_leaderboard(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run(CONFIRMED, FAILED, "--json")
    answer = json.loads(out)
    assert code == answer["exit_code"] == 1
    assert err.endswith(f"\nerror: {answer['error']}\n")
    assert [trial["number"] for trial in answer["leaderboard"]["failed"]] == [0, 1]


def test_a_finished_search_is_not_run_again(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run(CONFIRMED, WON, "--json")
    answer = json.loads(out)
    assert code == answer["exit_code"] == 0
    assert "error: " not in err
    assert answer["finished"] and answer["already_finished"]
    assert answer["output"] is None
    _, out, _ = run(CONFIRMED, WON)
    assert "\nSearch toy is finished already: nothing was run and nothing changed.\n" in out


def test_the_leaderboard_names_the_cause(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run(CONFIRMED, FAILED, verb="leaderboard")
    assert code == 0
    assert out.splitlines()[-1].startswith("every trial of search 'toy' failed, first with: OSE")


def test_what_was_never_started_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec_in(tmp_path, CONFIRMED)
    for verb in ("leaderboard", "resume", "confirm"):
        assert cli.main([verb, str(tmp_path / "toy.yaml")]) == 2
        assert capsys.readouterr().err == (
            "error: search 'toy' has not been started. Run: python -m search run FILE\n"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["toy.yaml"]
