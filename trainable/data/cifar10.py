"""CIFAR-10: 50,000 + 10,000 colour photographs, 32x32."""

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from spaces.lazy_torch import Tensor, torch
from trainable.dataset import Dataset, Images
from trainable.download import Remote, download, file_sha256
from trainable.storage.path import expanded

# The binary version from the author's page: fixed-length records, nothing to unpickle. The page
# gives the MD5 c32a1d4ab5d03f1284b67883e8d87530.
URLS = ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",)
ARCHIVE = "cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
NUM_BYTES = 170052171
TRAIN = tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6))
TEST = ("cifar-10-batches-bin/test_batch.bin",)
RECORD = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes row by row
BATCH_RECORDS = 10000


@dataclass(frozen=True, kw_only=True)
class CIFAR10(Dataset):
    """50,000 colour photographs of ten things, 32x32, 10,000 held out (Krizhevsky 2009).

    root: a folder with cifar-10-binary.tar.gz; without it, it is downloaded once (170 MB) into
    `cifar-10` in the cache folder. Verified by SHA-256 either way, and read without being unpacked.
    """

    root: str | None = None

    EXTRACTOR: ClassVar[str] = "inception"
    PATHS: ClassVar[tuple[str, ...]] = ("root",)

    def downloads(self, cache_dir: Path) -> tuple[Remote, ...]:
        if self.root is not None:
            return ()
        return (Remote(URLS, cache_dir / "cifar-10" / ARCHIVE, SHA256, NUM_BYTES),)

    def load(self, cache_dir: Path) -> Images:
        """x_NCHW uint8 (50000, 3, 32, 32)."""
        if self.root is None:
            [path] = [download(*remote) for remote in self.downloads(cache_dir)]
        else:
            path = expanded(self.root) / ARCHIVE
            try:
                sha256 = file_sha256(path)
            except OSError as error:
                raise ValueError(
                    f"CIFAR-10's {ARCHIVE} cannot be read in {path.parent}: {error.strerror}. Leave out "
                    "`root` to download it."
                ) from error
            if sha256 != SHA256:
                raise ValueError(
                    f"{path} must be CIFAR-10's binary archive with SHA-256 {SHA256}, but has {sha256}. "
                    "Leave out `root` to download it."
                )
        batches: dict[str, bytes] = {}
        try:
            with tarfile.open(path, "r|gz") as archive:  # "|": one pass, seeking in gzip is slow
                for member in archive:
                    file = archive.extractfile(member) if member.name in (*TRAIN, *TEST) else None
                    if file is not None:
                        batches[member.name] = file.read(RECORD * BATCH_RECORDS + 1)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ValueError(f"{path} is not a whole tar.gz archive: {error}") from error
        x_NCHW, y_N = _images(path, batches, TRAIN)
        test_x_NCHW, test_y_N = _images(path, batches, TEST)
        return Images(name="cifar10", x_NCHW=x_NCHW, y_N=y_N, test_x_NCHW=test_x_NCHW, test_y_N=test_y_N)


def _images(path: Path, batches: dict[str, bytes], names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    for name in names:
        if len(batches.get(name, b"")) != RECORD * BATCH_RECORDS:
            raise ValueError(
                f"{path} must hold {RECORD * BATCH_RECORDS} bytes of {name}, but holds "
                f"{len(batches.get(name, b''))}"
            )
    # bytearray: torch wants memory that it may write to.
    data = torch.frombuffer(bytearray(b"".join(batches[name] for name in names)), dtype=torch.uint8)
    records = data.view(-1, RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32).contiguous(), records[:, 0].to(torch.int64)
