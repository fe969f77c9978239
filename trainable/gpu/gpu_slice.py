"""A share of a GPU as a worker takes it: how much memory it may use, and what it means when CUDA raises.

A share is bookkeeping to Ray: nothing keeps a trial from taking the whole card and its neighbours from failing for it.
So each worker caps PyTorch's allocator at its own share.
"""

import gc

from spaces.lazy_torch import torch

# What a process takes of a card outside PyTorch's allocator: the CUDA context and the kernels of cuBLAS and cuDNN, some
# hundred MiB, more on newer cards. A generous guess, not measured by us.
CONTEXT_BYTES = 768 * 2**20

# What libraries say instead of raising torch.OutOfMemoryError.
_OUT_OF_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


class Card:
    """All that slices need of torch.cuda, about the one card (or MIG device) that Ray made visible to this process.

    A class of its own, so that a test can put another one in its place.
    """

    device = "cuda"

    def is_there(self) -> bool:
        return torch.cuda.is_available()

    def name(self) -> str:
        return torch.cuda.get_device_name()

    def total_bytes(self) -> int:
        """Memory of the whole card; of a MIG device, that of the device."""
        return int(torch.cuda.get_device_properties().total_memory)

    def limit(self, fraction: float) -> None:
        """PyTorch's allocator raises OutOfMemoryError before it holds more than `fraction` of the card."""
        torch.cuda.set_per_process_memory_fraction(fraction)

    def restart_peak(self) -> None:
        torch.cuda.reset_peak_memory_stats()

    def peak_bytes(self) -> int:
        """The most that tensors of this process have held at once since `restart_peak`."""
        return torch.cuda.max_memory_allocated()

    def held_bytes(self) -> int | None:
        """What this process holds of it; None where it does not use it."""
        return torch.cuda.memory_reserved() if torch.cuda.is_initialized() else None

    def busy_percentage(self) -> float | None:
        """For how much of the last moments the whole card had work; None where nobody says: the package nvidia-ml-py is
        not installed, or it is a MIG device."""
        try:
            return float(torch.cuda.utilization())
        except Exception:  # of the package's own kinds
            return None

    def release(self) -> None:
        """Give back what nothing refers to any more."""
        gc.collect()
        torch.cuda.empty_cache()


def usable_bytes(total_bytes: int, share: float) -> int:
    """What tensors may take of `share` of a card: the share, at most the card, less the margin for the context.

    Raises ValueError where the context alone fills the share.
    """
    usable = int(total_bytes * min(share, 1)) - CONTEXT_BYTES
    if usable <= 0:
        raise ValueError(
            f"`resources.gpu: {share:g}` of a card with {gib(total_bytes)} leaves nothing beside the CUDA context, "
            f"which takes up to {gib(CONTEXT_BYTES)}: use a larger share"
        )
    return usable


def take_slice(share: float, card: Card) -> str:
    """Cap this process at its share of the card; returns the device to train on. To be called once, before it is used.

    "cpu" without a share, or where torch has no card: `search.engine.slice_check` refuses that before trials start.
    """
    if share == 0 or not card.is_there():
        return "cpu"
    if share < 1:  # else the card is this trial's alone
        card.limit(usable_bytes(card.total_bytes(), share) / card.total_bytes())
    return card.device


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller micro-batch could have avoided it."""
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY)


def card_is_lost(error: BaseException) -> bool:
    """Whether CUDA has failed in a way after which this process cannot use it any more, but another one can."""
    lost = isinstance(error, torch.AcceleratorError) or "CUDA error:" in str(error)
    return lost and not is_out_of_memory(error)


def gib(num_bytes: float) -> str:
    """`3.2 GiB`."""
    return f"{num_bytes / 2**30:.1f} GiB"
