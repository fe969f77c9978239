"""Twenty kills of random parts during one search: it ends as one that nobody disturbed."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest
from mlflow import MlflowClient

from search.machine.mlflow_options import HOST, server_environment
from search.record import TrialRecord
from search.running.search import Search
from search.tracking import names
from tests.integration.processes import Found, in_session, started_with
from tests.integration.running import VARIED, finish, free_ports, start, toy, until

pytestmark = pytest.mark.integration

SEED = 20
PARTS = ("driver", "worker", "raylet", "gcs", "mlflow")
KILLS_OF_EACH = 4
# One trial at a time: what comes next does not hang on how long each took, so both searches train the same trials.
SEARCH = toy(2000, 16, VARIED.replace("max_concurrent: 2", "max_concurrent: 1"))
PATIENCE = 300.0  # seconds for each thing that is waited for, on a machine with other work


class Server:
    """An MLflow server on a database in a folder, at one port. Use as a context manager."""

    def __init__(self, folder: Path):
        [port] = free_ports(1)
        self.uri, self.database = f"http://{HOST}:{port}", f"sqlite:///{folder / 'mlflow.db'}"
        self._environment = server_environment(self.database, (folder / "artifacts").as_uri(), port)
        self._log = folder / "server.log"

    def __enter__(self) -> Self:
        self._start()
        until(self.answers, PATIENCE, "the MLflow server answers", told=self._log.read_text)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server"],
                stdout=log,
                stderr=log,
                env=os.environ | self._environment,
                start_new_session=True,
            )

    def _end(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def kill(self) -> None:
        """It comes back in its own time."""
        self._end()
        self._start()


class Disturbed:
    """A search whose parts can be killed, and which is started again as often as its driver was.

    mark: an environment variable by which all its processes are known. temporary: where its temporary files go.
    """

    def __init__(self, file: Path, folder: Path, server: Server, temporary: Path):
        self.mark = f"CHAOS={folder}"
        self._file, self._folder, self._server, self._temporary = file, folder, server, temporary
        self._seen: set[Path] = set()
        self.process = self._started()

    def _started(self) -> subprocess.Popen[str]:
        name, _, value = self.mark.partition("=")
        return start("run", self._file, **{name: value, "TMPDIR": str(self._temporary)})

    def make_progress(self, times: int) -> None:
        """Wait for so many checkpoints that were not there when something was killed last."""
        for _ in range(times):
            until(self._has_progress, PATIENCE, "a trial goes on", pause=0.02, told=self._told)

    def _has_progress(self) -> bool:
        if self.process.poll() is not None:
            self._go_on()
        there = set(self._folder.glob("trials/*/*.json"))
        fresh, self._seen = there - self._seen, self._seen | there
        return bool(fresh)

    def _go_on(self) -> None:
        """Start it again where it said that it was stopped; it may not be over yet."""
        code, out, err = finish(self.process)
        assert (code, len(err.splitlines()), has_lost_ray(err)) == (1, 1, True), (code, out, err)
        self.process = self._started()

    def kill(self, part: str) -> None:
        """Kill a part as soon as it is there."""
        if part == "driver":
            self.process.kill()
            self.process.communicate()
            self.process = self._started()
        elif part == "mlflow":
            self._server.kill()
        else:
            until(
                lambda: bool(self._parts(part)), PATIENCE, f"there is a {part}", pause=0.02, told=self._told
            )
            os.kill(self._parts(part)[0].pid, signal.SIGKILL)

    def _parts(self, part: str) -> list[Found]:
        return [found for found in in_session(self.process.pid) if getattr(found, f"is_{part}")]

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of the driver that comes to the end."""
        code, out, err = finish(self.process, timeout=PATIENCE * 3)
        if code == 1 and has_lost_ray(err):
            code, out, err = finish(self._started(), timeout=PATIENCE * 3)
        return code, out, err

    def _told(self) -> str:
        log = self._folder / "search.log"
        return log.read_text()[-3000:] if log.exists() else "no log"


