"""Images in one file that is mapped into memory: its pages are read when they are used, and shared by all processes.

The file has the safetensors format. Axes: N images, C channels, H height, W width.
"""

import json
import os
import secrets
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path

import numpy as np

from spaces.lazy_torch import Tensor

_TYPES = {"uint8": "U8", "float32": "F32", "int64": "I64"}


@dataclass(frozen=True)
class MappedTensor:
    """A tensor of such a file: what is sent to another process in its place. num_bytes: of the whole file."""

    path: str
    name: str
    num_bytes: int

    @classmethod
    def of(cls, path: Path, name: str) -> "MappedTensor":
        return cls(str(path), name, path.stat().st_size)

    def problem_here(self) -> str | None:
        """Why this machine cannot map it and what to do, None if it can: what stands behind the machine's name."""
        return _why_not_here(self)

    def open(self) -> Tensor:
        """The tensor, mapped. ValueError where this machine does not have the file."""
        problem = self.problem_here()
        if problem is not None:
            raise ValueError(f"{socket.gethostname()} {problem}")
        return mapped(Path(self.path))[self.name]


def _why_not_here(tensor: MappedTensor) -> str | None:
    try:
        found = Path(tensor.path).stat().st_size
    except OSError as error:
        reason = error.strerror
    else:
        if found == tensor.num_bytes:
            return None
        reason = f"they have {found} bytes, not {tensor.num_bytes}"
    return (
        f"cannot use the prepared images {tensor.path} ({reason}). So many are not sent: let all machines have one "
        "cache folder, at one path, and name it in SCHEDULE_SEARCH_CACHE"
    )


def mapped(path: Path) -> dict[str, Tensor]:
    """All tensors of the file. ValueError where it is no such file or is cut; OSError where there is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not whole: {error}") from error


@contextmanager
def written_file(folder: Path) -> Iterator[tuple[BufferedWriter, Path]]:
    """A file under a name that nobody looks for, to be renamed in the block; it is gone if that fails.

    An OSError names the file, also that of a full disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        with temporary.open("xb") as file:
            yield file, temporary
    except OSError as error:
        error.filename = error.filename or str(temporary)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_header(file: BufferedWriter, tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    """The head of a file with tensors of these types and shapes, whose bytes follow in this order, without gaps.

    The widest type goes first: then each begins at a multiple of its size.
    """
    header, start = {}, 0
    for name, (dtype, shape) in tensors.items():
        end = start + int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        header[name] = {"dtype": _TYPES[dtype], "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
