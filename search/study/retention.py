"""Which trials keep their model. All others give theirs up when they have ended: disks and buckets fill up otherwise.

Kept are the last checkpoints of a trial that runs, and the final one of the best finished trials and of every
replicate on a fresh seed in the search's own setting, from which sampling levels are measured. Pictures, schedules and
values of all trials stay.
"""

import bisect
import logging
import queue
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from search.errors import OperationFailed
from search.evidence.race import RaceRules
from search.record import Purpose, State, TrialRecord
from search.study.trial_storage import TrialStorage
from trainable.storage.checkpoint import discard_checkpoints
from trainable.storage.folder import StorageError
from trainable.storage.script_checkpoints import discard_checkpoints_of_script

_log = logging.getLogger(__name__)


def remove_unknown(trials: TrialStorage, first: int) -> int:
    """Remove all files of trials from number `first` on, which the study has lost; how many trials had some.

    A new trial of that number would go on from another's checkpoint. OperationFailed where the storage cannot be used.
    """
    try:
        if not trials.folder(first).names():
            return 0
        found = (re.fullmatch(r"trials/([0-9]+)/(.+)", name) for name in trials.names())
        unknown = [(int(match[1]), match[2]) for match in found if match and int(match[1]) >= first]
        for number, name in unknown:
            trials.folder(number).remove(name)
    except StorageError as error:
        raise OperationFailed(str(error)) from error
    return len({number for number, _ in unknown})


@dataclass
class Retention:
    """Tells, trial by trial as they end, whose checkpoints can go.

    rules: of the race; as many trials are kept as can become finalists, at least one of each kind. shortlist: of how
    many proposals the finalists are chosen, if of more than are confirmed.
    """

    rules: RaceRules | None
    shortlist: int = 0
    _best: dict[Purpose, list[tuple[float, int]]] = field(default_factory=dict, init=False)

    def ended(self, record: TrialRecord) -> dict[int, int]:
        """Trial number -> how many of its checkpoints are kept from now on."""
        if record.state is not State.COMPLETE or record.objective is None:
            return {record.number: 0}
        if not record.is_comparable:
            return {record.number: 0}
        if record.replicate_of is not None:
            return {record.number: 1}
        best = self._best.setdefault(record.purpose, [])
        bisect.insort(best, (record.objective, record.number))
        rules = self.rules or RaceRules(top=1, baselines=1)
        most = max(
            1, rules.baselines if record.purpose is Purpose.BASELINE else max(rules.top, self.shortlist)
        )
        keep = {record.number: 1}
        if len(best) > most:
            _, worst = best.pop()
            keep[worst] = 0
        return keep


class Janitor:
    """Removes checkpoints that are not needed any more, on a thread: a bucket takes a tenth of a second for each file.

    What is left when a driver is killed, or where the storage did not answer,
    the next driver removes: it begins with `restored`.
    """

    def __init__(self, retention: Retention, trials: TrialStorage, *, of_script: bool = False):
        """of_script: a script trains the trials, and its checkpoints are what is in `checkpoints/` of their folders."""
        self._retention = retention
        self._discard = discard_checkpoints_of_script if of_script else discard_checkpoints
        self._trials = trials
        self._to_do: queue.SimpleQueue[dict[int, int] | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="janitor", daemon=True)
        self._thread.start()

    def restored(self, records: Iterable[TrialRecord]) -> None:
        """The trials that the study knows already."""
        keep: dict[int, int] = {}
        for record in records:
            if record.state is not State.RUNNING:
                keep |= self._retention.ended(record)
        if keep:
            self._to_do.put(keep)

    def ended(self, record: TrialRecord) -> None:
        """One more trial has ended."""
        self._to_do.put(self._retention.ended(record))

    def close(self, seconds: float) -> None:
        """Finish within about `seconds`; the next driver does the rest."""
        self._to_do.put(None)
        self._thread.join(seconds)
        self._closed.set()

    def _work(self) -> None:
        while (keep := self._to_do.get()) is not None and not self._closed.is_set():
            # Numbers of folders with something to remove: looked up at once where there are many.
            numbers = keep.keys() & self._with_checkpoints() if len(keep) > 2 else keep.keys()
            for number in sorted(numbers):
                if self._closed.is_set():
                    return
                try:
                    self._discard(self._trials.folder(number), keep=keep[number])
                except Exception as error:  # it costs space only
                    _log.warning("the checkpoints of trial %d stay: %s", number, error)

    def _with_checkpoints(self) -> set[int]:
        try:
            names = self._trials.names()
        except Exception as error:
            _log.warning("the checkpoints of earlier trials stay: %s", error)
            return set()
        found = (
            re.fullmatch(r"trials/([0-9]+)/([0-9]+\.(json|safetensors)|checkpoints/.+)", name)
            for name in names
        )
        return {int(match[1]) for match in found if match}
