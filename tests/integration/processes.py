"""The processes of a running search, found by what the system tells of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Found:
    """A process that runs. session: its session's id. command: its command line, arguments separated by spaces."""

    pid: int
    session: int
    command: str

    @property
    def is_worker(self) -> bool:
        """Whether it runs trials."""
        return "Trainable" in self.command

    @property
    def is_raylet(self) -> bool:
        return self.command.partition(" ")[0].endswith("/raylet")

    @property
    def is_gcs(self) -> bool:
        return self.command.partition(" ")[0].endswith("/gcs_server")


def processes() -> Iterator[Found]:
    """All that can be seen, ended ones that nobody has waited for left out."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            command = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if state != "Z":
            yield Found(int(folder.name), int(session), command.replace(b"\0", b" ").decode(errors="replace"))


def in_session(session: int) -> list[Found]:
    """Those of a session, such as all that one driver has started."""
    return [process for process in processes() if process.session == session]


def workers_of(session: int) -> list[int]:
    """Process ids of those of a session that run trials."""
    return [process.pid for process in in_session(session) if process.is_worker]


def started_with(setting: str) -> list[Found]:
    """Those that have the environment variable `setting` ("NAME=value") from their start."""
    return [process for process in processes() if setting.encode() in _environment(process.pid)]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
