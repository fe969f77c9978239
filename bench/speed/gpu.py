"""Trials an hour of one GPU: stacks of trials, captured graphs, bf16, processes side by side, against the bare loop.

Training alone, at the speed of steps that were timed, in processes of their own. Within ten minutes: what there was no
time for is said. Without a GPU it runs on the CPU, at sizes that say nothing but that it runs.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.managers import SyncManager
from typing import Literal

import torch

from bench.figures import table
from bench.speed.bare_loop import BareLoop
from bench.speed.slices import _CONTROL, mps
from spaces import PRESETS
from trainable.gpu.gpu_slice import gib, is_out_of_memory
from trainable.network import NETWORKS, Network
from trainable.network_module import NetworkModule
from trainable.stack.networks import alone_because
from trainable.stack.stack import Stack
from trainable.training.config import TrainingConfig

LIMIT_SECONDS = 540.0
_WAIT_SECONDS = 120.0  # for other processes to be ready
SCHEDULES = [preset.schedule for preset in PRESETS.values()]


@dataclass(frozen=True)
class Sizes:
    """What is measured. side: of the images. seconds: for which each variant is timed, about."""

    networks: tuple[str, ...]
    channels: int
    side: int
    batch_size: int
    stacks: tuple[int, ...]
    processes: tuple[int, ...]
    seconds: float
    device: str
    total_steps: int = 20_000

    @classmethod
    def here(cls) -> "Sizes":
        """Of a GPU; without one, tiny."""
        if torch.cuda.is_available():
            return cls(("film_mlp", "unet"), 1, 28, 128, (1, 8, 32, 128), (1, 2, 4, 8), 2.0, "cuda")
        return cls(("film_mlp", "small_unet"), 1, 8, 16, (1, 2), (1, 2), 0.2, "cpu", total_steps=400)

    def images(self) -> torch.Tensor:
        shape = (2000, self.channels, self.side, self.side)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)


@dataclass(frozen=True)
class Variant:
    """How trials are trained in one process. stack 0: the bare loop."""

    network: str
    stack: int
    graph: bool = False
    precision: Literal["float32", "bf16"] = "float32"

    @property
    def text(self) -> str:
        if self.stack == 0:
            return "bare loop"
        return f"stack {self.stack}, {'graph, ' if self.graph else ''}{self.precision}"


def trials_per_hour(
    variant: Variant, sizes: Sizes, ready: Callable[[], object] = lambda: None
) -> float | None:
    """None: memory is not enough. ready: is called when all that comes once has been done."""
    network: Network = NETWORKS.build(variant.network)
    config = TrainingConfig(total_steps=sizes.total_steps, batch_size=sizes.batch_size)
    config = replace(config, precision=variant.precision, cuda_graph=variant.graph)
    try:
        steps = _stepper(variant, network, config, sizes)
        steps(3)
        start = time.perf_counter()
        steps(3)
        num_steps = max(3, min(1000, int(3 * sizes.seconds / (time.perf_counter() - start))))
        num_steps = min(num_steps, (sizes.total_steps - 10) // 2)
        ready()
        start = time.perf_counter()
        steps(num_steps)
        seconds = time.perf_counter() - start
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None
    return 3600 * max(1, variant.stack) * num_steps / seconds / sizes.total_steps


def _stepper(
    variant: Variant, network: Network, config: TrainingConfig, sizes: Sizes
) -> Callable[[int], None]:
    """Makes so many steps of all trials, and waits until they are made."""
    if variant.stack == 0:
        bare = BareLoop(network, sizes.images(), config, device=sizes.device)
        return lambda number: _done(bare.train(number), sizes)
    stack = Stack(network, sizes.images(), config, sizes.device, size=variant.stack)
    for place in range(variant.stack):
        stack.trainer(place).begin(SCHEDULES[place % len(SCHEDULES)], place)

    def steps(number: int) -> None:
        stack.train(dict.fromkeys(range(variant.stack), stack.trainer(0).step + number))
        _done(0.0, sizes)

    return steps


def _done(_: float, sizes: Sizes) -> None:
    if sizes.device == "cuda":
        torch.cuda.synchronize()


def variants(sizes: Sizes, network: str) -> Iterator[Variant]:
    """Of one process; the first two are what the others are held against."""
    yield Variant(network, 0)
    is_gpu = sizes.device == "cuda"
    precisions: tuple[Literal["float32", "bf16"], ...] = ("float32", "bf16")
    for precision in precisions:
        for graph in (False, True) if is_gpu else (False,):
            for stack in sizes.stacks:
                yield Variant(network, stack, graph, precision)


def in_one_process(sizes: Sizes, network: str, until: float) -> list[tuple[str, float | None]]:
    """By text, trials an hour. until: by `time.monotonic`, when the last may begin."""
    torch.set_num_threads(1)
    found = []
    for variant in variants(sizes, network):
        if time.monotonic() < until:
            found.append((variant.text, trials_per_hour(variant, sizes)))
            if sizes.device == "cuda":
                torch.cuda.empty_cache()
    return found


def _side(variant: Variant, sizes: Sizes, barrier: object) -> float | None:
    torch.set_num_threads(1)
    return trials_per_hour(variant, sizes, lambda: barrier.wait(_WAIT_SECONDS))  # type: ignore[attr-defined]


def side_by_side(variant: Variant, sizes: Sizes, processes: int) -> float | None:
    """Trials an hour of so many processes together; None where one had not enough memory."""
    context = get_context("spawn")
    with SyncManager(ctx=context) as manager, ProcessPoolExecutor(processes, context) as pool:
        barrier = manager.Barrier(processes)
        futures = [pool.submit(_side, variant, sizes, barrier) for _ in range(processes)]
        rates = [future.result() for future in futures]
    known = [rate for rate in rates if rate is not None]
    return sum(known) if len(known) == processes else None


def rows(
    found: Sequence[tuple[str, float | None]], bare: float | None, alone: float | None
) -> list[list[str]]:
    """Each trials an hour, against one trial alone and against the bare loop."""

    def cell(rate: float | None, base: float | None) -> str:
        return "-" if rate is None or not base else f"{rate / base:.2f}"

    return [
        [text, "-" if rate is None else f"{rate:,.1f}", cell(rate, alone), cell(rate, bare)]
        for text, rate in found
    ]


HEAD = ("", "trials/h", "against one alone", "against the bare loop")


def main(show: Callable[[str], None]) -> None:
    """Measure and show."""
    sizes, began = Sizes.here(), time.monotonic()
    if sizes.device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        show(f"gpu: {properties.name}, {gib(properties.total_memory)}, CUDA {torch.version.cuda}")
    else:
        show("gpu: torch sees no GPU here; on the CPU, at sizes that show only that this runs")
    show(
        f"trials of {sizes.total_steps:,} steps, batch {sizes.batch_size}, images of {sizes.side}x{sizes.side}, no "
        "measurements; - : memory is not enough"
    )
    with_mps = sizes.device == "cuda" and shutil.which(_CONTROL) is not None
    for network in sizes.networks:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            found = pool.submit(in_one_process, sizes, network, began + LIMIT_SECONDS / 2).result()
        bare, alone = dict(found).get("bare loop"), dict(found).get(Variant(network, 1).text)
        size = 8 if alone_because(_module(network, sizes), torch.device(sizes.device)) is None else 1
        for use_mps in (False, True)[: 1 + with_mps]:
            with mps() if use_mps else nullcontext():
                for processes in sizes.processes:
                    for stack in sorted({1, min(size, max(sizes.stacks))}):
                        if time.monotonic() < began + LIMIT_SECONDS:
                            variant = Variant(network, stack)
                            text = f"{processes} at once{' with MPS' if use_mps else ''}, stack {stack}"
                            found.append((text, side_by_side(variant, sizes, processes)))
        show(f"\n{network}")
        show(table(HEAD, rows(found, bare, alone)))
    if time.monotonic() > began + LIMIT_SECONDS:
        show("what is missing above, there was no time for")
    if sizes.device == "cuda" and not with_mps:
        show(f"MPS: {_CONTROL} is not installed here")


def _module(network: str, sizes: Sizes) -> NetworkModule:
    return NETWORKS.build(network).build((sizes.channels, sizes.side, sizes.side))
