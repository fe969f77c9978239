"""Data sets: a contract for every class found, the real ones, and files that are not what they should be."""

import dataclasses
import gzip
import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
import torch

from search.contracts._promise import Promise
from search.contracts.data import PROMISES
from spaces.registry import summary_of
from tests.pictures import write_pictures
from trainable.data import cifar10, digits, fashion_mnist
from trainable.data._idx import TEST, TRAIN, read_idx
from trainable.dataset import DATASETS, Images, model_input, sha256_of
from trainable.extractor import EXTRACTORS

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "fashion-mnist"
ORIGINALS = dict(fashion_mnist.FILES)


def write_archive(path: Path, batches: dict[str, bytes]) -> None:
    """A tar.gz with these members, besides one that is of no interest."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {"cifar-10-batches-bin/readme.html": b"<html>", **batches}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@pytest.fixture
def small_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a made CIFAR-10 archive, 10 images a batch, taken for the original."""
    names = (*cifar10.TRAIN, *cifar10.TEST)
    # Image i of all has label i % 10 and the value i everywhere but in its first red and last blue pixel.
    records = [bytes([i % 10, 1]) + bytes([i]) * 3070 + b"\x02" for i in range(60)]
    batches = {name: b"".join(records[10 * i : 10 * i + 10]) for i, name in enumerate(names)}
    folder = tmp_path / "cifar"
    folder.mkdir()
    path = folder / cifar10.ARCHIVE
    write_archive(path, batches)
    monkeypatch.setattr(cifar10, "BATCH_RECORDS", 10)
    monkeypatch.setattr(cifar10, "NUM_BYTES", path.stat().st_size)
    monkeypatch.setattr(cifar10, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return folder


@pytest.fixture
def small_fashion(idx_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The made files, taken for the originals."""
    for path in idx_folder.iterdir():
        data = path.read_bytes()
        made = fashion_mnist.Original(len(data), "", hashlib.sha256(data).hexdigest())
        monkeypatch.setitem(fashion_mnist.FILES, path.name, made)
    return idx_folder


def options_for(name: str, folder: Path) -> dict[str, Any]:
    """Options with which the data set loads without a network."""
    if name == "image_folder":
        write_pictures(folder / "pictures")
        return {"name": name, "path": str(folder / "pictures")}
    if name == "arrays":
        np.save(folder / "x.npy", np.random.default_rng(0).integers(0, 256, (120, 8, 8, 3), dtype=np.uint8))
        return {"name": name, "path": str(folder / "x.npy")}
    if name == "hugging_face":
        return {"name": name, "path": str(folder)}
    has_root = "root" in (field.name for field in dataclasses.fields(DATASETS[name]))
    return {"name": name, "root": str(folder)} if has_root else {"name": name}


@pytest.mark.parametrize("name", list(DATASETS))
def test_every_data_set_loads_twice_the_same_and_fits_its_own_promises(
    name: str, small_fashion: Path, small_cifar: Path, hub: dict[str, Any], tmp_path: Path
) -> None:
    folder = small_cifar if name == "cifar10" else small_fashion
    dataset = DATASETS.build(options_for(name, folder))
    images, again = dataset.load(tmp_path), dataset.load(tmp_path)
    assert images.sha256 == again.sha256
    assert images.name == name
    x_NCHW = model_input(images.x_NCHW)
    assert x_NCHW.dtype == torch.float32
    assert x_NCHW.min() >= -1
    assert x_NCHW.max() <= 1
    assert images.image_shape == tuple(x_NCHW.shape[1:])
    assert type(dataset).EXTRACTOR in (None, *EXTRACTORS)
    glance = dataset.glance(tmp_path)
    assert (glance.image_shape, glance.has_labels) == (images.image_shape, images.y_N is not None)
    assert set(type(dataset).PATHS) <= {field.name for field in dataclasses.fields(dataset)}
    assert pickle.loads(pickle.dumps(dataset)) == dataset
    assert DATASETS.build(DATASETS.describe(dataset)) == dataset
    assert summary_of(type(dataset)).endswith((".", ")."))


def test_digits_are_the_1797_real_ones(tmp_path: Path) -> None:
    images = DATASETS.build("digits").load(tmp_path)
    assert images.x_NCHW.shape == (1797, 1, 8, 8)
    assert images.x_NCHW.min() == -1
    assert images.x_NCHW.max() == 1
    assert torch.bincount(images.y_N).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert images.test_x_NCHW is None
    assert not list(tmp_path.iterdir())  # nothing downloaded
    bunch = sklearn.datasets.load_digits()
    np.testing.assert_array_equal(images.x_NCHW[:, 0], bunch.images / 8 - 1)
    np.testing.assert_array_equal(images.y_N, bunch.target)


def test_altered_digits_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = digits.digits_table().copy()
    table[3, 29] += 1
    monkeypatch.setattr(digits, "digits_table", lambda: table)
    with pytest.raises(ValueError, match=r"digits must have SHA-256 49aad9.*Reinstall scikit-learn"):
        DATASETS.build("digits").load(tmp_path)


def test_fashion_mnist_from_a_folder(
    small_fashion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, shape, classes = small_fashion, (200, 1, 8, 8), 3
    if SHARED.exists():  # the real files, where a machine has them
        folder, shape, classes = SHARED, (60000, 1, 28, 28), 10
        monkeypatch.setattr(fashion_mnist, "FILES", ORIGINALS)
    images = DATASETS.build({"name": "fashion_mnist", "root": str(folder)}).load(tmp_path)
    assert images.x_NCHW.shape == shape
    assert images.x_NCHW.dtype == torch.uint8
    assert images.y_N is not None
    assert images.test_y_N is not None
    assert images.test_x_NCHW is not None
    assert len(torch.bincount(images.y_N)) == classes
    if folder == SHARED:
        assert torch.bincount(images.y_N).tolist() == [6000] * 10
        assert len(images.test_x_NCHW) == 10000
        # The labels' names in order begin: T-shirt, trouser, pullover ...; the first image is a boot.
        assert images.y_N[:3].tolist() == [9, 0, 0]


def test_fashion_mnist_is_downloaded_once_then_read(
    small_fashion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Any]
) -> None:
    def send(request: Any) -> None:
        data = (small_fashion / request.path.rpartition("/")[2]).read_bytes()
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    server = serve(send)
    monkeypatch.setattr(fashion_mnist, "URLS", (server.url.replace("file.bin", "{name}"),))
    dataset = DATASETS.build("fashion_mnist")
    first, second = dataset.load(tmp_path), dataset.load(tmp_path)
    assert first.sha256 == second.sha256
    assert len(server.ranges) == 4
    assert sorted(path.name for path in (tmp_path / "fashion-mnist").iterdir()) == sorted(ORIGINALS)


def test_cifar10_is_read_from_its_archive_without_unpacking(small_cifar: Path, tmp_path: Path) -> None:
    images = DATASETS.build({"name": "cifar10", "root": str(small_cifar)}).load(tmp_path)
    assert images.x_NCHW.shape == (50, 3, 32, 32)
    assert images.y_N is not None
    assert images.y_N.tolist() == [i % 10 for i in range(50)]
    assert images.x_NCHW[7, 0, 0, 0] == 1
    assert images.x_NCHW[7, 2, 31, 31] == 2
    assert images.x_NCHW[7, 1].unique().tolist() == [7]
    assert images.test_x_NCHW is not None
    assert images.test_x_NCHW[3, 1].unique().tolist() == [53]
    assert [path.name for path in small_cifar.iterdir()] == [cifar10.ARCHIVE]


@pytest.mark.parametrize(
    ("batches", "message"),
    [({}, "must hold 30730 bytes of .*data_batch_1.bin, but holds 0"), (None, "not a whole tar.gz archive")],
)
def test_a_cifar10_archive_with_other_content_is_one_clear_error(
    batches: dict[str, bytes] | None,
    message: str,
    small_cifar: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = small_cifar / cifar10.ARCHIVE
    if batches is None:
        path.write_bytes(path.read_bytes()[:200])
    else:
        write_archive(path, batches)
    dataset = DATASETS.build({"name": "cifar10", "root": str(small_cifar)})
    with pytest.raises(ValueError, match=r"must be CIFAR-10's binary archive with SHA-256"):
        dataset.load(tmp_path)
    monkeypatch.setattr(cifar10, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ValueError, match=message):
        dataset.load(tmp_path)


def test_other_files_are_not_called_fashion_mnist(idx_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be Fashion-MNIST's original .* Leave out `root`"):
        DATASETS.build({"name": "fashion_mnist", "root": str(idx_folder)}).load(tmp_path)


def test_a_missing_folder_is_named_with_the_remedy(tmp_path: Path) -> None:
    dataset = DATASETS.build({"name": "fashion_mnist", "root": str(tmp_path / "nowhere")})
    with pytest.raises(ValueError, match=r"train-images.* cannot be read in .*nowhere.*Leave out `root`"):
        dataset.load(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with nothing"),
        (b"\0\0\x08\x01" + bytes(10), "begins with 00 00 08 01, not 00 00 08 03"),
        (b"\0\0\x0d\x03" + bytes(12), "not an idx file of unsigned bytes"),
        (b"\0\0\x08\x03" + bytes(4), "not an idx file"),
        (b"\0\0\x08\x03" + b"\0\0\0\2" * 3 + bytes(7), "must hold 2x2x2 bytes after its header, but holds 7"),
        (b"\0\0\x08\x03" + b"\0\0\0\2" * 3 + bytes(9), "but holds 9"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "but holds 0"),
    ],
)
def test_a_garbled_idx_file_is_one_clear_error(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(data))
    with pytest.raises(ValueError, match=message) as raised:
        read_idx(path, num_axes=3)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("damage", ["truncate", "flip", "plain"])
def test_a_damaged_gzip_file_is_one_clear_error(damage: str, idx_folder: Path) -> None:
    path = idx_folder / TRAIN[0]
    data = bytearray(path.read_bytes())
    if damage == "truncate":
        data = data[:-20]
    elif damage == "flip":
        data[len(data) // 2] ^= 16
    else:
        data = bytearray(b"<html>not found</html>")
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"{TRAIN[0]} is not a whole gzip file"):
        read_idx(path, num_axes=3)


def test_images_and_labels_must_be_of_one_length(idx_folder: Path, tmp_path: Path) -> None:
    (idx_folder / TEST[1]).write_bytes((idx_folder / TRAIN[1]).read_bytes())
    with pytest.raises(ValueError, match="must be of one length, but have 50 images and 200 labels"):
        DATASETS.build({"name": "idx_folder", "root": str(idx_folder)}).load(tmp_path)


def test_model_input_maps_bytes_to_the_ends_of_the_range() -> None:
    x_NCHW = model_input(torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1))
    assert x_NCHW.flatten().tolist() == pytest.approx([-1, -0.6, 1])
    assert model_input(x_NCHW) is x_NCHW


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"x_NCHW": torch.zeros(5, 8, 8)}, r"must be \(N, C, H, W\)"),
        ({"x_NCHW": torch.zeros(1, 1, 8, 8)}, "at least 2 images"),
        ({"x_NCHW": torch.zeros(5, 1, 8, 8, dtype=torch.float64)}, "must be uint8 or float32"),
        ({"x_NCHW": torch.full((5, 1, 8, 8), 16.0)}, r"must lie in \[-1, 1\], but goes from 16 to 16"),
        ({"x_NCHW": torch.full((5, 1, 8, 8), torch.nan)}, r"must lie in \[-1, 1\]"),
        ({"y_N": torch.zeros(4, dtype=torch.int64)}, r"must be int64 of shape \(5,\)"),
        ({"y_N": torch.zeros(5)}, "but got torch.float32"),
        ({"test_x_NCHW": torch.zeros(5, 1, 4, 4)}, "must have one shape"),
    ],
)
def test_images_that_break_the_contract_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Images(**{"name": "mine", "x_NCHW": torch.zeros(5, 1, 8, 8), **fields})


def test_checksum_sees_every_tensor_type_and_shape() -> None:
    x = torch.arange(4, dtype=torch.uint8)
    seen = {
        sha256_of(x, None),
        sha256_of(None, x),
        sha256_of(x),
        sha256_of(x.view(2, 2)),
        sha256_of(x.to(torch.int64)),
        sha256_of(x.flip(0)),
    }
    assert len(seen) == 6
    assert sha256_of(x[::2]) == sha256_of(x[::2].contiguous())


def test_options_are_strict() -> None:
    with pytest.raises(ValueError, match="split"):
        DATASETS.build({"name": "digits", "split": "train"})
    with pytest.raises(ValueError, match="root"):
        DATASETS.build({"name": "fashion_mnist", "root": 3})
    with pytest.raises(ValueError, match=r"Unknown data set 'mnist'. Known: .*digits.* trainable/data/"):
        DATASETS.build("mnist")


@pytest.mark.parametrize("promise", PROMISES)
@pytest.mark.parametrize("name", list(DATASETS))
def test_a_data_set_keeps_what_data_sets_keep(name: str, promise: Promise):
    promise(name)
