"""The engine on a Ray that outlives a search, as a cluster's does, and a second Ray after it."""

from pathlib import Path

import pytest

from tests.integration.running import run_script

pytestmark = pytest.mark.integration

DRIVER = """
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench.speed.driver import NoopSearch
from search.algorithms.random import Random
from search.engine.ray_here import local_ray
from search.running.plan_of import plan_of
from search.file.spec import load_spec

spec = load_spec("searches/digits.yaml")
plan = replace(plan_of(spec, 2), algorithm=Random(), max_trials=8, race=None, holds=None, noise_seeds=0)
for rays in range(2):
    with local_ray(num_cpus=2, num_gpus=0) as ray_folder:
        import ray

        for number in range(2):
            search = NoopSearch(spec, plan, Path(sys.argv[1], f"{rays}-{number}"), tracking=True)
            search.with_ray(ray_folder / f"{number}", spec.resources.cpu)
            assert search.conductor.finished
            deadline = time.monotonic() + 30
            while ray.available_resources().get("CPU") != 2:
                assert time.monotonic() < deadline, "the search holds its slots"
                time.sleep(0.1)
"""


# Workers are killed while they change to trial 3, one, and to trial 5, three.
LOSING = """
import logging
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

from bench.speed.driver import NoopSearch
from search.algorithms.random import Random
from search.engine.ray_here import local_ray
from search.file.spec import load_spec
from search.record import State
from search.running.plan_of import plan_of

folder = Path(sys.argv[1])
spec = load_spec("searches/digits.yaml")
plan = replace(plan_of(spec, 2), algorithm=Random(), max_trials=8, race=None, holds=None, noise_seeds=0)
logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
with local_ray(num_cpus=2, num_gpus=0) as ray_folder:
    from ray import tune

    from bench.speed.noop_trainable import NoopTrainable
    from search.engine.tune import Slots, run_trials

    class Dying(NoopTrainable):
        def reset_config(self, new_config):
            number = new_config["task"]["number"]
            losses = folder / f"losses-{number}"
            if number in (3, 5) and (not losses.exists() or losses.stat().st_size < number - 2):
                with losses.open("a") as file:
                    file.write("x")
                os.kill(os.getpid(), signal.SIGKILL)
            return super().reset_config(new_config)

    search = NoopSearch(spec, plan, folder / "search", tracking=False)
    run_trials(
        search.conductor,
        trainable=tune.with_parameters(Dying, objective=search.objective),
        slots=Slots(cpu=1, gpu=0),
        trials=str(folder),
        ray_folder=ray_folder,
        interrupted=threading.Event(),
    )
    assert search.conductor.finished
    for record in search.conductor.records.values():
        print(f"{record.number}: {record.state} {record.reason}")
"""


def run(script: str, folder: Path) -> str:
    """What the script shows of a search in `folder`."""
    done = run_script(script, folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_search_leaves_its_slots_to_the_next_one(tmp_path: Path) -> None:
    run(DRIVER, tmp_path)


def test_a_worker_that_is_lost_between_two_trials_is_one_loss(tmp_path: Path) -> None:
    shown = run(LOSING, tmp_path)
    num_ended = shown.count(": complete None") + shown.count(": stopped None")
    assert num_ended == 8 and ": failed" not in shown, shown
    # Tune replaces a worker that is lost when it is to be used again, and tells nobody.
    for number, losses in ((3, 1), (5, 3)):
        assert (tmp_path / f"losses-{number}").stat().st_size == losses
        assert shown.count(f"trial {number} lost its worker") <= losses, shown
