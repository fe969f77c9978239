"""`python -m search ui` and `reconcile` as a user calls them."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from search.record import Report, Stage, State, TrialRecord
from search.session import projection_of
from search.spec import load_spec
from search.study import StudyStore
from spaces import PRESETS

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
OBJECTIVE = "fd_digits_cnn"


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A folder with a finished search of three trials that MLflow knows nothing of."""
    text = (ROOT / "searches" / "digits.yaml").read_text() + f"\nstorage:\n  path: {tmp_path / 'runs'}\n"
    (tmp_path / "runs" / "digits").mkdir(parents=True)
    path = tmp_path / "runs" / "digits" / "search.yaml"
    path.write_text(text)
    spec = load_spec(path)
    header = {
        "study_id": "abc",
        "objective": OBJECTIVE,
        "search": spec.resolved(),
        "identity": spec.fingerprint_fields(),
        "data_sha256": "d" * 64,
        "extractor_sha256": "e" * 64,
        "extractor_accuracy": 0.99,
        "versions": {"mlflow": "3.17.2"},
        "git_commit": None,
    }
    store = StudyStore.create(spec.study_url_resolved, spec.name, header)
    schedule = PRESETS["ict"].schedule
    for value in (30.0, 10.0, 20.0):
        attributes = {"stage": "search", "schedule": schedule.to_dict(), "seed": 1}
        number = store.add(attributes, {}, {})
        report = Report(2000, value, 1_700_000_000_000, {OBJECTIVE: value})
        store.finish(
            TrialRecord(
                number=number,
                stage=Stage.SEARCH,
                state=State.COMPLETE,
                schedule=schedule,
                seed=1,
                reports=(report,),
            )
        )
    assert projection_of(spec, store).search_name == "digits"
    return tmp_path / "runs"


def command_lines() -> list[str]:
    """Of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def command(storage: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "search", *arguments, "--storage", str(storage), "--json"]


def test_reconcile_then_ui_until_ctrl_c(storage: Path) -> None:
    def reconcile() -> dict:
        answer = subprocess.run(
            command(storage, "reconcile", "digits"), cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        assert answer.stderr == ""
        assert answer.returncode == 0
        written: dict = json.loads(answer.stdout)["written"]
        return written

    written = reconcile()
    assert (written["runs"], written["values"], written["files"]) == (3, 3 + 2, 6)
    assert not any(reconcile().values())

    # As a shell starts it in the foreground: background jobs of a script ignore SIGINT.
    ui = subprocess.Popen(
        command(storage, "ui"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert ui.stdout is not None
        assert ui.stderr is not None
        url = json.loads(ui.stdout.readline())["leaderboards"]["digits"]
        match = re.fullmatch(
            r"(http://127\.0\.0\.1:\d+)/#/experiments/1/runs\?viewStateShareKey=(.+)&.*", url
        )
        assert match
        with urllib.request.urlopen(f"{match[1]}/health", timeout=10) as answer:
            assert answer.read() == b"OK"
        with urllib.request.urlopen(
            f"{match[1]}/api/2.0/mlflow/experiments/get?experiment_id=1", timeout=10
        ) as answer:
            tags = {tag["key"] for tag in json.loads(answer.read())["experiment"]["tags"]}
        assert f"mlflow.sharedViewState.{match[2]}" in tags
        start = time.monotonic()
        ui.send_signal(signal.SIGINT)
        assert ui.wait(timeout=30) == 0
        assert time.monotonic() - start < 10
        assert ui.stderr.read() == ""
    finally:
        ui.kill()
        ui.communicate()
    assert not [line for line in command_lines() if str(storage / "mlflow.db") in line]
    assert not [path for path in os.listdir(ROOT) if path in ("mlruns", "mlartifacts", "mlflow.db")]
