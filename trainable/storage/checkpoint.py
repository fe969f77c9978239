"""Checkpoints of a running trial: plain tensors and JSON, whole or absent, and checked when read.

A folder holds at most two generations, `<step>.safetensors` with `<step>.json` beside it, and may hold other
files. The JSON is written last and is the commit point; it carries the SHA-256 of both, because a flipped
byte in a tensor file loads without complaint. A damaged generation is passed over for the one before it.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from trainable.storage.folder import Folder

if TYPE_CHECKING:
    from torch import Tensor

_GENERATIONS = 2
_FILE = re.compile(r"([0-9]+)\.(json|safetensors)")
_log = logging.getLogger(__name__)


def _digest(tensor_bytes: bytes, state: Mapping[str, Any]) -> str:
    return hashlib.sha256(tensor_bytes + json.dumps(state, sort_keys=True).encode()).hexdigest()


def packed(tensors: Mapping[str, "Tensor"]) -> bytes:
    """The tensors as they are now, as safetensors."""
    import safetensors.torch  # here: who reads states only needs no torch

    return safetensors.torch.save({name: value.contiguous() for name, value in tensors.items()})


def save_checkpoint(folder: Folder, step: int, tensor_bytes: bytes, state: Mapping[str, Any]) -> None:
    """Commit the checkpoint of `step`: `packed` tensors and JSON. Older generations but one are removed."""
    document = {"step": step, "sha256": _digest(tensor_bytes, state), "state": state}
    folder.write(f"{step:09d}.safetensors", tensor_bytes)
    folder.write(f"{step:09d}.json", json.dumps(document).encode())
    discard_checkpoints(folder, keep=_GENERATIONS)


def _log_damage(step: int, text: str) -> None:
    _log.warning(text)


def load_checkpoint(
    folder: Folder, on_damage: Callable[[int, str], None] = _log_damage
) -> tuple[int, dict[str, "Tensor"], dict[str, Any]] | None:
    """(step, tensors, state) of the newest undamaged checkpoint, None where there is none.

    on_damage: called with the step of each that is damaged, and one line about it.
    """
    for step in reversed(_committed(folder.names())):
        try:
            return _read(folder, step)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = str(error) if type(error) is _Damaged else "it cannot be read"
            text = f"the checkpoint of step {int(step)} in {folder.location} is damaged ({reason})"
            on_damage(int(step), text)
    return None


class _Damaged(ValueError):
    pass


def _read(folder: Folder, step: str) -> tuple[int, dict[str, "Tensor"], dict[str, Any]]:
    import safetensors.torch

    document = json.loads(folder.read(f"{step}.json") or b"")
    tensor_bytes = folder.read(f"{step}.safetensors") or b""
    if document["sha256"] != _digest(tensor_bytes, document["state"]):
        raise _Damaged("its checksum differs")
    if document["step"] != int(step):
        raise _Damaged(f"it says that it is of step {document['step']}")
    return int(step), safetensors.torch.load(tensor_bytes), document["state"]


def newest_state(folder: Folder) -> dict[str, Any] | None:
    """The state in the newest committed checkpoint, None where it cannot be read. Its checksum, which covers the
    tensors too, is not looked at: for what can be checked in another way."""
    for step in _committed(folder.names())[-1:]:
        try:
            state: dict[str, Any] = json.loads(folder.read(f"{step}.json") or b"")["state"]
            if not isinstance(state, dict):
                raise TypeError("its state is no mapping")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            _log.warning("checkpoint %s in %s cannot be read: %s", step, folder.location, error)
        else:
            return state
    return None


def remove_checkpoint(folder: Folder, step: int) -> None:
    """Remove the checkpoint of `step`, which is damaged: it would be kept as the newest."""
    for suffix in ("json", "safetensors"):
        folder.remove(f"{step:09d}.{suffix}")


def discard_checkpoints(folder: Folder, *, keep: int = 0) -> None:
    """Remove all checkpoints in a folder but the newest `keep`, and tensors before them that were never committed."""
    names = folder.names()
    kept = _committed(names)[-keep:] if keep else []
    for name in names:
        match = _FILE.fullmatch(name)
        if match and match[1] not in kept and (not kept or match[1] < kept[-1]):
            folder.remove(name)  # sorted: the JSON first, then the tensors


def _committed(names: Iterable[str]) -> list[str]:
    """Steps of the committed checkpoints, as the files' names have them, increasing."""
    found = (_FILE.fullmatch(name) for name in names)
    return sorted(match[1] for match in found if match and match[2] == "json")
