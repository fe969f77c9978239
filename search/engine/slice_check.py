"""Is the GPU slice of a search large enough? Asked on the cluster before trials are started, once per search.

A slice that is too small shows as trials that fail one after another, hours later where the first evaluation is late.
So the first worker that Ray has for such a slice measures a step and an evaluation (`trainable.gpu.memory_probe`).
"""

import itertools
import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from search.errors import InputError, OperationFailed
from search.file.spec import Resources, SearchSpec
from search.file.values import MOST_TO_A_GPU, one_nth
from search.policy.trials import Trials
from spaces import Curriculum, NoiseSchedule, SearchSpace
from spaces.adaptive_noise import AdaptiveNoise
from spaces.plugins import carried
from spaces.space.neighbour import neighbour
from trainable.gpu.gpu_slice import Card, gib, usable_bytes
from trainable.gpu.memory_probe import MemoryProbe, Peak, measure
from trainable.metric.assets import Assets

SLICE_CHECK = "slice_check"  # key in the study's header: what was found, and for which slice
# A slice is said to be enough if this share of the need is left: the allocator's blocks are larger than tensors.
_SPARE = 0.1
_POINTS = 1000  # of a budget, at which curricula are compared

_log = logging.getLogger(__name__)


def check_slice(
    spec: SearchSpec,
    assets: Assets,
    trials: Trials,
    interrupted: threading.Event,
    note: Callable[[str], None] = lambda text: None,
    card: Card | None = None,
) -> None:
    """Measure on the connected Ray, unless it was done for this slice of such a card; says in one line what was found.

    card: the worker's GPU, None: the one that torch sees there. Raises InputError for a slice that is too small,
    OperationFailed where there is no GPU or the worker is lost.
    """
    asked = {"gpu": spec.resources.gpu, "micro_batch": spec.resources.micro_batch}
    before = trials.header.get(SLICE_CHECK)
    known = (
        MemoryProbe.from_dict(before["probe"]) if before is not None and before["asked"] == asked else None
    )
    if known is None:
        note("measuring the GPU memory of a trial")
    probe = measure_on_cluster(spec, assets, interrupted, card or Card(), known)
    if probe is None or probe == known:
        return
    text = finding(probe, spec.resources)
    _log.info("%s (%s)", text, asdict(probe))
    note(text)
    trials.set_header(SLICE_CHECK, {"asked": asked, "text": text, "probe": asdict(probe)})


def found_before(header: Mapping[str, Any]) -> str | None:
    """What was found when the search was started, in one line."""
    known = header.get(SLICE_CHECK)
    return known["text"] if known is not None else None


def measure_on_cluster(
    spec: SearchSpec, assets: Assets, interrupted: threading.Event, card: Card, known: MemoryProbe | None
) -> MemoryProbe | None:
    """`measure` as a task with a trial's resources, which waits for a machine like a trial; None if interrupted."""
    import ray

    resources = spec.resources
    # Given here, num_gpus ends the worker with the task (max_calls=1), and its GPU memory is free for the trials.
    on_slice: Any = ray.remote(num_cpus=resources.cpu, num_gpus=resources.gpu, max_retries=1)
    given = dict(
        assets=assets,
        network=spec.own_setting.network,
        training=spec.training,
        num_samples=spec.objective.num_samples,
        schedule=largest_schedule(spec),
        micro_batch=resources.micro_batch,
        share=resources.gpu,
        card=card,
        known=known,
    )
    answer = on_slice(measure).remote(**{name: carried(value) for name, value in given.items()})
    while not ray.wait([answer], timeout=0.5)[0]:
        if interrupted.is_set():
            ray.cancel(answer, force=True)
            return None
    try:
        return ray.get(answer)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, ValueError):
            raise InputError(str(cause)) from error
        raise OperationFailed(f"a training step on a GPU slice failed: {_first_line(cause)}") from error
    except ray.exceptions.RayError as error:
        raise OperationFailed(
            f"the worker that measured a trial's GPU memory was lost: {_first_line(error)}. Run it again"
        ) from error


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"


