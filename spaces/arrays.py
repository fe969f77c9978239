"""What a schedule is computed with: float64 arrays of NumPy; tensors of torch for whoever asks for them.

To look at a search must not cost the import of torch. So what is evaluated there comes in pairs: one method takes and
gives arrays, one tensors, and each is by default the other. A family, grid or curriculum is written in either way;
one that is written in torch is read with torch.
"""

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from spaces.lazy_torch import Tensor, torch

Array: TypeAlias = NDArray[np.float64]
Numbers = TypeVar("Numbers", Array, Tensor)  # of either kind, whichever is given


def array_of(tensor: Array | Tensor) -> Array:
    """The same numbers, of a tensor on the CPU or of an array."""
    return np.asarray(tensor, dtype=np.float64)


def tensor_of(array: Array) -> Tensor:
    """The same numbers as a tensor, which shares the memory of the array."""
    return torch.from_numpy(array)
