"""Data sets of the real library `datasets`, of each kind of file: the images and labels that were written."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.pictures import write_pictures
from trainable.dataset import DATASETS

pytestmark = pytest.mark.conformance("datasets", "images and labels of each kind of file")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures" / "train")
    return tmp_path


def written(datasets: Any, folder: Path, kind: str) -> Path:
    """The pictures as a file or folder of that kind."""
    paths = sorted((folder / "pictures").rglob("*.png"))
    columns = {
        "picture": [Image.open(io.BytesIO(path.read_bytes())) for path in paths],
        "kind": [int(path.parent.name[-1]) for path in paths],
    }
    features = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["a", "b"])})
    table = datasets.Dataset.from_dict(columns, features=features)
    match kind:
        case "parquet":
            table.to_parquet(str(folder / "x.parquet"))
            return folder / "x.parquet"
        case "parquet_folder":
            (folder / "tables").mkdir()
            table.to_parquet(str(folder / "tables" / "train-00000-of-00001.parquet"))
            return folder / "tables"
        case "saved" | "arrow":
            table.save_to_disk(str(folder / "saved"))
            return folder / "saved" if kind == "saved" else next((folder / "saved").glob("*.arrow"))
        case "saved_splits":
            datasets.DatasetDict(train=table).save_to_disk(str(folder / "splits"))
            return folder / "splits"
    return folder / "pictures"


@pytest.mark.parametrize("kind", ["parquet", "parquet_folder", "saved", "arrow", "saved_splits", "pictures"])
def test_each_kind_of_file_gives_the_same_images(datasets: Any, folder: Path, kind: str) -> None:
    expected = DATASETS.build({"name": "image_folder", "path": str(folder / "pictures")}).load(folder / "a")
    options = {"name": "hugging_face", "path": str(written(datasets, folder, kind))}
    images = DATASETS.build(options).load(folder / "b")
    assert torch.equal(images.x_NCHW, expected.x_NCHW)
    assert images.y_N is not None
    assert expected.y_N is not None
    assert torch.equal(images.y_N, expected.y_N)
    assert DATASETS.build(options).load(folder / "b").sha256 == images.sha256


def test_a_hub_that_is_not_reached_is_one_line(datasets: Any, tmp_path: Path) -> None:
    dataset = DATASETS.build({"name": "hugging_face", "repo": "some/images", "revision": "0123abcd"})
    with pytest.raises(
        ValueError, match=r"some/images at 0123abcd cannot be read by `datasets` \("
    ) as raised:
        dataset.load(tmp_path)
    assert "\n" not in str(raised.value)
