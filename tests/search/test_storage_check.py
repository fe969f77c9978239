"""What is said of a storage that cannot be used, before anything is trained. Nodes of a real Ray: integration/."""

import errno
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import exceptions

from search import cli
from search.engine.storage_check import check_here, check_images_shared, check_shared, problem_on_node
from search.errors import InputError, OperationFailed
from search.machine.search_folders import local_root, usable
from trainable.image_file import MappedTensor


def test_a_node_that_sees_the_file_of_the_driver_has_no_problem(tmp_path: Path) -> None:
    (tmp_path / "probe-1").touch()
    assert problem_on_node(str(tmp_path), "probe-1") is None
    assert [path.name for path in tmp_path.iterdir()] == ["probe-1"]


def test_a_node_with_a_folder_of_its_own_does_not_share_it_and_makes_nothing(tmp_path: Path) -> None:
    own = tmp_path / "own"
    for _ in range(2):
        problem = problem_on_node(str(own), "probe-1")
        assert problem is not None
        assert problem.startswith(f"does not share {own}. ")
    assert not own.exists()


def test_a_node_that_cannot_use_the_folder_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    problem = problem_on_node(str(tmp_path / "file"), "probe-1")
    assert problem is not None
    assert problem.startswith(f"cannot use the storage: {tmp_path}/file cannot be read: Not a directory. ")


class Answers:
    """A stand-in of Ray with nodes that give these answers, or raise."""

    def __init__(self, *answers: str | Exception | None):
        self.answers = answers
        self.exceptions = exceptions

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": f"{number:056x}", "NodeManagerAddress": f"10.0.0.{number}", "Alive": True}
            for number in range(len(self.answers))
        ]

    def remote(self, **options: Any) -> Any:
        numbers = iter(range(len(self.answers)))
        asked = SimpleNamespace(remote=lambda problem_there: next(numbers))
        return lambda function: SimpleNamespace(options=lambda **where: asked)

    def get(self, number: int, timeout: float) -> str | None:
        answer = self.answers[number]
        if isinstance(answer, Exception):
            raise answer
        return answer


LOST = exceptions.NodeDiedError("its node died")
BROKEN = exceptions.RayTaskError("problem_on_node", "Traceback ...", ImportError("no module named trainable"))


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ((None, None), 2),
        ((None, LOST), 1),  # no trial will run there
        ((None, "does not share /x. Name ..."), InputError),
        ((None, BROKEN), OperationFailed),
        ((exceptions.GetTimeoutError(), None), OperationFailed),
    ],
)
def test_every_node_must_agree_but_those_that_are_lost_meanwhile(
    answers: tuple[Any, ...], found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", Answers(*answers))
    if isinstance(found, int):
        assert check_shared(str(tmp_path)) == found
    else:
        with pytest.raises(
            found, match=r"^storage\.path: node 10\.0\.0\.\d (does not share|cannot be asked|did not say)"
        ):
            check_shared(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_every_node_must_have_the_images_that_trials_map(monkeypatch: pytest.MonkeyPatch) -> None:
    file = MappedTensor("/cache/x.safetensors", "x_NCHW", 100)
    monkeypatch.setitem(sys.modules, "ray", Answers(None, None))
    assert check_images_shared(file) == 2
    monkeypatch.setitem(sys.modules, "ray", Answers(None, file.problem_here()))
    with pytest.raises(
        InputError, match=r"^data: node 10\.0\.0\.1 cannot use the prepared images /cache/x\.safe"
    ):
        check_images_shared(file)
    monkeypatch.setitem(sys.modules, "ray", Answers(exceptions.GetTimeoutError()))
    with pytest.raises(
        OperationFailed, match=r"^data: node 10\.0\.0\.0 did not say within .* whether it has /cache/x"
    ):
        check_images_shared(file)


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    check_here(str(tmp_path / "new"))
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(
        InputError, match=r"storage\.path: .*/file/runs cannot be (listed|written): Not a dir"
    ):
        check_here(str(tmp_path / "file" / "runs"))


def test_a_folder_without_the_right_to_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: object) -> None:  # tests may run as root, who may do all
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refused)
    with (
        pytest.raises(InputError, match=r"cannot be used on .* cannot be written to: Permission denied\. "),
        usable(tmp_path),
    ):
        pass


@pytest.mark.parametrize("verb", [["run", "toy.yaml"], ["run", "toy.yaml", "--address", "auto"]])
def test_a_search_that_cannot_be_kept_here_is_one_line_before_anything_is_done(
    verb: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEDULE_SEARCH_HOME", str(tmp_path / "home"))
    (tmp_path / "file").touch()
    (tmp_path / "toy.yaml").write_text(f"name: toy\ndata: digits\nstorage: {{path: {tmp_path}/file/runs}}\n")
    assert cli.main(verb) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: storage.path: {tmp_path}/file/runs/toy cannot be used on ")
    assert "/file is no folder" in shown
    assert shown.count("\n") == 1


def test_the_home_of_a_user_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"~nobody-here/x cannot be looked up: there is no user nobody-here"):
        local_root("~nobody-here/x")
    (tmp_path / "toy.yaml").write_text("name: toy\ndata: digits\nstorage: {path: ~nobody-here/x}\n")
    for verb in ("run", "doctor"):
        assert cli.main([verb, "toy.yaml"]) == 2
        shown = capsys.readouterr().err
        assert "there is no user nobody-here" in shown
        assert shown.count("\n") == 1
