"""How many trials at once are the quickest here, timed."""

import time
from collections.abc import Callable, Sequence

from spaces import PRESETS
from trainable.setting import Setting
from trainable.stack.stack import Stack
from trainable.threads import on_threads

_SECONDS = 0.25  # for each size, about
_REPEATS = 3
_WORTH = 1.1  # times as quick as one alone; less is not worth more open trials


def quickest_size(
    setting: Setting, sizes: Sequence[int], threads: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[int, dict[int, float]]:
    """Of `sizes`, which begin with 1, the quickest that pays; by size, the seconds that a step of one trial takes.

    threads: of torch, as a worker has them. On the CPU.
    """
    with on_threads(threads):
        seconds = {size: seconds_of_step(setting, size, clock) for size in sizes}
    quickest = min(seconds, key=seconds.__getitem__)
    return (quickest if seconds[1] >= _WORTH * seconds[quickest] else 1), seconds


def seconds_of_step(setting: Setting, size: int, clock: Callable[[], float]) -> float:
    """Of one trial of `size` that are trained together, at the least of some repeats."""
    stack = Stack(setting.network, setting.assets.images_NCHW, setting.training, size=size)
    for place in range(size):
        stack.trainer(place).begin(PRESETS["ict"].schedule, place)

    def time_of(num_steps: int) -> float:
        start = clock()
        stack.train(dict.fromkeys(range(size), stack.trainer(0).step + num_steps))
        return (clock() - start) / (num_steps * size)

    first = time_of(1)
    left = (setting.training.total_steps - 1) // _REPEATS
    num_steps = max(1, min(left, int(_SECONDS / _REPEATS / (first * size or 1))))
    return min([first] + [time_of(num_steps) for _ in range(_REPEATS if left else 0)])
