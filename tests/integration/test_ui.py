"""`python -m search ui` and `reconcile` as a user calls them, and what the browser shows."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
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
        reports = tuple(
            Report(step, each, START_MS + step, {OBJECTIVE: each})
            for step, each in ((500, 2 * value), (2000, value))
        )
        record = trial.record(store.add(trial), start_ms=0)
        store.finish(replace(record, state=State.COMPLETE, reports=reports), {})
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
    assert (written["runs"], written["values"], written["files"]) == (3, 6 + 2, 6)
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
        ui.send_signal(signal.SIGINT)
        assert ui.wait(timeout=30) == 0
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


CURVES = "return document.querySelectorAll('.js-plotly-plot .scatterlayer .trace').length"
CHOOSE = """
const boxes = [...document.querySelectorAll('[role=row][row-index] input.ag-checkbox-input')]
boxes.filter(box => box.getBoundingClientRect().width)[arguments[0]].click()
"""
COMPARE = "return document.querySelector('[data-testid=runs-compare-button]:enabled')"


def test_the_browser_shows_the_winner_first_its_curve_and_samples_and_compares_two(
    storage: Path, tmp_path: Path
) -> None:
    for number in range(3):
        folder = storage / "digits" / "trials" / f"{number:05d}"
        folder.mkdir(parents=True)
        Image.new("L", (100 + number, 90)).save(folder / "samples.png")
    search = Search.open("digits", str(storage))
    projection = projection_of(search)
    reconcile(search.records(), projection)
    confirmed = {"number": 2, "rank": 1, "confirmed": True, "mean": 9.0}
    projection.sync_leaderboard([confirmed, {"number": 1}, {"number": 0}], "trial 2 is better")
    with served(storage) as (_, url), chromium(tmp_path / "browser") as page:
        page.open(url)
        until(lambda: len(page.run(SEEN)) == 3, 90, "the table is there", told=lambda: page.text)
        assert [float(value) for value in page.run(SEEN)] == [10, 5, 30]
        for index in range(2):
            page.run(CHOOSE, index)
        until(lambda: page.run(COMPARE) is not None, 20, "two are chosen", told=lambda: page.text)
        page.run(f"{COMPARE}.click()")
        until(lambda: "Show diff only" in page.text, 300, "two are compared", told=lambda: page.text)
        assert (
            "00002 lognormal" in page.text
            and "00001 lognormal" in page.text
            and "00000 lognormal" not in page.text
        )
        page.open(url)
        until(lambda: len(page.run(SEEN)) == 3, 90, "the table is there", told=lambda: page.text)
        page.click("00002 lognormal")
        until(lambda: "Model metrics" in page.text, 300, "the run is there", told=lambda: page.text)
        page.click("Model metrics")
        until(lambda: page.run(CURVES) > 0, 60, "its curve is drawn", told=lambda: page.text)
        page.click("Artifacts")
        until(lambda: "samples.png" in page.text, 60, "its files are there", told=lambda: page.text)
        page.click("samples.png")
        until(lambda: [102, 90] in page.run(IMAGES), 60, "the samples are shown", told=lambda: page.text)
