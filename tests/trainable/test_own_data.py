"""Data of a user's own: what is read, what is refused and by which line, and what is kept."""

import io
import json
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.pictures import write_pictures
from trainable.data import _prepared
from trainable.data._picture import Fit, pixels
from trainable.dataset import DATASETS, Images, model_input
from trainable.extractors.pixels import Pixels
from trainable.extractors.small_cnn import SmallCNN
from trainable.metric.assets import prepare
from trainable.metric.frechet import GaussianStats


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with 120 RGB pictures of 8x8, in two classes."""
    write_pictures(tmp_path / "pictures")
    return tmp_path / "pictures"


def loaded(cache: Path, **options: Any) -> Images:
    return DATASETS.build({"name": "image_folder", **options}).load(cache)


def refused(cache: Path, **options: Any) -> str:
    """The one line with which the data is refused."""
    with pytest.raises(ValueError) as raised:
        loaded(cache, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def read(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)


# --- a folder or a .zip of pictures ---------------------------------------------------------------


def test_pictures_in_sub_folders_are_read_as_they_are_with_labels(pictures: Path, tmp_path: Path) -> None:
    (pictures / "notes.txt").write_text("not a picture")
    (pictures / ".hidden.png").write_text("nor this")
    images = loaded(tmp_path, path=str(pictures))
    files = sorted(pictures.rglob("0*.png"))
    assert torch.equal(images.x_NCHW, torch.stack([read(path) for path in files]))
    assert images.y_N is not None
    assert images.y_N.tolist() == [int(path.parent.name[-1]) for path in files]


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg", "JPEG"])
def test_each_format_is_read(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for index in range(100):
        kind = {"jpg": "JPEG"}.get(suffix, suffix.upper())
        picture = Image.new("L", (8, 8), index)
        picture.save(
            tmp_path / "x" / f"{index:03d}.{suffix}", kind, **({"lossless": True} if kind == "WEBP" else {})
        )
    images = loaded(tmp_path, path=str(tmp_path / "x"), color="grey")
    assert images.image_shape == (1, 8, 8)
    assert images.y_N is None
    assert (images.x_NCHW[:, 0, 0, 0].int() - torch.arange(100)).abs().max() <= 1


def test_a_zip_of_edms_dataset_tool_is_read_with_its_labels(pictures: Path, tmp_path: Path) -> None:
    files = sorted(pictures.rglob("*.png"))
    names = [f"{index // 100:05d}/img{index:08d}.png" for index in range(len(files))]
    labels: dict[str, Any] = {"labels": [[name, index % 5] for index, name in enumerate(names)]}
    path = tmp_path / "edm.zip"

    def write(text: str) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for file, name in zip(files, names, strict=True):
                archive.write(file, name)
            archive.writestr("dataset.json", text)

    write(json.dumps(labels))
    images = loaded(tmp_path, path=str(path))
    assert images.y_N is not None
    assert images.y_N.tolist() == [index % 5 for index in range(len(files))]
    assert torch.equal(images.x_NCHW, loaded(tmp_path, path=str(pictures)).x_NCHW)
    write(json.dumps({"labels": None}))
    assert loaded(tmp_path, path=str(path)).y_N is None
    labels["labels"].pop()
    write(json.dumps(labels))
    line = refused(tmp_path, path=str(path))
    assert (
        "edm.zip: dataset.json must give each picture a whole number from 0 on, but 00001/img00000119.png"
        in line
    )
    write("[]")
    assert "edm.zip: dataset.json must hold" in refused(tmp_path, path=str(path))


def test_names_in_a_zip_may_begin_with_the_folder_itself_and_damage_is_named(
    pictures: Path, tmp_path: Path
) -> None:
    path, files = tmp_path / "dots.zip", sorted(pictures.rglob("*.png"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, file in enumerate(files):
            archive.write(file, f"./{number:04}.png")
    assert len(loaded(tmp_path, path=str(path)).x_NCHW) == len(files)
    with zipfile.ZipFile(path) as archive:
        info = archive.infolist()[3]
    content = bytearray(path.read_bytes())
    at = info.header_offset + 30 + len(info.filename)
    content[at : at + 12] = b"\xff" * 12
    path.write_bytes(content)
    assert f"dots.zip: {info.filename} cannot be read" in refused(tmp_path / "other", path=str(path))


def test_pictures_that_lie_beside_folders_or_in_one_have_no_labels(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "one" / "all").mkdir(parents=True)
    for path in pictures.rglob("*.png"):
        (tmp_path / "one" / "all" / path.name).write_bytes(path.read_bytes())
    assert loaded(tmp_path, path=str(tmp_path / "one")).y_N is None
    (pictures / "stray.png").write_bytes(next(pictures.rglob("*.png")).read_bytes())
    assert loaded(tmp_path, path=str(pictures)).y_N is None


def test_the_centre_is_cropped_and_made_smaller_without_aliasing() -> None:
    # Stripes of one pixel, finer than the small picture can have: their mean is what is left.
    stripes = np.zeros((64, 96, 3), np.uint8)
    stripes[:, ::2] = 255
    stripes[:, :16], stripes[:, -16:] = (255, 0, 0), (255, 0, 0)  # outside the centre
    small = pixels(png(stripes), Fit(size=8))
    assert small.shape == (8, 8, 3)
    assert np.abs(small[:, 2:-2].astype(int) - 127).max() <= 2


def png(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    return file_of(Image.fromarray(array), "PNG", **options)


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_photograph_is_turned_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    picture = Image.new("L", (12, 8), 0)
    picture.paste(255, (0, 0, 12, 1))  # its first row is the last column
    array = pixels(file_of(picture, "PNG", exif=exif), Fit())
    assert array.shape == (12, 8, 1)
    assert array[:, -1].min() == 255
    assert array[:, :-1].max() == 0


def rgba(alpha: int) -> Image.Image:
    return Image.new("RGBA", (8, 8), (10, 20, 30, alpha))


ANIMATED = {"save_all": True, "append_images": [Image.new("RGB", (8, 8), "red")], "lossless": True}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.png", b"not a picture", "is no PNG, JPEG or WebP picture. Remove it, or save it as one"),
        ("a.png", file_of(Image.new("RGB", (8, 8)), "PNG")[:45], "is broken ("),
        ("a.png", file_of(Image.new("I;16", (8, 8)), "PNG"), "has 16 bits a value"),
        (
            "a.png",
            file_of(Image.new("P", (8, 8)), "PNG"),
            "has a palette, but grey or RGB is needed. Set `color: rgb`",
        ),
        (
            "a.png",
            file_of(rgba(255), "PNG"),
            "has an alpha channel, but grey or RGB is needed. Set `color: rgb`",
        ),
        ("a.png", file_of(rgba(9), "PNG"), "is transparent in parts. Put it on a background first"),
        (
            "a.jpg",
            file_of(Image.new("CMYK", (8, 8)), "JPEG"),
            "is CMYK, but grey or RGB is needed. Set `color: rgb`",
        ),
        (
            "a.webp",
            file_of(Image.new("RGB", (8, 8)), "WEBP", **ANIMATED),
            "is animated (2 frames). Save one of them",
        ),
        ("a.png", file_of(Image.new("L", (8, 8)), "PNG"), "is grey, but "),
        ("a.png", file_of(Image.new("RGB", (9, 8)), "PNG"), "is 9x8, but "),
        ("a.gif", b"GIF89a", "cannot be used: PNG, JPEG and WebP are read. Convert or remove it"),
        ("a.tiff", b"", "cannot be used: PNG, JPEG and WebP are read"),
    ],
)
def test_a_picture_that_cannot_be_used_is_named_with_the_remedy(
    name: str, data: bytes, message: str, pictures: Path, tmp_path: Path
) -> None:
    bad = pictures / "class1" / name
    bad.write_bytes(data)
    line = refused(tmp_path / "cache", path=str(pictures))
    assert line.startswith(f"{bad} {message}")
    assert not list((tmp_path / "cache").rglob("*.json"))
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def test_sixteen_bits_of_three_channels_are_not_cut_in_silence(pictures: Path, tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)  # 8x8, 16 bits, RGB
    rows = zlib.compress((b"\0" + bytes(8 * 3 * 2)) * 8)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert Image.open(io.BytesIO(data)).mode == "RGB"  # Pillow does not tell
    (pictures / "class1" / "deep.png").write_bytes(data)
    assert "deep.png has 16 bits a value" in refused(tmp_path, path=str(pictures))


def test_of_many_bad_pictures_the_first_is_named_with_their_number(pictures: Path, tmp_path: Path) -> None:
    for index in (3, 5, 7):
        (pictures / "class1" / f"{index:04d}.png").write_bytes(b"")
    line = refused(tmp_path, path=str(pictures))
    assert "class1/0003.png is no PNG" in line
    assert line.endswith("It is the first of 3 pictures that cannot be used")


def test_a_color_converts_every_kind_that_has_no_transparency(pictures: Path, tmp_path: Path) -> None:
    for name, image in {
        "grey": Image.new("L", (8, 8), 40),
        "palette": Image.new("RGB", (8, 8), (40, 40, 40)).quantize(4),
        "opaque": Image.new("RGBA", (8, 8), (40, 40, 40, 255)),
        "cmyk": Image.new("CMYK", (8, 8), (0, 0, 0, 215)),
    }.items():
        image.save(pictures / f"{name}.{'jpg' if name == 'cmyk' else 'png'}")
    rgb = loaded(tmp_path, path=str(pictures), color="rgb")
    assert rgb.image_shape == (3, 8, 8)
    assert len(rgb.x_NCHW) == 124
    assert (rgb.x_NCHW[120:].int() - 40).abs().max() <= 2
    assert loaded(tmp_path, path=str(pictures), color="grey").image_shape == (1, 8, 8)


def test_a_size_makes_pictures_of_all_sizes_one_and_enlarges_none(pictures: Path, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(pictures / "large.png")
    assert loaded(tmp_path, path=str(pictures), size=4).image_shape == (3, 4, 4)
    line = refused(tmp_path, path=str(pictures), size=16)
    assert "0000.png is 8x8, smaller than size=16. Lower `size`, or remove it" in line


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "is not on "),
        (lambda path: path.mkdir(), "has no pictures in it: PNG, JPEG and WebP are read"),
        (lambda path: path.write_bytes(b"PK"), "is neither a folder nor a whole .zip file"),
        (
            lambda path: write_pictures(path, num=99),
            "has 99 images, but the distance needs at least 100 real ones",
        ),
    ],
)
def test_a_place_without_enough_pictures_is_named(
    make: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "place"
    make(path)
    assert refused(tmp_path, path=str(path)).startswith(f"{path} {message}")


def test_a_picture_that_cannot_be_opened_is_named(pictures: Path, tmp_path: Path) -> None:
    path = tmp_path / "locked.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(pictures.rglob("*.png")):
            archive.write(file, file.name)
    data = bytearray(path.read_bytes())
    data[60] ^= 255  # in the first picture
    path.write_bytes(data)
    assert refused(tmp_path, path=str(path)).startswith(f"{path}: 0000.png cannot be read: Bad CRC-32")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"held_out": 0.95}, "`0 <= held_out <= 0.9` must hold"),
        ({"size": 2}, "`4 <= size <= 1024` must hold"),
        ({"color": "red"}, "color"),
        ({"flip": True}, "flip"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DATASETS.build({"name": "image_folder", "path": "x", **options})


# --- what is held out, and what is kept -----------------------------------------------------------


def test_held_out_pictures_are_not_learnt_from_and_are_the_reference(pictures: Path, tmp_path: Path) -> None:
    write_pictures(pictures, num=600)
    every = loaded(tmp_path, path=str(pictures))
    images = loaded(tmp_path, path=str(pictures), held_out=0.25)
    assert images.test_x_NCHW is not None
    assert (len(images.x_NCHW), len(images.test_x_NCHW)) == (450, 150)
    together = torch.cat([images.x_NCHW, images.test_x_NCHW]).flatten(1)
    assert len(torch.unique(together, dim=0)) == len(torch.unique(every.x_NCHW.flatten(1), dim=0)) == 600
    dataset = DATASETS.build({"name": "image_folder", "path": str(pictures), "held_out": 0.25})
    assets = prepare(dataset, Pixels(), tmp_path)
    assert torch.equal(assets.images_NCHW, images.x_NCHW)
    expected = GaussianStats.of(model_input(images.test_x_NCHW).flatten(1))
    assert torch.equal(assets.reference.covariance_DD, expected.covariance_DD)
    assert assets.reference.n == 150
    line = refused(tmp_path, path=str(pictures), held_out=0.1)
    assert "has 600 images, of which held_out=0.1 leaves 60, but the distance needs at least 100" in line


def test_labels_of_sub_folders_train_a_feature_network(pictures: Path, tmp_path: Path) -> None:
    write_pictures(pictures, num=400)
    dataset = DATASETS.build({"name": "image_folder", "path": str(pictures)})
    assets = prepare(dataset, SmallCNN(width=4, epochs=10, batch_size=20), tmp_path)
    assert assets.extractor_accuracy == 1.0


def test_what_is_prepared_is_kept_until_the_pictures_change(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = loaded(tmp_path, path=str(pictures))
    with monkeypatch.context() as patch:
        patch.setattr(_prepared, "write", lambda *_: pytest.fail("made again"))
        assert loaded(tmp_path, path=str(pictures)).sha256 == first.sha256
    (pictures / "class0" / "0000.png").write_bytes((pictures / "class0" / "0002.png").read_bytes())
    second = loaded(tmp_path, path=str(pictures))
    assert second.sha256 != first.sha256
    assert torch.equal(second.x_NCHW[0], first.x_NCHW[1])
    moved = pictures.rename(tmp_path / "moved")  # equal content elsewhere is the same file, and the same data
    assert loaded(tmp_path, path=str(moved)).sha256 == second.sha256
    assert len(list((tmp_path / "prepared").glob("*.safetensors"))) == 2


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "sidecar"])
def test_damaged_prepared_images_are_noticed_and_made_again(
    damage: str, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = loaded(tmp_path, path=str(pictures))
    [file], [sidecar] = ((tmp_path / "prepared").glob(f"*.{suffix}") for suffix in ("safetensors", "json"))
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    match damage:
        case "flip":
            file.write_bytes(data)
        case "cut":
            file.write_bytes(data[:-9])
        case "remove":
            file.unlink()
        case _:
            sidecar.write_text("{")
    assert loaded(tmp_path, path=str(pictures)).sha256 == first.sha256
    assert ("made again" in caplog.text) == (damage != "remove")
    caplog.clear()
    loaded(tmp_path, path=str(pictures))
    assert not caplog.records


def test_images_that_are_many_are_mapped_and_never_sent(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = prepare(DATASETS.build({"name": "image_folder", "path": str(pictures)}), Pixels(), tmp_path)
    monkeypatch.setattr(_prepared, "HELD_BYTES", 1000)
    assets = prepare(
        DATASETS.build({"name": "image_folder", "path": str(pictures)}), Pixels(), tmp_path / "b"
    )
    assert assets.images_file is not None
    sent = pickle.dumps(assets)
    assert len(pickle.dumps(held)) - len(sent) > assets.images_NCHW.nbytes / 2
    there = pickle.loads(sent)
    assert "images_NCHW" not in vars(there)
    assert torch.equal(there.images_NCHW, held.images_NCHW)
    assert torch.equal(there.reference.covariance_DD, held.reference.covariance_DD)
    path = Path(assets.images_file.path)
    path.rename(path.with_suffix(".away"))
    with pytest.raises(
        ValueError, match=r"cannot use the prepared images .* \(No such file.*SCHEDULE_SEARCH_CACHE"
    ):
        _ = pickle.loads(sent).images_NCHW
    path.write_bytes(b"other")
    assert "they have 5 bytes, not" in str(assets.images_file.problem_here())


def test_a_reference_of_many_images_is_made_of_parts(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = DATASETS.build({"name": "image_folder", "path": str(pictures)})
    whole = prepare(dataset, Pixels(), tmp_path).reference
    monkeypatch.setattr("trainable.metric.assets.PART", 50)
    parts = prepare(dataset, Pixels(), tmp_path / "b").reference
    assert parts.n == whole.n == 120
    torch.testing.assert_close(parts.mean_D, whole.mean_D)
    torch.testing.assert_close(parts.covariance_DD, whole.covariance_DD)


# --- numpy arrays ---------------------------------------------------------------------------------


def arrays(path: Path, **options: Any) -> Images:
    return DATASETS.build({"name": "arrays", "path": str(path), **options}).load(path.parent / "cache")


X = np.random.default_rng(0).integers(0, 256, (120, 8, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("array", "options", "shape"),
    [
        (X, {}, (3, 8, 6)),
        (X.transpose(0, 3, 1, 2), {}, (3, 8, 6)),
        (X[..., 0], {}, (1, 8, 6)),
        (X[:, :3, :, :], {"layout": "NHWC"}, (3, 3, 6)),
        (X[:, :3, :, :], {"layout": "NCHW"}, (3, 6, 3)),
    ],
)
def test_an_array_of_any_layout_becomes_channels_first(
    array: np.ndarray[Any, Any], options: dict[str, Any], shape: tuple[int, ...], tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", array)
    images = arrays(tmp_path / "x.npy", **options)
    assert images.image_shape == shape
    expected = array[:, None] if array.ndim == 3 else array
    if shape[0] != expected.shape[1] or options.get("layout") == "NHWC":
        expected = expected.transpose(0, 3, 1, 2)
    assert np.array_equal(images.x_NCHW.numpy(), expected)


def test_floats_keep_their_precision_in_the_range_that_is_stated(tmp_path: Path) -> None:
    x_NHW = np.random.default_rng(0).uniform(2, 5, (120, 8, 8))
    x_NHW[0, 0, 0], x_NHW[0, 0, 1] = 2, 5
    np.savez(tmp_path / "x.npz", x=x_NHW, y=np.arange(120) % 3)
    images = arrays(tmp_path / "x.npz", key="x", labels="y", range=[2, 5])
    assert images.x_NCHW.dtype == torch.float32
    assert (images.x_NCHW[0, 0, 0, :2].tolist(), images.x_NCHW.abs().max().item()) == ([-1, 1], 1)
    np.testing.assert_allclose(images.x_NCHW[:, 0].numpy(), (x_NHW - 3.5) / 1.5, atol=1e-7)
    assert images.y_N is not None
    assert images.y_N[:4].tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ({"x": X}, {"range": [0, 255]}, "has uint8, for which `range` has no effect. Leave it out"),
        ({"x": X / 255}, {}, "has values of type float64, whose range cannot be guessed. Set `range`"),
        ({"x": X / 100}, {"range": [0, 1]}, "image 0 goes from"),
        ({"x": np.full((120, 8, 8), np.nan)}, {"range": [0, 1]}, "image 0 goes from nan to nan"),
        ({"x": X.astype("U")}, {}, "has values of type <U3. Write it as uint8"),
        ({"x": X, "z": X}, {}, "has 2 arrays that may be the images: x, z. Set `key` to one"),
        ({"x": X}, {"key": "q"}, "has no array 'q'. It has: x"),
        ({"x": X[:, :3]}, {}, "does not tell its layout. Set `layout` to NHWC, NCHW or NHW"),
        ({"x": X}, {"layout": "NHW"}, "which is no NHW. Set `layout`"),
        (
            {"x": X, "y": np.zeros(7, int)},
            {"key": "x", "labels": "y"},
            "labels must be 120 whole numbers from 0 on",
        ),
        ({"x": X, "y": -np.ones(120, int)}, {"key": "x", "labels": "y"}, "labels must be 120 whole numbers"),
        (
            {"x": X, "y": np.full(120, 2**64 - 1, np.uint64)},
            {"key": "x", "labels": "y"},
            "labels must be 120 whole numbers",
        ),
        (
            {"x": np.array([object()])},
            {},
            "cannot be read as a numpy file: it is cut, or holds no plain array",
        ),
        ({"x": X[:50]}, {}, "has 50 images, but the distance needs at least 100 real ones"),
    ],
)
def test_an_array_that_cannot_be_used_is_named_with_the_remedy(
    content: dict[str, Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **content)
    with pytest.raises(ValueError) as raised:
        arrays(path, **options)
    assert str(raised.value).startswith(str(path))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    for name, content in {"x.npy": b"", "y.npy": b"\x93NUMPY", "z.npz": b"PK\3\4"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} cannot be read as a numpy file"):
            arrays(tmp_path / name)
    np.savez_compressed(tmp_path / "w.npz", X)
    whole = (tmp_path / "w.npz").read_bytes()
    (tmp_path / "w.npz").write_bytes(whole[:100] + b"\xff" * 60 + whole[160:])
    with pytest.raises(ValueError, match=r"w\.npz cannot be read as a numpy file"):
        arrays(tmp_path / "w.npz")
    np.save(tmp_path / "one.npy", X)
    with pytest.raises(ValueError, match="is one array, without `key` and `labels`"):
        arrays(tmp_path / "one.npy", key="x")
    with pytest.raises(ValueError, match=r"range\[0\] < range\[1\]"):
        arrays(tmp_path / "one.npy", range=[1, 0])


# --- Hugging Face ---------------------------------------------------------------------------------


def table(tmp_path: Path, **options: Any) -> Images:
    return DATASETS.build({"name": "hugging_face", **options}).load(tmp_path / "cache")


def test_a_table_is_asked_for_in_the_way_its_place_wants(hub: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "x.parquet").touch()
    images = table(tmp_path, path=str(tmp_path / "x.parquet"), split="test")
    assert (len(images.x_NCHW), images.image_shape) == (120, (3, 8, 8))
    assert images.y_N is not None
    assert images.y_N.bincount().tolist() == [60, 60]
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").touch()
    table(tmp_path, path=str(tmp_path / "saved"))
    table(tmp_path, repo="some/images", revision="0123abcd", subset="small")
    cache = {"cache_dir": str(tmp_path / "cache" / "hugging-face")}
    assert hub["asked"] == [
        (("parquet",), {"data_files": {"test": str(tmp_path / "x.parquet")}, "split": "test", **cache}),
        ((str(tmp_path / "saved"),), {}),
        (("some/images", "small"), {"split": "train", "revision": "0123abcd", **cache}),
    ]


def test_a_table_that_cannot_be_used_is_one_line(hub: dict[str, Any], tmp_path: Path) -> None:
    here = str(tmp_path)
    with pytest.raises(ValueError, match=r"has no column 'q'\. Set `image` to one of image, label"):
        table(tmp_path, path=here, image="q")
    hub["table"][7]["image"] = None
    with pytest.raises(ValueError, match=f"{here}: image 7 cannot be read: there is none in this row"):
        table(tmp_path, path=here)
    hub["table"][3]["label"] = None
    with pytest.raises(
        ValueError, match="labels must be whole numbers from 0 on, but row 3 of 'label' has None"
    ):
        table(tmp_path, path=here)
    hub["table"].features["image"] = object()
    with pytest.raises(ValueError, match=r"has 0 columns of images\. Set `image` to one of image, label"):
        table(tmp_path, path=here)
    hub["table"] = RuntimeError("two\nlines")
    with pytest.raises(ValueError, match=r"cannot be read by `datasets` \(RuntimeError: two lines\)"):
        table(tmp_path, path=here)


def test_a_table_needs_the_library_and_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"needs the library datasets.*pip install .*\[data\]"):
        table(tmp_path, path=str(tmp_path))
    for options in ({}, {"path": "x", "repo": "y", "revision": "z"}):
        with pytest.raises(ValueError, match="one of `path` and `repo` must be given"):
            table(tmp_path, **options)
    with pytest.raises(ValueError, match="`repo` and `revision` must be given together"):
        table(tmp_path, repo="x")
