"""What a script is told of its slice: environment variables, beside those that Ray has set for its worker."""

from functools import partial

from trainable.gpu.gpu_slice import Card, usable_bytes
from trainable.own_process import in_own_process
from trainable.threads import threads_of
from trainable.trial_trainer import Slice

# The share of the card's memory that its tensors may take, for `torch.cuda.set_per_process_memory_fraction`.
FRACTION_VARIABLE = "SCHEDULE_SEARCH_GPU_FRACTION"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def environment_of(share: Slice) -> dict[str, str]:
    """The variables. ValueError where the share of the card leaves nothing for tensors."""
    threads = str(threads_of(share.cpus))
    environment = {**dict.fromkeys(_THREADS, threads), "PYTHONUNBUFFERED": "1", FRACTION_VARIABLE: "1"}
    if share.gpus == 0:
        environment["CUDA_VISIBLE_DEVICES"] = ""  # no card is its own
    elif share.gpus < 1:
        # In another process: what CUDA takes there is free again before the script starts.
        environment[FRACTION_VARIABLE] = repr(in_own_process(partial(_fraction, share.gpus, share.card)))
    return environment


def _fraction(gpus: float, card: Card) -> float:
    if not card.is_there():
        return 1.0
    return usable_bytes(card.total_bytes(), gpus) / card.total_bytes()
