"""What `--dry-run` says before anything is trained."""

import json
import sys
from pathlib import Path

import pytest

from search import cli


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current directory, without the library that FID needs, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)

    def refused(*_: object) -> None:
        raise ValueError("not at hand")

    monkeypatch.setattr("trainable.data.fashion_mnist.download", refused)


def dry_run(text: str, *flags: str) -> int:
    Path("x.yaml").write_text(f"name: x\n{text}")
    return cli.main(["run", "x.yaml", "--dry-run", *flags])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "data: {name: fashion_mnist, root: /nowhere}\n",
            "error: Fashion-MNIST's train-images-idx3-ubyte.gz cannot be read in /nowhere: No such file",
        ),
        (
            "data: digits\nobjective: {extractor: inception}\n",
            "error: Feature network 'inception' needs torch-fidelity, which does not import",
        ),
        (
            "data: digits\nobjective: {extractor: resnet56}\n",
            "error: Feature network 'resnet56' needs `weights_path`",
        ),
    ],
)
def test_what_a_run_here_would_miss_is_told(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dry_run(text) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(message)
    assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_data_that_would_be_downloaded_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert dry_run("data: fashion_mnist\n") == 0
    assert "# hours: unknown, since the data is not at hand" in capsys.readouterr().out


def test_what_a_cluster_has_is_not_looked_for_here(capsys: pytest.CaptureFixture[str]) -> None:
    text = "data: {name: fashion_mnist, root: /nowhere}\nobjective: {extractor: inception}\n"
    assert dry_run(text, "--address", "auto", "--json") == 0
    assert json.loads(capsys.readouterr().out)["cost"]["steps_per_second"] is None
