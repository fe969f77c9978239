"""`list` for the parts of a schedule, and its picture of their densities."""

import json
from pathlib import Path

import pytest
from PIL import Image

import spaces
from search import cli
from search.commands.list import DRAWN

NUM_CHOICES = {
    "noise": len(spaces.NOISE),
    "curricula": len(spaces.CURRICULA),
    "gaps": len(spaces.GAPS),
    "weights": len(spaces.WEIGHTS),
    "losses": len(spaces.LOSSES),
    "grids": len(spaces.GRIDS),
    "presets": len(spaces.PRESETS),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_each_choice_has_one_line_that_cites_its_source(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["list", kind, "--json"]) == 0
    choices = json.loads(capsys.readouterr().out)["choices"]
    assert len(choices) == NUM_CHOICES[kind]
    for choice in choices:
        assert "arXiv:" in choice["summary"] or "doi:" in choice["summary"], choice["name"]
        assert "\n" not in choice["summary"]


def test_that_every_law_can_be_mixed_is_listed_with_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "noise"]) == 0
    assert "uniform_floor: 0.05" in capsys.readouterr().out
    assert spaces.SearchSpace.from_mapping({"uniform_floor": 0.05}).uniform_floor == 0.05


def test_laws_over_logsnr_are_listed_with_their_peaks(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "noise", "--json"]) == 0
    choices = {choice["name"]: choice for choice in json.loads(capsys.readouterr().out)["choices"]}
    peaks = {name: choice["peak"]["logsnr"] for name, choice in choices.items() if "peak" in choice}
    assert peaks == {
        **{"cosine": 0.0, "cosine_scaled": 0.0, "cosine_shifted": 2.0},
        **{"logsnr_cauchy": 0.0, "logsnr_laplace": 0.0},
    }
    assert cli.main(["list", "noise"]) == 0
    shown = capsys.readouterr().out
    assert "    peak at logSNR 2, sigma 0.184, at the defaults; open: " in shown
    assert "the paper's other formula has the peak at mu" in shown
    assert shown.count("    peak at logSNR 0, sigma 0.5, at the defaults\n") == 4


@pytest.mark.parametrize("kind", DRAWN)
def test_the_plot_has_a_tile_for_each_choice(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plot.png"
    assert cli.main(["list", kind, "--plot", str(path)]) == 0
    assert f"{NUM_CHOICES[kind]} {kind} in spaces/" in capsys.readouterr().out
    with Image.open(path) as image:
        assert image.format == "PNG"
        num_rows = -(-NUM_CHOICES[kind] // 3)
        assert image.size == (3 * 640, num_rows * (360 + 32))
        tiles = [
            image.crop((x, y, x + 640, y + 392)) for y in range(0, image.height, 392) for x in (0, 640, 1280)
        ]
    drawn = [len(tile.getcolors(1 << 20) or []) > 5 for tile in tiles]
    assert drawn == [True] * NUM_CHOICES[kind] + [False] * (len(tiles) - NUM_CHOICES[kind])


def test_what_has_no_density_is_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plot.png"
    assert cli.main(["list", "data", "--plot", str(path)]) == 2
    assert capsys.readouterr().err == "error: --plot draws noise, curricula, grids, presets, but not data\n"
    assert not path.exists()


def test_a_plot_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no" / "plot.png"
    assert cli.main(["list", "grids", "--plot", str(path)]) == 1
    assert capsys.readouterr().err == f"error: {path} cannot be written: No such file or directory\n"
