"""One trial at a time, each a process of a script: start it, read its reports, end it.

The script runs on after a rung while the driver decides; it is ended when it is not to go on. In the trial's folder are
its schedule, its reports, its output, its checkpoints and whatever else it writes, and what was read so far.
"""

import json
import math
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from spaces import NoiseSchedule
from trainable.command.mirror import Mirror
from trainable.command.process import ScriptProcess, last_lines
from trainable.command.reports import Reports, ScriptFailed
from trainable.command.script import FILLED_IN, Script
from trainable.storage.folder import StorageError
from trainable.storage.location import is_bucket, open_folder, under
from trainable.storage.mark import check_mark
from trainable.storage.script_checkpoints import discard_checkpoints_of_script
from trainable.task import (
    OUT_OF_MEMORY,
    OUTPUT_FILE,
    READ_FILE,
    REPORTS_FILE,
    SCHEDULE_FILE,
    Progress,
    TrialTask,
)

STORAGE_PATIENCE_SECONDS = 600.0  # how long a trial waits for a storage that does not answer
_POLL_SECONDS = 0.1
_TOLD = 200  # characters of a line
# What torch and CUDA say when the memory of a GPU is not enough.
_OUT_OF_MEMORY = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "OutOfMemoryError",
    "_STATUS_ALLOC_FAILED",
)
_OURS = (READ_FILE, OUTPUT_FILE)  # they stay where a script begins anew


