"""A place that a search would write to is tried before it begins: at --dry-run, at the start, by doctor."""

from pathlib import Path

import pytest

from search import cli
from search.checks.here import check_disk
from search.machine.writable import why_not_writable

FILE = "name: x\ndata: digits\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize("options", [("--dry-run",), ("--dry-run", "--address", "auto"), ()])
@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("{path: /proc/x}", "storage.path: /proc/x/x cannot be used on "),
        ("{path: /dev/null}", "storage.path: /dev/null/x cannot be used on "),
        ("{study_url: 'sqlite:////proc/x/study.db'}", "storage.study_url: /proc/x cannot be used on "),
        ("{mlflow_uri: 'sqlite:////proc/x/mlflow.db'}", "storage.mlflow_uri: /proc/x cannot be used on "),
    ],
)
def test_a_storage_that_cannot_be_written_is_one_line(
    storage: str, said: str, options: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.yaml").write_text(f"{FILE}storage: {storage}\n")
    assert cli.main(["run", "x.yaml", *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {said}")
    assert captured.err.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["x.yaml"]


@pytest.mark.parametrize("options", [("--dry-run",), ()])
def test_so_is_a_cache(
    options: tuple[str, ...],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SCHEDULE_SEARCH_CACHE", "/proc/x")
    Path("x.yaml").write_text(FILE)
    assert cli.main(["run", "x.yaml", *options]) == 2
    assert capsys.readouterr().err == (
        "error: the cache folder /proc/x cannot be used: /proc cannot be written to: No such file or directory. "
        "Name another folder in SCHEDULE_SEARCH_CACHE\n"
    )
    assert [path.name for path in here.iterdir()] == ["x.yaml"]


def test_doctor_tries_them_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEDULE_SEARCH_CACHE", "/proc/x")
    results, cache = list(check_disk(Path("/proc/y")))[:2]
    assert (results.level, cache.level) == ("fail", "fail")
    assert results.message == "results: /proc cannot be written to: No such file or directory"
    assert cache.message.startswith("cached data and feature networks: /proc cannot be written to")
    assert cache.remedy == "Change its owner, or set SCHEDULE_SEARCH_CACHE"


def test_trying_leaves_nothing(here: Path) -> None:
    assert why_not_writable(here / "a" / "b") is None
    assert list(here.iterdir()) == []
    (here / "file").touch()
    assert why_not_writable(here / "file" / "b") == f"{here}/file is no folder"
