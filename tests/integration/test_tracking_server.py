"""Tracking against a real MLflow server that is killed and comes back, and the `ui` verb's server."""

import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.machine.mlflow_options import HOST, free_port
from search.record import State
from search.tracking import Projection, Tracker, names, reconcile
from search.tracking.server import mlflow_server
from tests.records import OBJECTIVE, full_record

pytestmark = pytest.mark.integration


def test_a_server_killed_during_tracking_ends_with_every_value(tmp_path: Path) -> None:
    uri, log = f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "server.log"
    port = free_port()
    url = f"http://{HOST}:{port}"
    projection = Projection(
        url, search_name="s", objective=OBJECTIVE, total_steps=100, folder=tmp_path / "s", study_id="abc"
    )
    tracker = Tracker(projection, linger=0.0)
    num_trials, num_reports = 6, 4
    slowest = 0.0

    def put(number: int, reports: int, state: State) -> None:
        nonlocal slowest
        start = time.perf_counter()
        tracker.put(full_record(number, state, reports))
        slowest = max(slowest, time.perf_counter() - start)

    with mlflow_server(uri, tmp_path / "artifacts", port, log) as server:
        for number in range(num_trials):
            put(number, 1, State.RUNNING)
        deadline = time.monotonic() + 60
        while tracker.num_waiting > num_trials // 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(server.pid, signal.SIGKILL)
    for reports in range(2, num_reports + 1):
        for number in range(num_trials):
            put(number, reports, State.RUNNING)
    for number in range(num_trials):
        put(number, num_reports, State.COMPLETE)
    assert tracker.num_waiting >= num_trials
    with mlflow_server(uri, tmp_path / "artifacts", port, log):
        assert not tracker.close(timeout=120)
        client = MlflowClient(url)
        found = client.search_runs([projection.runs.experiment_id], f"tags.`{names.ROLE}` = 'trial'")
        assert sorted(int(run.data.tags[names.TRIAL]) for run in found) == list(range(num_trials))
        for run in found:
            number = int(run.data.tags[names.TRIAL])
            values = [metric.value for metric in client.get_metric_history(run.info.run_id, OBJECTIVE)]
            assert values == [100.0 / step + number for step in range(1, num_reports + 1)]
            assert run.info.status == "FINISHED"
            files = {file.path for file in client.list_artifacts(run.info.run_id)}
            assert files == {"schedule.json", "sigma_density.png"}
        records = [full_record(number, State.COMPLETE, num_reports) for number in range(num_trials)]
        assert not reconcile(records, projection)
    assert slowest < 0.1


def test_the_server_answers_only_its_own_address_and_leaves_no_process(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://{HOST}:{port}/api/2.0/mlflow/experiments/search?max_results=1"

    def status(**headers: str) -> int:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    with mlflow_server(
        f"sqlite:///{tmp_path / 'm.db'}", tmp_path / "artifacts", port, tmp_path / "log"
    ) as server:
        group = server.pid
        assert status() == 200
        assert status(Host=f"localhost:{port}") == 200
        assert status(Host="example.com") == 403
        assert status(Host=f"{HOST}:{port + 1}") == 403
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
    assert free_port(port) == port
