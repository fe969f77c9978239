"""A worker that holds several trials at once, trains them together, and measures and keeps each by itself.

Trials come and go between two calls of `advance`. Those that can be trained together, of one setting and with as many
images at once, share a `Stack`; others take turns. Each is a `TrialWorker`: its checkpoints are those of a trial that
is trained alone.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch

from trainable.gpu.gpu_slice import Card, card_is_lost, is_out_of_memory
from trainable.metric.assets import FrechetMetric
from trainable.setting import Setting
from trainable.stack.networks import alone_because
from trainable.stack.stack import Stack
from trainable.task import Progress, TrialTask
from trainable.trial import TrialWorker, failed, out_of_memory


class StackWorker:
    """settings: by name, in what trials are trained. size: how many at once; halved where memory is not enough."""

    def __init__(
        self,
        settings: Mapping[str, Setting],
        device: str = "cpu",
        *,
        size: int,
        card: Card | None = None,
        clock: Callable[[], float] = time.time,
    ):
        self._settings, self._device, self._clock = settings, device, clock
        self._card = card or Card()
        self.size = size
        self._tasks: dict[int, TrialTask] = {}  # of the trials that are here, in the order in which they came
        self._groups: dict[tuple[str, int | None], _Group] = {}
        self._alone: set[int] = set()  # one of these has spoilt a step of all: they are trained one at a time
        self._turn = 0
        self._news: list[Progress] = []
        self._returned: list[int] = []

    @property
    def room(self) -> int:
        """How many more trials it takes."""
        return max(0, self.size - len(self._tasks))

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._tasks and not self._news

    def take(self, tasks: Sequence[TrialTask]) -> None:
        """Go on with these trials too, as far as there is room. What goes wrong with one is its news."""
        for task in tasks:
            if not self.room:
                self._returned.append(task.number)
                continue
            self._tasks[task.number] = task
            self._guarded([task.number], partial(self._begin, task))

    def drop(self, numbers: Sequence[int]) -> None:
        """These trials do not go on here."""
        for number in numbers:
            self._alone.discard(number)
            if self._tasks.pop(number, None) is not None:
                for group in self._groups.values():
                    group.leave(number)

    def advance(self, pause_seconds: float) -> list[Progress]:
        """Train until a trial has something to tell, or for about `pause_seconds`; then all tell how far they are.

        A trial that is over has left. What is reported is kept.
        """
        if not self._news and (busy := [group for group in self._groups.values() if group.numbers]):
            self._turn += 1
            self._train(busy[self._turn % len(busy)], pause_seconds)
        news, self._news = self._news, []
        self.drop([progress.number for progress in news if progress.outcome is not None])
        return news

    def take_returned(self) -> list[int]:
        """Trials for which memory was not enough here beside the others, told once: they go on elsewhere, or later."""
        returned, self._returned = self._returned, []
        return returned

    def _train(self, group: "_Group", pause_seconds: float) -> None:
        waiting = [number for number in group.numbers if not group.of(number).is_started]
        for number in waiting:
            if group in self._groups.values() and number in group.numbers:
                share = pause_seconds / len(waiting)
                self._guarded([number], partial(group.start, number, share))
        trained: dict[int, _Trained] = {}
        if group in self._groups.values() and group.ready:
            self._guarded(group.ready, lambda: trained.update(group.train(pause_seconds, self._alone)))
        for number, part in trained.items():
            if group in self._groups.values():  # memory was enough for those before
                self._guarded([number], partial(self._measure, group, number, part))
        if not self._news and group in self._groups.values():
            self._news += group.progress()

    def _measure(self, group: "_Group", number: int, part: "_Trained") -> None:
        if group.of(number).trained(*part):
            self._news.append(group.of(number).progress())

    def _begin(self, task: TrialTask) -> None:
        key = task.setting, task.micro_batch
        if key not in self._groups:
            self._groups[key] = _Group(self._settings[task.setting], self._device, self.size, self._clock)
        worker = self._groups[key].join(task)
        if worker.next_rung is None:  # what reached its checkpoint, but perhaps not the driver
            self._news.append(worker.progress())

    def _guarded(self, numbers: Sequence[int], work: Callable[[], None]) -> None:
        """Do it for these trials; what it raises is their answer. Raises what asks for another process."""
        try:
            work()
            return
        except Exception as error:
            if card_is_lost(error):
                raise
            halve = is_out_of_memory(error) and len(self._tasks) > 1
            whose = [number for number in numbers if number in self._alone][:1] or numbers
            part = len(whose) > 1 and not halve
            answers = [] if halve or part else [self._answer(number, error) for number in whose]
        # Not before the error is gone: its traceback holds the tensors of the step that failed.
        self._news += answers
        if answers:
            self._alone.clear()  # who spoilt the step is found
        self.drop([answer.number for answer in answers])
        if halve:
            self._halve()
        elif part:
            self._part(whose)
        self._card.release()

    def _answer(self, number: int, error: Exception) -> Progress:
        if not is_out_of_memory(error):
            return failed(self._tasks[number], error)
        for group in self._groups.values():
            if number in group.numbers:
                return group.of(number).out_of_memory(error)
        task = self._tasks[number]
        at_once = task.micro_batch or self._settings[task.setting].training.whole_pass
        return out_of_memory(task, error, at_once)

    def _part(self, numbers: Sequence[int]) -> None:
        """Go on with these from their checkpoints, one at a time: whose step failed is seen when it is alone."""
        tasks = [self._tasks[number] for number in numbers]
        self.drop(numbers)
        self.take(tasks)
        self._alone |= self._tasks.keys() & set(numbers)

    def _halve(self) -> None:
        """Go on with half as many trials, from their checkpoints: the step that failed may have spoilt the others.

        What is known of those that are over stays.
        """
        self._news = [progress for progress in self._news if progress.outcome is not None]
        over = {progress.number for progress in self._news}
        tasks = [task for task in self._tasks.values() if task.number not in over]
        self.size = max(1, len(tasks) // 2)
        self._groups.clear()
        self._tasks.clear()
        self._card.release()
        self._returned += [task.number for task in tasks[self.size :]]
        self.take(tasks[: self.size])


class _Trained(NamedTuple):
    """See `TrialWorker.trained`. seconds: a trial's share of the time of all that were trained with it."""

    rung: int
    loss: float
    seconds: float


