"""The idx format of MNIST (LeCun), gzipped, read strictly.

Header: two zero bytes, the type (8: unsigned byte), the number of axes, then each axis as a
big-endian 32-bit integer; then the bytes.
"""

import gzip
import math
import zlib
from pathlib import Path

from spaces.lazy_torch import Tensor, torch
from trainable.dataset import Images

MAX_BYTES = 1 << 30  # decoded; more than any data set of this kind, less than a gzip bomb
TRAIN = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def read_idx(path: Path, num_axes: int) -> Tensor:
    """The uint8 tensor in a gzipped idx file. ValueError with one line for anything else."""
    try:
        with gzip.open(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ValueError(f"{path.name} not found in {path.parent}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from error
    header = 4 + 4 * num_axes
    if data[:4] != bytes((0, 0, 8, num_axes)) or len(data) < header:
        raise ValueError(
            f"{path} is not an idx file of unsigned bytes with {num_axes} axes: it begins with "
            f"{data[:4].hex(' ') or 'nothing'}, not 00 00 08 {num_axes:02x}"
        )
    shape = [int.from_bytes(data[i : i + 4], "big") for i in range(4, header, 4)]
    if math.prod(shape) != len(data) - header:
        size = "x".join(map(str, shape))
        raise ValueError(f"{path} must hold {size} bytes after its header, but holds {len(data) - header}")
    # bytearray: torch wants memory that it may write to.
    return torch.frombuffer(bytearray(data[header:]), dtype=torch.uint8).view(shape)


def read_pair(folder: Path, names: tuple[str, str]) -> tuple[Tensor, Tensor]:
    """Images (N, 1, H, W) uint8 and labels (N,) int64 of one split."""
    images_path, labels_path = (folder / name for name in names)
    x_NCHW, y_N = read_idx(images_path, num_axes=3)[:, None], read_idx(labels_path, num_axes=1)
    if len(x_NCHW) != len(y_N):
        raise ValueError(
            f"{images_path} and {labels_path.name} must be of one length, but have {len(x_NCHW)} images "
            f"and {len(y_N)} labels"
        )
    return x_NCHW, y_N.to(torch.int64)


def read_folder(name: str, folder: Path) -> Images:
    """The four files of an MNIST-like data set as the data set `name`."""
    x_NCHW, y_N = read_pair(folder, TRAIN)
    test_x_NCHW, test_y_N = read_pair(folder, TEST)
    return Images(name=name, x_NCHW=x_NCHW, y_N=y_N, test_x_NCHW=test_x_NCHW, test_y_N=test_y_N)
