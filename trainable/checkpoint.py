"""Checkpoints of a running trial: plain tensors and JSON, whole or absent, and checked when read.

A folder holds at most two generations, `<step>.safetensors` with `<step>.json` beside it, and may hold other
files. The JSON is written last and is the commit point; it carries the SHA-256 of both, because a flipped
byte in a tensor file loads without complaint. A damaged generation is passed over for the one before it.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from trainable.atomic import write_atomically

_GENERATIONS = 2
_log = logging.getLogger(__name__)


def _digest(tensor_bytes: bytes, state: Mapping[str, Any]) -> str:
    return hashlib.sha256(tensor_bytes + json.dumps(state, sort_keys=True).encode()).hexdigest()


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Commit the checkpoint of `step`. `state` must be JSON. Older generations but one are removed."""
    tensor_bytes = safetensors.torch.save({name: value.contiguous() for name, value in tensors.items()})
    document = {"step": step, "sha256": _digest(tensor_bytes, state), "state": state}
    write_atomically(folder / f"{step:09d}.safetensors", tensor_bytes)
    write_atomically(folder / f"{step:09d}.json", json.dumps(document).encode())
    for old in sorted(folder.glob("[0-9]*.json"))[:-_GENERATIONS]:
        old.unlink(missing_ok=True)
        old.with_suffix(".safetensors").unlink(missing_ok=True)


def load_checkpoint(folder: Path) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
    """(step, tensors, state) of the newest undamaged checkpoint, None where there is none."""
    for path in sorted(folder.glob("[0-9]*.json"), reverse=True):
        try:
            document = json.loads(path.read_bytes())
            tensor_bytes = path.with_suffix(".safetensors").read_bytes()
            if document["sha256"] != _digest(tensor_bytes, document["state"]):
                raise ValueError("checksum differs")
            return document["step"], safetensors.torch.load(tensor_bytes), document["state"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("checkpoint %s is damaged (%s): using the one before it", path, error)
    return None
