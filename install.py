"""Makes the virtual environment of this checkout, once: what `make setup` runs. Standard library only.

    python3 install.py FOLDER [EXTRA ...]

FOLDER is the environment, EXTRA an extra of pyproject.toml. It is ready when a file in it says for what it was made:
one that was interrupted is made anew. Of several who begin at once, on machines that share the folder too, one makes it
and the others wait. What pip prints goes into FOLDER/setup.log; its warnings are summed up.
"""

import contextlib
import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
NAMED = ("pyproject.toml", "constraints.txt")  # what the environment is made for
# k-diffusion's own requirements do not install beside numpy 2; the part of it that draws samples needs none of them.
# timm would bring a torchvision for another torch than the CPU's.
WITHOUT_REQUIREMENTS = {"conformance": ["k-diffusion==0.1.1.post1", "timm==1.0.31"]}
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--progress-bar", "off")

_MOST_SHOWN = 3  # of pip's warnings
_LAST_LINES = 5  # of the log of what failed


class _Failed(Exception):
    """One line for each reason."""


def main(folder: Path, extras: Sequence[str]) -> int:
    """Have the environment; returns the exit code."""
    try:
        if not _is_ready(folder, extras):
            with _alone(folder):
                if not _is_ready(folder, extras):  # somebody else may have made it meanwhile
                    _make(folder, extras)
        _check_runs(folder)
    except _Failed as failed:
        for line in failed.args:
            print(line, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted. The same command again begins anew", file=sys.stderr)
        return 130
    return 0


def _marker(folder: Path, extras: Sequence[str]) -> Path:
    return folder / "-".join([".ready", *extras])


def _made_for() -> str:
    """Changes with what is to be installed; times of files do not count, which differ between machines."""
    return hashlib.sha256(b"\0".join((ROOT / name).read_bytes() for name in NAMED)).hexdigest()


def _is_ready(folder: Path, extras: Sequence[str]) -> bool:
    try:
        return _marker(folder, extras).read_text() == _made_for()
    except OSError:
        return False


def _check_runs(folder: Path) -> None:
    try:
        subprocess.run([folder / "bin" / "python", "-c", ""], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise _Failed(
            f"The Python that {folder} was made with is not on this machine. Remove that folder, or name another one: "
            "make VENV=FOLDER ..."
        ) from None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else makes the environment meanwhile. The lock ends with its process, however that ends."""
    path = folder.with_name(f"{folder.name}.lock")
    try:
        lock = path.open("a")
    except OSError as error:
        raise _Failed(
            f"{path.parent.absolute()} cannot be written to ({error.strerror}). Name a folder of yours for the "
            "environment: make VENV=FOLDER ..."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for somebody else who is setting up {folder} ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path, extras: Sequence[str]) -> None:
    log = folder / "setup.log"
    print(f"Setting up {folder} (a few minutes, once). What pip prints goes into {log}", flush=True)
    if not any(folder.glob(".ready*")):  # new, or left half made
        _begin(folder)
    with log.open("wb"):
        pass
    # Of a copy, so that nothing is written into the checkout.
    project = folder / "project"
    project.mkdir(exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", project)
    wanted = f"{project.absolute()}[{','.join(extras)}]" if extras else str(project.absolute())
    _pip(folder, log, ["--constraint", str(ROOT / "constraints.txt"), wanted])
    for extra in extras:
        for package in WITHOUT_REQUIREMENTS.get(extra, []):
            _pip(folder, log, ["--no-deps", package])
    for line in _summary(log):
        print(line)
    marker = _marker(folder, extras)
    temporary = marker.with_name(f"{marker.name}.partial")
    temporary.write_text(_made_for())
    temporary.replace(marker)


def _begin(folder: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if made.returncode != 0:
        lines = made.stdout.decode(errors="replace").split("\n")
        raise _Failed(f"{folder} could not be made: {' '.join(' '.join(lines).split())[-500:]}")


def _pip(folder: Path, log: Path, arguments: Sequence[str]) -> None:
    """Run pip with its output in the log; on a terminal a line says how far it is."""
    begun = time.monotonic()
    command = [folder / "bin" / "python", *PIP, *arguments]
    with log.open("ab") as file:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert running.stdout is not None
        with running:
            for line in running.stdout:
                file.write(line)
                file.flush()
                _show_progress(line.decode(errors="replace"), time.monotonic() - begun)
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)
    if running.returncode != 0:
        lines = log.read_text(errors="replace").splitlines()
        said = [line for line in lines if line.startswith("ERROR:")] or [
            line for line in lines if line.strip()
        ]
        last = (line[:300] for line in said[-_LAST_LINES:])
        raise _Failed(*last, f"pip failed: all that it printed is in {log}. The same command again goes on")


def _show_progress(line: str, seconds: float) -> None:
    doing = re.match(r"(Collecting|Downloading|Installing|Building)\b[^\n]{0,50}", line.strip())
    if doing and sys.stdout.isatty():
        print(f"\r\033[K  {seconds // 60:.0f}m {seconds % 60:02.0f}s  {doing[0]}", end="", flush=True)


def _summary(log: Path) -> list[str]:
    """What pip warned of: what was said once, and how often the rest."""
    lines = log.read_text(errors="replace").splitlines()
    warnings = [line for line in lines if line.startswith(("WARNING:", "DEPRECATION:"))]
    # The same but for what is quoted is the same warning.
    kinds = Counter(re.sub(r"'[^']*'|\S*[/\d]\S*", "", warning) for warning in warnings)
    once = [warning[:300] for warning in warnings if kinds[re.sub(r"'[^']*'|\S*[/\d]\S*", "", warning)] == 1]
    shown = once[:_MOST_SHOWN]
    rest = len(warnings) - len(shown)
    times = "once" if len(warnings) == 1 else f"{len(warnings)} times"
    return [*shown, f"pip warned {times}; see {log}"] if rest else shown


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
