"""The process of a script: started, watched, ended with all that it started."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainable.command import keeper

GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL
_SLACK_SECONDS = 20.0  # of a keeper on a busy machine
_TAIL_BYTES = 8192
_TAIL_LINES = 3
_START = "\n--- "  # of the line that tells when, where and how a script was started


class ScriptProcess:
    """A command that runs. log: file to which its output is appended.

    environment: variables beside those of this process. It ends with this process, however that ends.
    """

    def __init__(self, command: Sequence[str], *, cwd: Path, log: Path, environment: Mapping[str, str]):
        self.log = log
        self._said: str | None = None  # by the keeper, at the end
        with log.open("ab") as output:
            started = (
                f"\n--- {time.strftime('%Y-%m-%d %H:%M:%S')} on {socket.gethostname()}: {' '.join(command)}\n"
            )
            output.write(started.encode())
            output.flush()
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", keeper.__file__, str(GRACE_SECONDS), *command],
                cwd=cwd,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,  # Ctrl-C in a terminal does not reach it
            )

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within so long."""
        assert self._keeper.stdout is not None
        if self._said is None and select.select([self._keeper.stdout], [], [], seconds)[0]:
            self._said = self._keeper.stdout.read().decode(errors="replace").strip()
            self._keeper.wait()
            self._close()
        return self._said is not None

    def end(self) -> None:
        """SIGTERM to its process group, SIGKILL to what is left of it GRACE_SECONDS later."""
        if self._said is None:
            assert self._keeper.stdin is not None
            self._keeper.stdin.close()
            if not self.wait(GRACE_SECONDS + _SLACK_SECONDS):
                self._keeper.kill()  # the command dies with it
                self.wait(_SLACK_SECONDS)

    def _close(self) -> None:
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            if pipe is not None:
                pipe.close()

    def problem(self) -> str | None:
        """How it ended, None: well. To be asked when it has ended."""
        word, _, rest = (self._said or "").partition(" ")
        if word == "refused":
            return f"it could not be started: {rest}"
        if word != "ended":
            return "it was killed with the process that watched it"
        code = int(rest)
        if code < 0:
            name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
            why = ", perhaps for want of memory" if -code == signal.SIGKILL else ""
            return f"it was killed ({name}{why})"
        return f"it ended with exit code {code}" if code else None


def last_lines(log: Path) -> list[str]:
    """The last lines of the log that say something, since the script was started last; at most three."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    if _START in text:
        text = text.rpartition(_START)[2].partition("\n")[2]
    # A progress bar writes over its line.
    lines = [" ".join(line.rpartition("\r")[2].split()) for line in re.split(r"\r?\n", text)]
    return [line for line in lines if line][-_TAIL_LINES:]
