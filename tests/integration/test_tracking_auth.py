"""Runs, data sets and models on an MLflow server that asks for a password; the model loads without this checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from search.machine.mlflow_options import HOST, free_port
from search.record import TrialRecord
from search.tracking import Projection, names
from tests.integration.running import started
from tests.records import OBJECTIVE, full_record
from trainable.network import NETWORKS
from trainable.task import OWN

pytestmark = pytest.mark.integration

CONFIG = """[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/auth.db
admin_username = admin
admin_password = a-long-password
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""
LOAD = """
import sys, torch, mlflow
for address in sys.argv[1:]:
    model = mlflow.pytorch.load_model(address)
    print(tuple(model(torch.zeros(2, 1, 8, 8), torch.zeros(2)).shape))
"""


def network(record: TrialRecord) -> torch.nn.Module:
    assert record.number == 1
    return NETWORKS.build({"name": "film_mlp", "width": 8, "depth": 1}).build((1, 8, 8))


def test_a_server_with_a_password_gets_all_and_its_model_loads_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    url, log = f"http://{HOST}:{port}", tmp_path / "server.log"
    (tmp_path / "auth.ini").write_text(CONFIG.format(folder=tmp_path))
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"]
    command += ["--host", HOST, "--port", str(port), "--backend-store-uri", f"sqlite:///{tmp_path / 'm.db'}"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    password = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "a-long-password"}
    given = {"MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "auth.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "test"}
    with started(command, log, "Application startup complete", **given):
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
        projection = Projection(
            url,
            **{"search_name": "s", "objective": OBJECTIVE, "total_steps": 100, "folder": tmp_path / "s"},
            **{"study_id": "abc", "datasets": {OWN: ("digits", "d" * 64)}},
        )
        with pytest.raises(MlflowException, match=r"401|[Uu]nauthori[sz]ed|not authenticated"):
            projection.sync(full_record(1))
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a-long-password")
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
        environment = {key: text for key, text in os.environ.items() if key != "PYTHONPATH"}
        environment |= {**password, "MLFLOW_TRACKING_URI": url}
        done = subprocess.run(
            [sys.executable, "-c", LOAD, run.data.tags[names.MODEL], "models:/schedules/1"],
            **{"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 120},
        )
        assert done.stdout == "(2, 1, 8, 8)\n" * 2, done.stderr
