"""How these tests run searches and servers, and wait for what they do."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

BUSY = 5  # how much slower a machine may be than a quiet one


def toy(total_steps: int, max_trials: int, rest: str) -> str:
    """The text of a file of a search called toy that takes seconds. rest: what else stands in it."""
    return f"""
name: toy
data: digits
network: {{name: film_mlp, width: 16, depth: 1}}
training: {{total_steps: {total_steps}, batch_size: 32}}
objective: {{num_samples: 200}}
presets: [ict_short]
budget: {{max_trials: {max_trials}}}
{rest}"""


# A little of everything, two trials at a time.
VARIED = """
space:
  noise: {lognormal: , logsnr_laplace: }
  curriculum: {constant: {levels: {low: 5, high: 40}}}
noise_floor: {seeds: 2}
confirm: {top: 2, rounds: [2]}
resources: {max_concurrent: 2}
"""
PLAIN = """
space: {noise: {lognormal: }, curriculum: {constant: }}
noise_floor: {seeds: 0}
confirm: {top: 1, rounds: [2]}
"""


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """`python -m search ARGUMENTS` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "search", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], timeout: float = 900) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, out, err


@contextmanager
def started(command: list[str], log: Path, ready: str, **environment: str) -> Iterator[None]:
    """A process and all that it starts, from when its log says `ready`."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=stream, stderr=stream, start_new_session=True
        )

    def is_ready() -> bool:
        assert process.poll() is None, log.read_text()
        return ready in log.read_text()

    try:
        until(is_ready, 180, f"{command[0]} is ready", pause=0.3, told=log.read_text)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(
    condition: Callable[[], bool],
    seconds: float,
    what: str,
    *,
    pause: float = 0.1,
    told: Callable[[], str] = str,
) -> None:
    """Wait until `condition` holds. AssertionError with `what`, and what is `told` then, if not within `seconds`.

    seconds: on a quiet machine; a busy one has BUSY times as long.
    """
    seconds *= BUSY
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}\n{told()}"
        time.sleep(pause)


def run_script(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A Python script that has our packages, run to its end."""
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
    )


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
