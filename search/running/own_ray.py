"""The Ray of our own that trials run on: begun before the first one is known, and again where it is lost."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from search.engine.ray_here import StartingRay, starting_ray
from search.engine.ray_logs import log_of_start
from search.file.sections import Resources
from search.screen.view import ProgressView


class OwnRay:
    """At most one Ray at a time, with so many slots of the search."""

    def __init__(self, resources: Resources, slots: int, view: ProgressView):
        self._resources, self._slots, self._view = resources, slots, view
        self._start: StartingRay | None = None
        self._stack = ExitStack()

    @contextmanager
    def ended(self) -> Iterator["OwnRay"]:
        """Itself; what was begun is ended with the block."""
        try:
            yield self
        finally:
            self._end()

    def begin(self) -> StartingRay:
        """Begin its start, which goes on by itself, if it is not begun."""
        if self._start is None:
            wanted = self._resources
            self._start = self._stack.enter_context(
                starting_ray(
                    num_cpus=max(1, math.ceil(self._slots * wanted.cpu)),
                    num_gpus=math.ceil(self._slots * wanted.gpu - 1e-6),
                    workers=self._slots,
                    threads=max(1, int(wanted.cpu)),
                )
            )
        return self._start

    @contextmanager
    def connected(self) -> Iterator[Path]:
        """Its folder, when it has started. It is ended with the block."""
        self._view.phase("starting Ray", 0)
        try:
            with ExitStack() as stack:
                with self._view.waiting("Ray, which is to start", log_of_start):
                    folder = stack.enter_context(self.begin().connected())
                yield folder
        finally:
            self._end()

    def _end(self) -> None:
        self._start = None
        self._stack.close()
