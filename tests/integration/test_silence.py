"""A search whose workers never start: it says so, and ends."""

from pathlib import Path

import pytest

from tests.integration.running import PLAIN, run_script, toy

pytestmark = pytest.mark.integration

DRIVER = """
import sys
from search.engine import ray_parts
from search.running import driver
from search.screen import signs_of_life
from search import cli

said, loop = "print('no trial here', file=sys.stderr)", "import time; time.sleep(600)"
ray_parts.WORKER = ray_parts.WORKER.replace("gc.disable()", said).replace("main_loop(worker)", loop)
signs_of_life.SILENCE_SECONDS = 2.0
driver.START_SECONDS = 8.0
sys.exit(cli.main(["run", sys.argv[1]]))
"""


def test_workers_that_never_start_end_the_search_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text(f"{toy(40, 2, PLAIN)}\nstorage: {{path: {tmp_path / 'runs'}}}\n")
    done = run_script(DRIVER, file)
    assert done.returncode == 1
    *warnings, line = done.stderr.splitlines()  # a busy machine may have left MLflow behind
    assert all(warning.startswith("warning: ") for warning in warnings), done.stderr
    assert line.startswith("error: no worker has started in ")
    assert "no trial here" in line and "python -m search doctor" in line
    assert "from the workers, which are to start; last in " in done.stdout
    kept = (tmp_path / "runs" / "toy" / "search.log").read_text()
    assert "from the workers, which are to start" in kept
    assert "raylet.err:\n" in kept
