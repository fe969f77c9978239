"""torch, imported when something of it is first used: choices and their options are read without it.

A file in a folder of choices may as well `import torch` itself; torch is then imported with that file.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:

    class _Torch:
        def __getattr__(self, name: str) -> Any:
            found = getattr(importlib.import_module("torch"), name)
            setattr(self, name, found)  # looked up once: laws are evaluated thousands of times for a proposal
            return found

    torch = _Torch()
    Tensor = Any

__all__ = ["Tensor", "torch"]