class _Group:
    """Trials of one setting, with as many images at once."""

    def __init__(self, setting: Setting, device: str, size: int, clock: Callable[[], float]):
        self._setting, self._device, self._clock = setting, device, clock
        self._metric = FrechetMetric(setting.assets, setting.num_samples, device)
        with torch.random.fork_rng(devices=[]):
            module = setting.network.build(setting.assets.image_shape)
        self._stack = (
            Stack(setting.network, setting.assets.images_NCHW, setting.training, device, size=size)
            if alone_because(module, torch.device(device), setting.training) is None
            else None
        )
        self._workers: dict[int, TrialWorker] = {}  # by place
        self._place_of: dict[int, int] = {}  # by number of a trial that is here

    @property
    def numbers(self) -> list[int]:
        """Of the trials that are here."""
        return list(self._place_of)

    def join(self, task: TrialTask) -> TrialWorker:
        """Raises as `TrialWorker.begin`."""
        taken = set(self._place_of.values())
        place = next(place for place in range(len(taken) + 1) if place not in taken)
        if place not in self._workers:
            trainer = None if self._stack is None else self._stack.trainer(place)
            self._workers[place] = TrialWorker(
                self._setting, self._device, self._clock, trainer=trainer, metric=self._metric
            )
        self._workers[place].begin(task)
        self._place_of[task.number] = place
        return self._workers[place]

    def leave(self, number: int) -> None:
        """Its place is free."""
        place = self._place_of.pop(number, None)
        if place is not None:
            self._workers[place].end()

    def start(self, number: int, pause_seconds: float) -> None:
        """Train what the trial starts from, for about `pause_seconds`."""
        self.of(number).has_started(pause_seconds)

    @property
    def ready(self) -> list[int]:
        """Of the trials that are here, those that have their first weights."""
        return [number for number in self._place_of if self.of(number).is_started]

    def of(self, number: int) -> TrialWorker:
        """Who keeps and measures that trial."""
        return self._workers[self._place_of[number]]

    def progress(self) -> list[Progress]:
        """Of all that are here."""
        return [self.of(number).progress() for number in self._place_of]

    def train(self, pause_seconds: float, alone: Collection[int]) -> dict[int, _Trained]:
        """By number, what was trained: the `ready` ones until the first is at its rung, or about `pause_seconds`.

        alone: numbers of those of which only one is trained at a time, before all others.
        """
        ready = [number for number in self.ready if number in alone][:1] or self.ready
        place_of = {number: self._place_of[number] for number in ready}
        rungs = {place: self._rung(place) for place in place_of.values()}
        if self._stack is None:
            number, place = next(iter(place_of.items()))  # one after the other: it is at its rung the sooner
            return {number: _Trained(rungs[place], *self._workers[place].train(rungs[place], pause_seconds))}
        start = time.monotonic()
        losses = self._stack.train(rungs, lambda: time.monotonic() - start > pause_seconds)
        share = (time.monotonic() - start) / len(rungs)
        return {number: _Trained(rungs[place], losses[place], share) for number, place in place_of.items()}

    def _rung(self, place: int) -> int:
        rung = self._workers[place].next_rung
        assert rung is not None, "a trial that is over has left"
        return rung