class ScriptWorker:
    """Runs trials one after another.

    environment: variables for a script beside those of this process. clock: wall-clock seconds, for report times.
    """

    def __init__(
        self, script: Script, environment: Mapping[str, str], clock: Callable[[], float] = time.time
    ):
        self.setting = script
        self._environment = environment
        self._clock = clock
        self._process: ScriptProcess | None = None
        self._mirror: Mirror | None = None

    def begin(self, task: TrialTask) -> None:
        """Make `task` the current trial, and run its script unless all rungs are reported. Raises StorageError."""
        self.end()
        if task.mark is not None and task.search_location is not None:
            check_mark(open_folder(task.search_location), task.mark)
        self._task, self._folder = task, self._folder_here(task)
        self._files = open_folder(self._folder, patience_seconds=STORAGE_PATIENCE_SECONDS)
        kept = self._kept()
        self._offset, self._seconds_before = kept.pop("offset"), kept.pop("seconds")
        self._reports = Reports(self.setting.objective, self.setting.counter, task.rungs, **kept)
        self._started_at: float | None = None
        if self._seconds_before is not None and not self.setting.resumes and not self._is_over:
            self._clear()
        self._catch_up()
        # Reports that were read but perhaps did not reach the driver are sent at once.
        self._replay = bool(self._reports.taken)
        if not self._is_over:
            self._start()

    def _folder_here(self, task: TrialTask) -> Path:
        """Where the script writes: the trial's folder, or, where that is in a bucket, one of this machine like it."""
        if not is_bucket(task.folder):
            return Path(task.folder)
        self._mirror = Mirror(task.folder, STORAGE_PATIENCE_SECONDS)
        self._mirror.fetch()
        return self._mirror.folder

    @property
    def _is_over(self) -> bool:
        return self._reports.next_rung is None or self._reports.has_diverged

    def _kept(self) -> dict[str, Any]:
        """What was read of the trial before; what a new one begins with where that cannot be made out."""
        kept: dict[str, Any] = {
            "offset": 0,
            "seconds": None,
            "taken": [],
            "files": [],
            "at": 0.0,
            "num_lines": 0,
        }
        with suppress(ValueError, AttributeError):
            found = json.loads(self._files.read(READ_FILE) or b"")
            kept = {key: found.get(key, value) for key, value in kept.items()}
        return kept

    def _keep(self) -> None:
        reports = self._reports
        kept = {
            "offset": self._offset,
            "seconds": self._seconds,
            "taken": reports.taken,
            "files": reports.files,
            "at": reports.at,
            "num_lines": reports.num_lines,
        }
        self._files.write(READ_FILE, json.dumps(kept).encode())

    @property
    def _seconds(self) -> float:
        """For how long the script has run, earlier runs included."""
        running = 0.0 if self._started_at is None else time.monotonic() - self._started_at
        return (self._seconds_before or 0.0) + running

    def _clear(self) -> None:
        """A script that cannot resume begins anew, in a folder without what it wrote."""
        for path in self._folder.iterdir():
            if path.name not in _OURS:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self._offset, self._reports.at = 0, 0.0

    def _catch_up(self) -> None:
        """Read what was reported while nobody listened. A line that was cut goes with the script that wrote it."""
        for line in self._lines():
            with suppress(ScriptFailed):
                self._take(line, may_go_back=True)
        with suppress(FileNotFoundError):
            os.truncate(self._folder / REPORTS_FILE, self._offset)
        self._reports.started()

    def _start(self) -> None:
        schedule = NoiseSchedule.from_dict(self._task.schedule)
        from spaces.document.writing import trial_document  # where a search is looked at, nobody writes one

        document = trial_document(schedule, self._task.rungs[-1], self.setting.objective, self._task.seed)
        self._files.write(SCHEDULE_FILE, json.dumps(document, indent=1).encode())
        self._started_at = time.monotonic()
        self._keep()
        self._heard_at, self._heard = self._started_at, -1
        self._process = ScriptProcess(
            [self._filled_in(word) for word in self.setting.command],
            cwd=Path(self.setting.code) if self._mirror is None else self._mirror.code(self.setting.code),
            log=self._folder / OUTPUT_FILE,
            environment=self._environment,
        )

    def _filled_in(self, word: str) -> str:
        values = (
            str(self._folder / SCHEDULE_FILE),
            str(self._task.seed),
            str(self._folder),
            str(self._task.rungs[-1]),
            ",".join(map(str, self._task.rungs)),
            sys.executable,
        )
        filled_in = dict(zip(FILLED_IN, values, strict=True))
        return re.sub(r"\{([a-z_]+)\}", lambda match: filled_in.get(match[1], match[0]), word)

    def advance(self, pause_seconds: float = math.inf) -> Progress:
        """Wait for the report of the next rung, or for about `pause_seconds`."""
        if self._replay:
            self._replay = False
            return self._progress()
        until, before = time.monotonic() + pause_seconds, len(self._reports.taken)
        try:
            while self._process is not None and not self._take_rung() and not self._has_ended():
                self._check_signs_of_life()
                if time.monotonic() >= until:
                    break
        except ScriptFailed as error:
            self._stop()
            self._send(is_news=True)
            return self._failed(str(error))
        if self._reports.has_diverged:
            self._stop()
        self._send(is_news=self._process is None or len(self._reports.taken) > before)
        return self._progress()

    def _send(self, *, is_news: bool) -> None:
        """Where the storage is a bucket: what is reported is in it, all else about every minute."""
        if self._mirror is not None:
            self._mirror.send_now() if is_news else self._mirror.send_behind()

    def _take_rung(self) -> bool:
        """Read what was reported, up to the next rung; whether that was reported."""
        return any(self._take(line) for line in self._lines())

    def _take(self, line: str, *, may_go_back: bool = False) -> bool:
        if not self._reports.take(line, int(self._clock() * 1000), may_go_back=may_go_back):
            return False
        self._reports.taken[-1]["metrics"].setdefault("train_seconds", self._seconds)
        self._keep()
        return True

    def _lines(self, *, to_the_end: bool = False) -> Iterator[str]:
        """The lines that were not read yet. to_the_end: a last one that was not ended, too."""
        try:
            file = (self._folder / REPORTS_FILE).open("rb")
        except FileNotFoundError:
            return
        with file:
            if file.seek(0, os.SEEK_END) < self._offset:  # the script has begun its file anew
                self._offset = 0
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n") and not to_the_end:
                    return
                self._offset += len(line)
                if line.strip():
                    yield line.decode("utf-8", "replace")

    def _has_ended(self) -> bool:
        """Whether the script has ended, after a moment; ScriptFailed if not as it should."""
        assert self._process is not None
        if not self._process.wait(_POLL_SECONDS):
            return False
        if any(self._take(line) for line in self._lines(to_the_end=True)):
            return True  # a rung at a time: the rest is read when the driver has decided
        if (problem := self._process.problem()) is not None:
            raise ScriptFailed(problem)
        self._reports.check_complete()
        self._process = None
        return True

    def _check_signs_of_life(self) -> None:
        """End a script that goes on after its last rung; ScriptFailed for one that is silent for too long."""
        now, size = time.monotonic(), sum(map(self._size_of, (REPORTS_FILE, OUTPUT_FILE)))
        if size != self._heard:
            self._heard_at, self._heard = now, size
        is_silent = now - self._heard_at > self.setting.patience_seconds
        if self._reports.next_rung is None and (is_silent or self._reports.goes_on):
            self._stop()
        elif is_silent:
            raise ScriptFailed(
                f"it has said nothing for {self.setting.patience_seconds:g} s (trainer.patience)"
            )

    def _size_of(self, name: str) -> int:
        try:
            return (self._folder / name).stat().st_size
        except OSError:
            return 0

    def end(self, *, is_over: bool = False) -> None:
        """The script is not gone on with here: end it. What it has kept stays.

        is_over: it was stopped for good. The driver has removed the checkpoints that it saw; a script that is ended may
        save another.
        """
        ran = self._process is not None
        self._stop()
        if ran:
            with suppress(StorageError):
                self._keep()  # for how long it ran: of one that begins anew that counts too
        if ran and is_over and not self._is_over:
            discard_checkpoints_of_script(self._files)
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None

    def _stop(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    def _progress(self) -> Progress:
        reports = self._reports
        over = "diverged" if reports.has_diverged else "complete" if reports.next_rung is None else None
        return Progress(
            number=self._task.number,
            step=self._step,
            reports=list(reports.taken),
            outcome=over if self._process is None else None,
        )

    @property
    def _step(self) -> int:
        """Where the trial stands: not past a rung that it has not reported."""
        last = self._reports.taken[-1]["step"] if self._reports.taken else 0
        return max(last, int(min(self._reports.at, self._reports.next_rung or 0)))

    def _failed(self, what: str) -> Progress:
        said = last_lines(self._folder / OUTPUT_FILE)
        where = f" at {self.setting.counter} {self._reports.at:g}" if self._reports.num_lines else ""
        quoted = f", and said last: {' | '.join(line[:_TOLD] for line in said)}" if said else ""
        is_memory = any(text in line for text in _OUT_OF_MEMORY for line in said)
        prefix = f"{OUT_OF_MEMORY} of the GPU slice: " if is_memory else ""
        return Progress(
            number=self._task.number,
            step=self._step,
            reports=list(self._reports.taken),
            outcome=OUT_OF_MEMORY if is_memory else "failed",
            reason=f"{prefix}{what}{where}{quoted} ({under(self._task.folder, OUTPUT_FILE)})",
        )

    def out_of_memory(self, error: BaseException) -> Progress:
        """The answer for the current trial where this process itself had too little memory."""
        self._stop()
        return self._failed(str(error))
