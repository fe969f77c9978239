"""`python -m search ui` and `reconcile` as a user calls them, and what the browser shows."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from search.decision import Decision
from search.file.spec import load_spec
from search.policy.trials import NewTrial
from search.record import Purpose, Report, State
from search.running.search import Search
from search.running.tracked import projection_of
from search.study.store import StudyStore
from search.tracking import names, reconcile
from spaces import PRESETS
from tests.integration.browser import chromium
from tests.integration.running import until
from tests.records import OBJECTIVE, START_MS

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


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
    for value in (30.0, 5.0, 10.0):
        trial = NewTrial(
            purpose=Purpose.SEARCH,
            schedule=schedule,
            seed=1,
            decision=Decision("started", "proposed", {"algorithm": "random"}),
        )
        report = Report(2000, value, START_MS, {OBJECTIVE: value})
        record = trial.record(store.add(trial), start_ms=0)
        store.finish(replace(record, state=State.COMPLETE, reports=(report,)), {})
    assert projection_of(Search(spec)).search_name == "digits"
    return tmp_path / "runs"


def environments() -> list[bytes]:
    """Of all processes: there the server is told its database."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(path.read_bytes())
    return found


def command(storage: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "search", *arguments, "--storage", str(storage), "--json"]


@contextlib.contextmanager
def served(storage: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`ui` while it runs, and the address of the leaderboard that it prints."""
    ui = subprocess.Popen(
        command(storage, "ui"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert ui.stdout is not None
        yield ui, json.loads(ui.stdout.readline())["leaderboards"]["digits"]
    finally:
        ui.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            ui.wait(30)
        ui.kill()
        ui.communicate()


def test_reconcile_then_ui_until_ctrl_c(storage: Path) -> None:
    def reconciled() -> dict:
        answer = subprocess.run(
            command(storage, "reconcile", "digits"), cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        assert answer.stderr == ""
        assert answer.returncode == 0
        written: dict = json.loads(answer.stdout)["written"]
        return written

    written = reconciled()
    assert (written["runs"], written["values"], written["files"]) == (3, 3 + 2, 6)
    assert not any(reconciled().values())

    with served(storage) as (ui, url):
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
        assert ui.stderr is not None
        assert ui.stderr.read() == ""
    assert not [each for each in environments() if os.fsencode(storage / "mlflow.db") in each]
    assert not [path for path in os.listdir(ROOT) if path in ("mlruns", "mlartifacts", "mlflow.db")]


SEEN = f"""
const place = cell => Number(cell.closest('[role=row]').getAttribute('row-index'))
return [...document.querySelectorAll('[role=gridcell][col-id="tags.`{names.SEEN}`"]')]
    .sort((one, other) => place(one) - place(other))
    .map(cell => cell.innerText)
"""
IMAGES = "return [...document.images].map(image => [image.naturalWidth, image.naturalHeight])"


def test_the_browser_shows_the_best_trial_first_and_its_samples(storage: Path, tmp_path: Path) -> None:
    for number in range(3):
        folder = storage / "digits" / "trials" / f"{number:05d}"
        folder.mkdir(parents=True)
        Image.new("L", (100 + number, 90)).save(folder / "samples.png")
    search = Search.open("digits", str(storage))
    reconcile(search.records(), projection_of(search))
    with served(storage) as (_, url), chromium(tmp_path / "browser") as page:
        page.open(url)
        until(lambda: len(page.run(SEEN)) == 3, 90, "the table is there", told=lambda: page.text)
        assert [float(value) for value in page.run(SEEN)] == [5, 10, 30]
        page.click("00001 lognormal")
        until(lambda: "Artifacts" in page.text, 60, "the run is there", told=lambda: page.text)
        page.click("Artifacts")
        until(lambda: "samples.png" in page.text, 60, "its files are there", told=lambda: page.text)
        page.click("samples.png")
        until(lambda: [101, 90] in page.run(IMAGES), 60, "the samples are shown", told=lambda: page.text)
