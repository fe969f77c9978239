"""The live view of a search from any terminal."""

import argparse
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from search import cli
from search.commands import watch
from search.errors import InputError, OperationFailed
from search.running import foretold
from search.screen.words import ENDED_WORDS
from tests.version_0_2_0 import copied_storage


def status(state: str, ended: int = 0, seconds: float = 1.0) -> dict[str, Any]:
    counts = {"most": 9, "confirm_ended": 0, "confirm_most": 0, "open": 1, "ended": ended}
    ends = dict.fromkeys(ENDED_WORDS.values(), 0)
    return {
        **{
            "name": "toy",
            "state": state,
            "running_seconds": seconds,
            "problem": None,
            "best": None,
            "folder": "f",
        },
        **{"slot_hours": 1.0, "gpu_hours": 0.0, "trials": {**counts, **ends}},
    }


def answers(*each: dict[str, Any] | Exception) -> Callable[..., Any]:
    """A look that gives one after the other."""
    left: Iterator[dict[str, Any] | Exception] = iter(each)

    def look(*_: object) -> Any:
        one = next(left)
        if isinstance(one, Exception):
            raise one
        return one

    return look


def test_a_search_is_looked_at_until_nobody_runs_it() -> None:
    pauses: list[int] = []
    each = [status("starting"), status("running"), status("running", 1), status("finished", 2)]
    seen = list(watch.looks(answers(*each), lambda: pauses.append(1)))
    assert [one["state"] for one in seen] == ["starting", "running", "running", "finished"]
    assert len(pauses) == 3


def test_a_look_may_fail_a_few_times_but_not_the_first() -> None:
    with pytest.raises(InputError):
        next(watch.looks(answers(InputError("no such search")), lambda: None))
    away = [OperationFailed("no answer")] * 4
    seen = watch.looks(answers(status("running"), *away, status("stopped")), lambda: None)
    assert [one["state"] for one in seen] == ["running", "stopped"]
    seen = watch.looks(answers(status("running"), *away, *away), lambda: None)
    with pytest.raises(OperationFailed):
        list(seen)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the verb see these, one after the other, at once."""

    def see(*each: dict[str, Any] | BaseException) -> None:
        look = answers(*each)  # type: ignore[arg-type]

        def one(args: argparse.Namespace) -> list[dict[str, Any]]:
            return [look()]

        monkeypatch.setattr(watch, "statuses", one)
        monkeypatch.setattr("time.sleep", lambda seconds: None)

    return see


def test_without_a_terminal_only_what_has_changed_is_printed(
    looked_at: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    looked_at(status("running"), status("running", seconds=9), status("running", 1), status("stopped", 1))
    assert cli.main(["watch", "toy"]) == 0
    blocks = capsys.readouterr().out.split("\n\n")
    assert [block.splitlines()[0].split()[1] for block in blocks] == ["running", "running", "stopped"]
    assert ["  1/9: " in block for block in blocks] == [False, True, True]


@pytest.mark.parametrize(
    ("left", "text"),
    [
        ([700.0, 1500.0], ", 12m to 25m left"),
        ([710.0, 730.0], ", about 12m left"),
        ([700.0, None], ", at least 12m left"),
        (None, ""),
    ],
)
def test_what_is_left_is_shown_as_the_driver_shows_it(
    left: list[float] | None, text: str, looked_at: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    looked_at({**status("running", seconds=65), "seconds_left": left}, status("stopped"))
    assert cli.main(["watch", "toy"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"toy: running for 1m 05s{text}"


def test_what_was_foretold_passes_with_the_time_and_is_forgotten(tmp_path: Path) -> None:
    assert foretold.left_of(tmp_path, 0.0, 1.0) is None
    foretold.keep(tmp_path, (50.0, 100.0), 1000.0)
    assert foretold.left_of(tmp_path, 900.0, 1000.0) == (50.0, 100.0)
    assert foretold.left_of(tmp_path, 900.0, 1060.0) == (0.0, 40.0)
    assert foretold.left_of(tmp_path, 1001.0, 1060.0) is None  # of a driver before this one
    assert foretold.left_of(tmp_path, 900.0, 5000.0) is None  # of one that is stuck
    foretold.keep(tmp_path, (50.0, math.inf), 1000.0)
    assert foretold.left_of(tmp_path, 900.0, 1010.0) == (40.0, math.inf)
    for text in ("", "{", "[]", '{"at": 1000, "least": "soon", "most": null}'):
        (tmp_path / "outlook.json").write_text(text)
        assert foretold.left_of(tmp_path, 900.0, 1010.0) is None
    foretold.keep(tmp_path, (50.0, 60.0), 1000.0)
    foretold.keep(tmp_path, None, 1010.0)
    assert foretold.left_of(tmp_path, 900.0, 1010.0) is None
    foretold.forget(tmp_path / "gone")


def test_as_json_each_look_is_a_line(
    looked_at: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    each = [status("running"), status("finished", 3)]
    looked_at(*each)
    assert cli.main(["watch", "toy", "--json"]) == 0
    assert list(map(json.loads, capsys.readouterr().out.splitlines())) == each


def test_ctrl_c_ends_the_looking_alone(
    looked_at: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at(status("running"))

    def pressed(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", pressed)
    assert cli.main(["watch", "toy"]) == 0
    assert capsys.readouterr().out.startswith("toy: running")


def test_the_latest_search_is_watched_and_one_that_nobody_runs_is_shown_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["watch", "--storage", str(copied_storage(tmp_path / "storage"))]) == 0
    shown = capsys.readouterr()
    assert shown.err == "note: the latest search is old\n"
    assert shown.out.startswith("old: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--every", "0"], "`0.1 <= --every <= 3600` must hold, but got 0"),
        (["--every", "nan"], "`0.1 <= --every <= 3600` must hold, but got nan"),
        (["--address", "http://127.0.0.1:1"], "name the search: on a cluster there may be many"),
    ],
)
def test_what_has_no_meaning_is_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["watch", *options]) == 2
    assert message in capsys.readouterr().err
