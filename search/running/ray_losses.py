"""A search outlives the Ray of our own that it runs on."""

import threading
from collections.abc import Callable

from search.engine.ray_lost import RayLost
from search.errors import OperationFailed

# It gives up when so many Rays were lost with nothing done in between.
MAX_LOST_RAYS = 3


def outlive_rays(
    work: Callable[[], None],
    *,
    interrupted: threading.Event,
    num_done: Callable[[], int],
    on_loss: Callable[[RayLost], None],
) -> None:
    """Do `work` until it returns without RayLost, or `interrupted` is set.

    num_done: grows with what the work gets done. on_loss: called before it is begun again. OperationFailed where
    one Ray after the other is lost.
    """
    losses = 0
    while not interrupted.is_set():
        before = num_done()
        try:
            work()
            return
        except RayLost as loss:
            losses = 1 if num_done() > before else losses + 1
            if losses == MAX_LOST_RAYS:
                raise OperationFailed(
                    f"{loss}, {losses} times with nothing reported in between. When its cause is mended, the same "
                    "command goes on"
                ) from loss
            on_loss(loss)
