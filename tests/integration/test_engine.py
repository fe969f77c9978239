"""The engine on a Ray that outlives a search, as a cluster's does, and a second Ray after it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.running import ROOT

pytestmark = pytest.mark.integration

DRIVER = """
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench.speed.driver import NoopSearch
from search.algorithms.random import Random
from search.engine.ray_here import local_ray
from search.run.plan_of import plan_of
from search.file.spec import load_spec

spec = load_spec("searches/digits.yaml")
plan = replace(plan_of(spec, 2), algorithm=Random(), max_trials=8, race=None, noise_seeds=0)
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


def test_a_search_leaves_its_slots_to_the_next_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, tmp_path],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
