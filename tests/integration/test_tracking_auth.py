"""Runs, data sets and models on an MLflow server that asks for a password; the model loads in another process."""

import base64
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from search.machine.mlflow_options import HOST, free_port
from search.record import TrialRecord
from search.tracking import Projection, names
from search.tracking.server import mlflow_server
from tests.integration.running import ROOT
from tests.records import OBJECTIVE, full_record
from trainable.network import NETWORKS
from trainable.task import OWN

pytestmark = pytest.mark.integration

USER, PASSWORD = "ada", "a-long-password"


LOAD = """
import sys, torch, mlflow
for address in sys.argv[1:]:
    model = mlflow.pytorch.load_model(address)
    print(tuple(model(torch.zeros(2, 1, 8, 8), torch.zeros(2)).shape))
"""


def network(record: TrialRecord) -> torch.nn.Module:
    assert record.number == 1
    return NETWORKS.build({"name": "film_mlp", "width": 8, "depth": 1}).build((1, 8, 8))


@contextmanager
def behind_a_password(port: int) -> Iterator[str]:
    """The address at which the server of this port answers only who knows USER and PASSWORD (RFC 7617)."""
    known = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Door(BaseHTTPRequestHandler):
        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") != known:
                self.answer(401, b"You are not authenticated")
                return
            headers = {name: text for name, text in self.headers.items() if name.lower() != "host"}
            request = urllib.request.Request(
                f"http://{HOST}:{port}{self.path}", body or None, headers, method=self.command
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as found:
                    self.answer(found.status, found.read())
            except urllib.error.HTTPError as error:
                self.answer(error.code, error.read())

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do

        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer((HOST, 0), Door) as door:
        threading.Thread(target=door.serve_forever, daemon=True).start()
        try:
            yield f"http://{HOST}:{door.server_address[1]}"
        finally:
            door.shutdown()


def test_a_server_with_a_password_gets_all_and_its_model_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, database = free_port(), f"sqlite:///{tmp_path / 'm.db'}"
    with (
        mlflow_server(database, tmp_path / "artifacts", port, tmp_path / "server.log"),
        behind_a_password(port) as url,
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
        projection = Projection(
            url,
            **{"search_name": "s", "objective": OBJECTIVE, "total_steps": 100, "folder": tmp_path / "s"},
            **{"study_id": "abc", "datasets": {OWN: ("digits", "d" * 64)}},
        )
        with pytest.raises(MlflowException, match=r"401|[Uu]nauthori[sz]ed|not authenticated"):
            projection.sync(full_record(1))
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        record = full_record(1)
        projection.sync(record)
        projection.sync_leaderboard(
            [{"number": 1, "rank": 1, "confirmed": True, "mean": 3.0}], "it is better"
        )
        projection.sync_model(record, lambda: network(record))
        assert projection.register(record, lambda: network(record), "schedules") == "1"
        client = MlflowClient(url)
        (run,) = client.search_runs([projection.runs.experiment_id], f"tags.`{names.ROLE}` = 'trial'")
        assert [each.dataset.name for each in run.inputs.dataset_inputs] == ["digits"]
        assert [each.model_id for each in run.outputs.model_outputs] == [run.data.tags[names.MODEL][8:]]
        environment = {**os.environ, "MLFLOW_TRACKING_URI": url}
        done = subprocess.run(
            [sys.executable, "-c", LOAD, run.data.tags[names.MODEL], "models:/schedules/1"],
            **{"cwd": ROOT, "env": environment, "capture_output": True, "text": True, "timeout": 120},
        )
        assert done.stdout == "(2, 1, 8, 8)\n" * 2, done.stderr
