"""What a cluster gets of this checkout, by `submit` and by `run --address` alike: a small zip, its commit in it."""

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from search.errors import OperationFailed
from search.machine.checkout import MARKER, PACKAGES, ROOT, git_commit, is_code, marker_of

# With the packages, what runs a search. Results, data, caches and .git, whose remote may hold a password, are not.
_FILES = ("pyproject.toml", "constraints.txt")
_MOST_BYTES = 50 * 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold


def package_here(extra: Mapping[str, bytes] | None = None) -> bytes:
    """The package of this checkout as it is now."""
    return package(ROOT, git_commit(), extra)


def package(root: Path, commit: str | None, extra: Mapping[str, bytes] | None = None) -> bytes:
    """A zip of the checkout at `root`. Equal content gives equal bytes.

    extra: further files by their path in it. Hidden files are left out. OperationFailed if it is no checkout, or
    one far larger than its code can be.
    """
    files = {name: (root / name).read_bytes() for name in _FILES if (root / name).is_file()}
    num_bytes = 0
    for path in _code(root):
        content = path.read_bytes()
        num_bytes += len(content)
        if num_bytes > _MOST_BYTES:
            raise OperationFailed(
                f"the code to ship has more than {_MOST_BYTES // 2**20} MiB, the last file is {path}. "
                f"Keep data out of {', '.join(PACKAGES)}"
            )
        files[path.relative_to(root).as_posix()] = content
    files[MARKER] = marker_of(commit)
    return _zipped({**files, **(extra or {})})


def package_name(content: bytes) -> str:
    """The name by which Ray keeps it: the same package is sent once."""
    return f"_ray_pkg_{hashlib.sha256(content).hexdigest()[:32]}.zip"


def _code(root: Path) -> Iterator[Path]:
    for folder in PACKAGES:
        if not (root / folder).is_dir():
            raise OperationFailed(f"{root / folder} is missing. Run from a complete checkout")
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and is_code(path.relative_to(root)):
                yield path


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()
