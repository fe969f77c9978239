"""Tensors that are expensive to make, kept in a folder under a checksum.

An entry is two files: `<name>-<key>.json` says what was made from what, and holds the SHA-256 of
`<name>-<first 16 digits of it>.safetensors`. Both are renamed into place, the tensors first, so two
processes that make the same entry at once both succeed.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spaces.lazy_torch import Tensor
from trainable.storage.atomic import write_atomically

logger = logging.getLogger(__name__)  # what is made again, a driver shows on the screen too

Made = tuple[dict[str, Tensor], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Entry:
    """Tensors, the SHA-256 of their safetensors file, and plain facts about their making."""

    tensors: dict[str, Tensor]
    sha256: str
    info: dict[str, Any]


class _Damaged(Exception):
    """An entry whose files do not fit their checksums."""


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def cached(folder: Path, name: str, key: Mapping[str, Any], make: Callable[[], Made]) -> Entry:
    """The entry for `key` (plain JSON values), from the folder, or else made now and written there.

    A damaged entry is made again, after one warning line; what `make` raises is passed on.
    """
    identity = {"name": name, "key": dict(key)}
    sidecar = folder / f"{name}-{hashlib.sha256(_canonical(identity)).hexdigest()[:16]}.json"
    try:
        entry = _read(folder, sidecar, identity)
    except _Damaged as damage:
        logger.warning("Cache entry %s %s: it is made again", sidecar, damage)
        entry = None
    if entry is None:
        entry = _write(folder, sidecar, identity, *make())
    return entry


def _read(folder: Path, sidecar: Path, identity: dict[str, Any]) -> Entry | None:
    try:
        record = json.loads(sidecar.read_bytes())
        check = record.pop("check")
        sha256, info = record["sha256"], record["info"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise _Damaged("is not readable") from error
    if check != hashlib.sha256(_canonical(record)).hexdigest():
        raise _Damaged("does not match its own checksum")
    if {name: record.get(name) for name in identity} != json.loads(_canonical(identity)):
        raise _Damaged("is about something else")
    try:
        data = _tensor_file(folder, identity["name"], sha256).read_bytes()
    except FileNotFoundError as error:
        raise _Damaged("has lost its tensors") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _Damaged("has tensors that do not match their SHA-256")
    from safetensors.torch import load  # torch comes with it

    return Entry(load(data), sha256, info)


def _write(
    folder: Path, sidecar: Path, identity: dict[str, Any], tensors: dict[str, Tensor], info: dict[str, Any]
) -> Entry:
    from safetensors.torch import load, save  # torch comes with it

    data = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    sha256 = hashlib.sha256(data).hexdigest()
    record = {**identity, "sha256": sha256, "info": info}
    record["check"] = hashlib.sha256(_canonical(record)).hexdigest()
    write_atomically(_tensor_file(folder, identity["name"], sha256), data)
    write_atomically(sidecar, json.dumps(record, indent=2).encode())
    return Entry(load(data), sha256, info)


def _tensor_file(folder: Path, name: str, sha256: str) -> Path:
    return folder / f"{name}-{sha256[:16]}.safetensors"
