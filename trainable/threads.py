"""How many threads of the CPU tensors are computed on."""

from collections.abc import Iterator
from contextlib import contextmanager

from spaces.lazy_torch import torch


def threads_of(cpus: float) -> int:
    """For a trial with so many cores, of which it may have a part."""
    return max(1, int(cpus))


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """So many in this block.

    One sums in one order, and is quicker for small tensors where others use the CPU too.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