def finding(probe: MemoryProbe, resources: Resources) -> str:
    """One line for the log: what a trial needs and what else would do. Raises the errors of `check_slice`."""
    share = resources.gpu
    if probe.card is None:
        raise OperationFailed(
            f"`resources.gpu` is {share:g}, and Ray has a GPU on {probe.node}, but torch sees none there: "
            "install a torch with CUDA and a driver for it, or set it to 0 to train on the CPU"
        )
    need = bytes_needed(probe)
    enough = None if need is None else smallest_share(probe.total_bytes, need)
    what = f"{share:g} of {probe.card} ({gib(probe.usable_bytes)} of {gib(probe.total_bytes)} for tensors)"
    if probe.fits:
        assert need is not None
        peak = probe.peaks[0]
        free = round(100 * (1 - need / probe.usable_bytes))
        other = f"; {enough:g} would do" if enough is not None and enough < min(share, 1) else ""
        return (
            f"GPU slice: {what}; a step of {peak.micro_batch} images takes {gib(peak.step)}, an evaluation "
            f"{gib(peak.evaluation)}: {free} % free{other}"
        )
    if not probe.peaks:
        remedy = "not even one image at once fits. Use a larger slice or a smaller network"
    else:
        remedies = [f"resources.micro_batch: {probe.peaks[0].micro_batch} (the same training, slower)"]
        if enough is not None and enough > min(share, 1):
            remedies.insert(0, f"resources.gpu: {enough:g}")
        needed = f" it needs about {gib(need)}." if need is not None else ""
        remedy = f"{needed.strip()} Use {' or '.join(remedies)}".strip()
    raise InputError(
        f"resources.gpu: {what} is too small for a step of {probe.wanted} images and an evaluation: {remedy}"
    )


def bytes_needed(probe: MemoryProbe) -> int | None:
    """What tensors take with `wanted` images at once: measured, or the straight line through two measurements.

    Weights, optimiser and data take the same whatever the number; activations, so much for each image. None: unknown.
    """
    if probe.fits:
        return max(probe.peaks[0].step, probe.peaks[0].evaluation)
    if len(probe.peaks) < 2:
        return None
    larger, smaller = probe.peaks
    more = (probe.wanted - larger.micro_batch) / (larger.micro_batch - smaller.micro_batch)

    def at_wanted(part: Callable[[Peak], int]) -> float:
        return part(larger) + more * (part(larger) - part(smaller))

    return int(max(at_wanted(lambda peak: peak.step), at_wanted(lambda peak: peak.evaluation)))


def smallest_share(total_bytes: int, need: int) -> float | None:
    """The smallest 1/n of such a card that holds `need` and some spare; 1 for all of it, None if even that does not."""
    for n in range(MOST_TO_A_GPU, 0, -1):
        share = one_nth(n)
        try:
            if (1 + _SPARE) * need <= usable_bytes(total_bytes, share):
                return share
        except ValueError:  # the context alone fills it
            continue
    return None


def largest_schedule(spec: SearchSpec) -> NoiseSchedule:
    """Of the presets and the space, a schedule with the most noise levels; the space's is adaptive where it can be."""
    found = itertools.chain([_largest_of(spec.space)], spec.baselines.values())
    return max(found, key=lambda schedule: _most_levels(schedule.curriculum))


def _largest_of(space: SearchSpace) -> NoiseSchedule:
    if not space.curriculum:  # levels are drawn from the law itself, as many whatever it is
        return neighbour(space, {}, 1.0, random.Random(0)).schedule
    noise = max(space.noise, key=lambda family: issubclass(family.cls, AdaptiveNoise))
    grid = space.grid[0]
    corners: Iterator[Curriculum] = (
        family.cls(**options) for family in space.curriculum for options in family.corners()
    )
    return NoiseSchedule(
        grid=grid.cls(**next(grid.corners())),
        noise=noise.cls(**next(noise.corners())),
        curriculum=max(corners, key=_most_levels),
    )


def _most_levels(curriculum: Curriculum) -> int:
    return int(curriculum.num_levels(np.arange(_POINTS + 1, dtype=np.int64), _POINTS).max())