def has_lost_ray(err: str) -> bool:
    """Whether a driver has ended because Ray lost a part, in a trial or while it was started again."""
    return "Ray was lost" in err or "Ray did not start" in err


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files, with a path that is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))
    yield folder
    for left in folder.iterdir():
        raise AssertionError(f"left in the temporary folder: {left}")
    folder.rmdir()


@pytest.mark.timeout(3600)
def test_twenty_kills_of_random_parts_change_nothing(tmp_path: Path, temporary: Path) -> None:
    kills = list(PARTS * KILLS_OF_EACH)
    dice = random.Random(SEED)
    dice.shuffle(kills)
    print(f"seed {SEED}: {', '.join(kills)}")
    undisturbed = search_calmly(
        tmp_path / "calm"
    )  # beside the other: neither hangs on how long a trial takes
    home = tmp_path / "disturbed"
    home.mkdir()
    with Server(home) as server:
        search = Disturbed(file_in(home, server.uri), home / "runs" / "toy", server, temporary)
        for number, part in enumerate(kills, start=1):
            search.make_progress(dice.randint(1, 2))
            print(f"kill {number}: {part}", flush=True)
            search.kill(part)
        code, _, err = search.end()
        assert code == 0, err
        if "MLflow is not up to date" in err:  # what it says is done
            until(server.answers, PATIENCE, "the MLflow server answers")
            assert finish(start("reconcile", "toy", "--storage", home / "runs"))[0] == 0
    until(
        lambda: not started_with(search.mark),
        PATIENCE,
        "no process is left",
        told=lambda: str(started_with(search.mark)),
    )
    code, _, err = finish(undisturbed, timeout=3 * PATIENCE)
    assert (code, err) == (0, "")
    calm, disturbed = (Search.open("toy", str(folder / "runs")) for folder in (tmp_path / "calm", home))
    assert [told(record) for record in disturbed.records()] == [told(record) for record in calm.records()]
    assert claims(disturbed) == claims(calm)
    check_tracked(disturbed.records(), server.database)


def file_in(folder: Path, mlflow_uri: str | None = None) -> Path:
    """A search file whose results go into `folder`."""
    tracking = "" if mlflow_uri is None else f", mlflow_uri: '{mlflow_uri}'"
    file = folder / "toy.yaml"
    file.write_text(f"{SEARCH}\nstorage: {{path: {folder / 'runs'}{tracking}}}\n")
    return file


def search_calmly(folder: Path) -> subprocess.Popen[str]:
    folder.mkdir()
    return start("run", file_in(folder))


def told(record: TrialRecord) -> dict[str, Any]:
    """All that does not hang on when it happened."""
    reports = [
        (report.step, report.objective, {k: v for k, v in report.metrics.items() if k != "train_seconds"})
        for report in record.reports
    ]
    plain = {
        name: getattr(record, name)
        for name in ("number", "purpose", "state", "schedule", "seed", "params", "replicate_of", "reason")
    }
    return plain | {"reports": reports, "condemned_at": record.condemned_at}


def claims(search: Search) -> str:
    """The leaderboard as JSON."""
    return json.dumps(search.result().to_dict(), sort_keys=True)


def check_tracked(records: list[TrialRecord], database: str) -> None:
    """MLflow has each trial once, ended, with all its values, and the search's own run."""
    client = MlflowClient(database)
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [run for run in runs if run.data.tags[names.ROLE] == "parent"]
    assert [parent.info.status for parent in parents] == ["FINISHED"]
    trials = {int(run.data.tags[names.TRIAL]): run for run in runs if run.data.tags[names.ROLE] == "trial"}
    assert len(runs) == 1 + len(trials)
    assert sorted(trials) == [record.number for record in records]
    for record in records:
        run = trials[record.number]
        assert run.info.status == "FINISHED"
        for metric in record.reports[-1].metrics:
            history = client.get_metric_history(run.info.run_id, metric)
            assert [(point.step, point.value) for point in history] == [
                (report.step, report.metrics[metric]) for report in record.reports
            ]
