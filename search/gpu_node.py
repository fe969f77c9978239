"""What `ray start` needs to know of the GPUs of its machine and does not find out: MIG devices, MPS.

examples:
  eval "$(python -m search.gpu_node)"; ray start --address=HEAD:6379 $RAY_GPUS
  SCHEDULE_SEARCH_MPS=1 python -m search.gpu_node

Prints shell text, nothing on a machine without GPUs or with whole ones. Ray counts physical cards, so a card that is
divided by MIG would be one GPU; here each of its devices becomes one. With SCHEDULE_SEARCH_MPS=1 the control daemon
of NVIDIA's MPS is started, through which the processes on a card run side by side instead of in turns. What could not
be done is said on stderr; the exit code is 0, since the machine can be used all the same.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from search.machine.gpus import VISIBLE, mig_devices_in

MPS = "SCHEDULE_SEARCH_MPS"
# The folders of NVIDIA's own example: the default one for logs belongs to root.
MPS_FOLDERS = {"CUDA_MPS_PIPE_DIRECTORY": "/tmp/nvidia-mps", "CUDA_MPS_LOG_DIRECTORY": "/tmp/nvidia-log"}

_CARD = re.compile(r"GPU \d+: .*\(UUID: (GPU-[\w-]+)\)")
_MIG_DEVICE = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[\w/-]+)\)")

# Runs a command: its output, or None if it is not there or fails.
Run = Callable[[Sequence[str]], str | None]


def devices(listing: str) -> tuple[list[str], set[str]]:
    """From the output of `nvidia-smi -L`: the UUIDs that a process may be given, and the kinds of MIG devices.

    A card with MIG devices stands for these, another one for itself.
    """
    found: list[str] = []
    kinds: set[str] = set()
    card = None
    for line in listing.splitlines():
        if match := _CARD.match(line):
            card = match[1]
            found.append(card)
        elif match := _MIG_DEVICE.match(line):
            if card in found:
                found.remove(card)
            kinds.add(match[1])
            found.append(match[2])
    return found, kinds


def start_text(environ: Mapping[str, str], run: Run, say: Callable[[str], object]) -> str:
    """The shell text for this machine. Starts MPS if the environment asks for it. say: for warnings, a line each."""
    given = environ.get(VISIBLE)
    parts = []
    if given is not None:
        num_mig = mig_devices_in(given)
        if num_mig:
            parts.append(f"RAY_GPUS=--num-gpus={len(given.split(','))}")
    else:
        found, kinds = devices(run(["nvidia-smi", "-L"]) or "")
        num_mig = len([uuid for uuid in found if uuid.startswith("MIG-")])
        if num_mig:
            parts.append(f"export {VISIBLE}={','.join(found)}; RAY_GPUS=--num-gpus={len(found)}")
        if len(kinds) > 1 or 0 < num_mig < len(found):
            say("the GPU devices of this machine differ in size: slices of them will, too")
    if environ.get(MPS) == "1":
        if num_mig:
            say(f"{MPS}=1 has no effect with MIG devices, which run side by side as they are")
        else:
            folders = [f"{name}={environ.get(name, folder)}" for name, folder in MPS_FOLDERS.items()]
            if run(["env", *folders, "nvidia-cuda-mps-control", "-d"]) is None:
                say("nvidia-cuda-mps-control -d failed: MPS is not installed, or it runs already")
            parts.append(f"export {shlex.join(folders)}")
    return "; ".join(parts)


def _run(command: Sequence[str]) -> str | None:
    # A daemon keeps what it is given as its output: not the pipe that the shell reads this program's text from.
    daemon = command[-1] == "-d"
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if daemon else subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout or "") if done.returncode == 0 else None


def main() -> int:
    text = start_text(os.environ, _run, lambda line: sys.stderr.write(f"gpu_node: {line}\n"))
    sys.stdout.write(f"{text}\n" if text else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
