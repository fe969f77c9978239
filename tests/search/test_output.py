"""What a verb writes where its user names it: refused before the work where it cannot be, else whole or absent."""

import os
import stat
from pathlib import Path

import pytest

from search import cli
from search.errors import InputError, OperationFailed
from search.machine.output import check_file, check_folder, write_file
from search.running.search import Search

FILE = "name: x\ndata: digits\n"
VERBS = [
    ["run", "x.yaml"],
    ["run", "x.yaml", "--dry-run"],
    ["resume", "x.yaml"],
    ["extend", "x.yaml", "--trials", "1"],
    ["confirm", "x.yaml"],
    ["compare", "x.yaml"],
    ["export", "x.yaml"],
    ["export", "x.yaml", "--format", "comfyui"],
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a search file in it. No search is opened further than that."""
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(FILE)
    monkeypatch.setattr(Search, "check_started", lambda self: None)
    monkeypatch.setattr(Search, "amended", lambda self, changes: pytest.fail("changed before it was refused"))
    return tmp_path


@pytest.mark.parametrize("arguments", VERBS)
def test_a_folder_that_is_not_there_is_refused_by_every_verb(
    arguments: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments, "--output", "no/such/x.json"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: `--output` must be a f")
    assert error.endswith(f" but no/such/x.json would be in {here}/no/such, which does not exist\n")
    assert [path.name for path in here.iterdir()] == ["x.yaml"]


def test_so_are_pictures_and_tables(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = ["--table", "t.md", "--output", "./t.md"]
    assert cli.main(["compare", "x.yaml", *same]) == 2
    assert "--table and --output are both t.md: give each a file of its own" in capsys.readouterr().err
    assert cli.main(["compare", "x.yaml", "--table", "no/t.md"]) == 2
    assert f"`--table` must be a file that can be written, but no/t.md would be in {here}/no" in (
        capsys.readouterr().err
    )
    assert cli.main(["list", "grids", "--plot", "no/x.png"]) == 1
    assert capsys.readouterr().err == "error: no/x.png cannot be written: No such file or directory\n"
    assert [path.name for path in here.iterdir()] == ["x.yaml"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/dev/null", "is no file that could be replaced"),
        ("/proc/x.json", "cannot be made: /proc cannot be written to: No such file or directory"),
        ("", "is a folder"),
        (f"{'x' * 300}/best.json", "cannot be looked at: File name too long"),
    ],
)
def test_what_is_no_file_is_refused(path: str, why: str) -> None:
    with pytest.raises(InputError) as told:
        check_file(Path(path))
    assert str(told.value).startswith("`--output` must be a file that can be written, but ")
    assert str(told.value).endswith(why)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    link = tmp_path / "best.json"
    link.symlink_to("results/best.json")
    check_file(link)
    write_file(link, b"{}")
    assert os.readlink(link) == "results/best.json"
    assert (tmp_path / "results/best.json").read_bytes() == b"{}"
    assert sorted(os.listdir(tmp_path / "results")) == ["best.json"]


def test_a_name_of_full_length_can_be_written(tmp_path: Path) -> None:
    write_file(tmp_path / ("x" * 250 + ".json"), b"{}")
    assert len(os.listdir(tmp_path)) == 1


def test_no_folder_is_made_for_a_file_but_one_is_for_a_folder(tmp_path: Path) -> None:
    check_folder(tmp_path / "new")
    with pytest.raises(InputError, match="which does not exist"):
        check_folder(tmp_path / "new" / "newer")
    with pytest.raises(OperationFailed, match="cannot be written: No such file or directory"):
        write_file(tmp_path / "new" / "x", b"")
    assert os.listdir(tmp_path) == []
