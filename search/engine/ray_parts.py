"""What a Ray of our own is started with: only what trials need, and workers that are ready for one when they are there.

Nobody looks at a private Ray from outside, its machines are one, its logs stay in their files, and its workers have the
environment of the driver. So it needs no dashboard, no autoscaler, nobody who sends workers' logs to the driver, and no
agents that tell of its machine or make environments. Each of these is a Python process that takes half a second to a
second of a CPU, which the workers then lack to begin.
"""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from search.engine.start_watch import replaced
from search.machine.checkout import ROOT

# A raylet begins two agents, and ends when one of them does. This stands in for both: it lives as long as the raylet.
_AGENT = """\
import os, time
raylet = os.getppid()
while os.getppid() == raylet:
    time.sleep(1)
"""
# Where the agents would listen: a raylet waits for ports that it is not told. Nobody listens there, or asks.
_PORTS = {
    "metrics-agent-port": 2,
    "metrics_export_port": 3,
    "dashboard_agent_listen_port": 4,
    "runtime_env_agent_port": 5,
}
# A worker begins with its Ray, before a trial is known, and imports meanwhile what trials are made of. Looking for
# garbage then is a quarter of its time. Ray sets the number of threads with the trial, when libraries have read it.
WORKER = """\
import gc, os, runpy, sys
gc.disable()
sys.path[0] = {root!a}
os.environ.setdefault("OMP_NUM_THREADS", "{threads}")
from ray._private.worker import Worker

def prepared(worker, main_loop=Worker.main_loop):
    try:
        import trainable.ray_trainable
    except Exception:
        pass  # the trial will tell
    gc.freeze()
    gc.enable()
    main_loop(worker)

Worker.main_loop = prepared
runpy.run_path({worker!a}, run_name="__main__")
"""


@contextmanager
def only_what_trials_need(folder: Path, workers: int, threads: int) -> Iterator[None]:
    """A Ray that is started in this block has a GCS, a raylet and so many workers of so many threads each, no more.

    folder: of this Ray; temporary files of its workers go there too. Through attributes that Ray 2.60 calls private: no
    other file touches these.
    """
    import ray
    from ray._common import utils
    from ray._private import node, parameter, services

    agent, worker = folder / "agent.py", folder / "worker.py"
    agent.write_text(_AGENT)
    of_ray = str(Path(ray.__file__).parent / "_private" / "workers" / "default_worker.py")
    worker.write_text(WORKER.format(root=str(ROOT), threads=threads, worker=of_ray))

    def none(self: Any, **options: Any) -> None:
        """Start nothing."""

    def with_worker(init: Callable[..., None]) -> Callable[..., None]:
        return lambda *arguments, **options: init(*arguments, **options, worker_path=str(worker))

    def with_agents(start: Callable[..., Any]) -> Callable[..., Any]:
        def started(command: list[str], process_type: str, *arguments: Any, **options: Any) -> Any:
            if process_type == "raylet":
                command = [*filter(_is_kept, command), *_settings(workers, agent)]
                options["env_updates"] = {**(options.get("env_updates") or {}), "TMPDIR": str(folder)}
            return start(command, process_type, *arguments, **options)

        return started

    with ExitStack() as stack:
        for name in ("start_monitor", "start_log_monitor", "start_api_server"):
            stack.enter_context(replaced(node.Node, name, lambda _: none))
        # Its folder stays this user's alone: Ray would have everybody write where its workers' program is.
        stack.enter_context(replaced(utils, "try_make_directory_shared", lambda _: lambda path: None))
        stack.enter_context(replaced(parameter.RayParams, "__init__", with_worker))
        stack.enter_context(replaced(services, "start_ray_process", with_agents))
        yield


def _settings(workers: int, agent: Path) -> list[str]:
    """Of a raylet that begins so many workers and has `agent` for its agents."""
    command = shlex.join([sys.executable, "-I", "-S", str(agent)])
    agents = {name: command for name in ("dashboard_agent_command", "runtime_env_agent_command")}
    settings = agents | _PORTS | {"num_prestart_python_workers": workers}
    return [f"--{name}={value}" for name, value in settings.items()]


def _is_kept(option: str) -> bool:
    """Whether an option of a raylet is not set here."""
    return not option.startswith(
        ("--dashboard_agent_", "--runtime_env_agent_", "--metrics", "--num_prestart_")
    )
