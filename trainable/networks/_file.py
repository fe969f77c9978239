"""A class in a Python file of the user's own."""

import ast
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from spaces import plugins
from trainable.network import Code

if TYPE_CHECKING:
    from torch import nn


def read(path: str) -> Code:
    """The file. ValueError where it cannot be read."""
    try:
        return Code(path, Path(path).read_bytes())
    except OSError as error:
        raise ValueError(
            f"network: {path} cannot be read: {error.strerror}. Name the file of your network, relative to the search "
            "file or absolute"
        ) from error


def class_in(code: Code, name: str) -> "type[nn.Module]":
    """The network called so. ValueError, with file and line, where the file cannot be run or has none."""
    from torch import nn

    found = getattr(_module(code), name, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        return found
    if found is not None:
        raise ValueError(f"network: {name} in {code.name} is no torch.nn.Module. Derive it from that")
    have = ", ".join(node.name for node in ast.parse(code.text).body if isinstance(node, ast.ClassDef))
    raise ValueError(f"network: {code.name} has no class {name!r}. It has: {have or 'none'}")


@cache
def _module(code: Code) -> ModuleType:
    """Run once in a process, whatever the number of networks that are made of it."""
    name = f"network_of_{code.sha256[:16]}"
    module = ModuleType(name)
    module.__file__ = code.path
    sys.modules[name] = module  # where dataclasses, among others, look for it
    try:
        exec(compile(code.text, code.path, "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:  # a training script, say, that ends by `sys.exit(main())`
        del sys.modules[name]
        hint = ""
        if isinstance(error, ImportError):
            hint = ". A network is one file, and what is installed on every machine"
        raise ValueError(f"network: {told(error, code)}{hint}") from error
    return module


def told(error: BaseException, code: Code) -> str:
    """`my_net.py:12: TypeError: ...`: the innermost line of the file that an exception has gone through."""
    return plugins.told(error, [code.path]).replace(code.path, code.name)
