"""Weights in a file, and whether they are those of a network. Read without executing anything."""

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from trainable.network import Network

if TYPE_CHECKING:
    from torch import Tensor

_SUFFIXES = (".safetensors", ".pt", ".pth")


@dataclass(frozen=True, eq=False)
class FileStart:
    """Every trial starts from these weights, by their names in the module that the network builds."""

    tensors: "Mapping[str, Tensor]"


@dataclass(frozen=True, kw_only=True)
class DiffusionStart:
    """Every trial starts from a diffusion model of the same network, trained for so many steps on the trial's seed."""

    steps: int


Start = FileStart | DiffusionStart


def checksum_of(path: str | Path) -> str:
    """SHA-256 of the file. ValueError where it cannot be read."""
    return hashlib.sha256(_bytes_of(path)).hexdigest()


def weights_for(path: str | Path, network: Network, image_shape: tuple[int, int, int]) -> FileStart:
    """Those in a `state_dict` of the network, as safetensors or as torch saves one.

    Names may lack the one prefix that all of the network's have, as `own.` of a network in a file of one's own.
    ValueError, in one line, where they are of another network.
    """
    found = _state_dict(path)
    expected = network.build(image_shape).state_dict()
    prefix = _common_prefix(list(expected))
    if prefix and not any(name.startswith(prefix) for name in found):
        found = {prefix + name: tensor for name, tensor in found.items()}
    for name, tensor in expected.items():
        if name not in found:
            raise ValueError(f"is of another network than {network.title}: it has no {name}")
        if found[name].shape != tensor.shape:
            shapes = (tuple(found[name].shape), tuple(tensor.shape))
            raise ValueError(
                f"is of another network than {network.title}: {name} has the shape {shapes[0]}, not {shapes[1]}"
            )
        if not bool(found[name].isfinite().all()):
            raise ValueError(f"has NaN or infinity in {name}")
    others = sorted(found.keys() - expected.keys())
    if others:
        raise ValueError(f"is of another network than {network.title}, which has no {others[0]:.60}")
    return FileStart({name: found[name].to(tensor.dtype) for name, tensor in expected.items()})


def _bytes_of(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}. Name a file of weights") from error


def _state_dict(path: str | Path) -> "dict[str, Tensor]":
    import safetensors
    import safetensors.torch
    import torch

    if Path(path).suffix not in _SUFFIXES:
        raise ValueError(f"must be a file {', '.join(_SUFFIXES)}, but got {Path(path).name}")
    data = _bytes_of(path)
    try:
        if Path(path).suffix == ".safetensors":
            found = safetensors.torch.load(data)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what it cannot read, which is told below
                found = torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    except (
        safetensors.SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
    ) as error:
        raise ValueError(
            f"{Path(path).name} is no file of weights, or holds what only code could read "
            f"({type(error).__name__}). Save model.state_dict(), best as safetensors"
        ) from error
    is_one = isinstance(found, Mapping) and all(isinstance(tensor, torch.Tensor) for tensor in found.values())
    if not is_one or not found:
        raise ValueError(
            f"{Path(path).name} holds no state_dict, names with a tensor each. Save model.state_dict()"
        )
    return dict(found)


def _common_prefix(names: list[str]) -> str:
    """`own.` where all names begin with it, else nothing."""
    first = {name.partition(".")[0] for name in names if "." in name}
    is_common = len(first) == 1 and all("." in name for name in names)
    return f"{first.pop()}." if is_common else ""
