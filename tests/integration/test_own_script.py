"""Searches whose trials a script trains: the examples, on real Ray with two slots, killed and gone on with.

One keeps its trials in a folder, the other in a bucket (moto's server, on loopback).
"""

import json
import os
import re
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.machine.checkout import ROOT
from search.record import Purpose, State, TrialRecord
from search.running.search import Search
from spaces import load_schedule
from tests.integration.processes import processes, workers_of
from tests.integration.running import finish, start, until
from tests.s3_server import s3_server, url_of
from trainable.storage.location import open_folder

pytestmark = pytest.mark.integration

REST = """
presets: [ict_short]
space: {noise: {lognormal: , log_uniform: }, curriculum: {constant: }}
budget: {max_trials: 3}
noise_floor: {seeds: 1}
confirm: {top: 1, baselines: 1, rounds: [2]}
resources: {cpu: 0.5, max_concurrent: 2}
"""
STEPS = 1000
# Of the one in the bucket: its winner is tried in a narrower network.
NARROW = "--width 32"
SETTING = f"command: {{append: [{NARROW.replace(' ', ', ')}]}}"
HOLDS = f"holds_at: {{settings: [{SETTING}], top: 1, rounds: [2], spread: 0}}\n"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with s3_server() as found:
        yield found


def search_file(folder: Path, example: str, storage: str, rest: str) -> Path:
    """The example's own search file, made small."""
    text = (ROOT / "examples" / example / "search.yaml").read_text()
    head = text.partition("training:")[0].replace("folder: examples", f"folder: {ROOT}/examples")
    file = folder / "own.yaml"
    file.write_text(f'{head}training: {{total_steps: {STEPS}}}\n{REST}{rest}storage: {{path: "{storage}"}}\n')
    return file


def scripts_in(folder: str) -> list[int]:
    """Process ids of scripts that write to a folder of which this is the beginning."""
    return [found.pid for found in processes() if f"--out {folder}" in found.command]


def check_complete(records: list[TrialRecord], num_settings: int) -> None:
    """Every trial of the plan has ended, with all its rungs and with what the script measured."""
    counts = Counter(record.purpose for record in records)
    assert (counts[Purpose.BASELINE], counts[Purpose.NOISE], counts[Purpose.SEARCH]) == (1, 1, 2)
    assert counts[Purpose.CONFIRM] in (1, 3)  # of the baseline, and of a proposal that was not stopped
    assert counts[Purpose.HOLD] == (4 * num_settings if counts[Purpose.CONFIRM] == 3 else 0)
    for record in records:
        assert record.state in (State.COMPLETE, State.STOPPED), record
        steps = [report.step for report in record.reports]
        expected = [STEPS // 2, 3 * STEPS // 4, STEPS]
        assert steps == (expected if record.state is State.COMPLETE else expected[: len(steps)])
        assert all({*report.metrics} == {"chamfer", "loss", "train_seconds"} for report in record.reports)


@pytest.mark.parametrize("example", ["denoising", "consistency"])
def test_an_example_is_searched_killed_and_gone_on_with(
    tmp_path: Path, address: str, example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEDULE_SEARCH_HOME", str(tmp_path / "home"))
    in_bucket, output = example == "consistency", tmp_path / "best.json"
    storage = url_of(address, "scripts") if in_bucket else str(tmp_path / "runs")
    scripts = f"{tempfile.gettempdir()}/search-scripts-" if in_bucket else storage
    file, kept = search_file(tmp_path, example, storage, HOLDS if in_bucket else ""), open_folder(storage)
    process = start("run", file)

    def is_kept() -> bool:
        assert process.poll() is None, process.communicate()
        return any(name.endswith("checkpoints/last.pt") for name in kept.names(below=True))

    until(
        is_kept,
        60,
        "a script has kept a checkpoint",
        pause=0.02,
    )
    for worker in workers_of(process.pid):
        os.kill(worker, signal.SIGKILL)
    process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
    until(lambda: not workers_of(process.pid), 30, "the workers go with their driver")
    until(lambda: not scripts_in(scripts), 30, "and the scripts with the workers")
    before = {record.number: record for record in Search.open(example, storage).records()}

    code, out, err = finish(start("run", file, "--output", output))
    assert (code, err) == (0, ""), out
    assert not scripts_in(scripts)
    after = {record.number: record for record in Search.open(example, storage).records()}
    check_complete(list(after.values()), num_settings=1 if in_bucket else 0)
    for number, record in before.items():
        known = {report.step: report.objective for report in record.reports}
        assert known.items() <= {report.step: report.objective for report in after[number].reports}.items()
    logs = [kept.read(name) or b"" for name in kept.names(below=True) if name.endswith("output.log")]
    began = [re.findall(r"^from step (\d+)", log.decode(), re.MULTILINE) for log in logs]
    assert any(len(steps) == 2 and int(steps[1]) >= 250 for steps in began), "a script went on where it was"

    found = load_schedule(output)
    assert found.confirmed
    assert found.sampling is None
    assert found.provenance is not None
    assert found.provenance["code"] == example
    assert {part.setting for part in found.holds_at} <= {NARROW}
    place = ("--storage", storage)
    code, out, err = finish(start("logs", example, "--trial", 0, *place))
    assert (code, err) == (0, "")
    assert "from step 0" in out
    code, out, err = finish(start("sampling", example, *place))
    assert code == 2 and "has no model of ours to sample from" in err


def test_ctrl_c_gives_a_script_time_to_save_and_another_script_is_another_search(tmp_path: Path) -> None:
    code = tmp_path / "mine"
    code.mkdir()
    (code / "train.py").write_text("""
import json, os, signal, sys, time
folder = sys.argv[3]
FILES = ["ready", "../../search.log", "none", "plots"]
def save(*_):
    time.sleep(1)
    open(os.path.join(folder, "saved"), "w").close()
    sys.exit()
signal.signal(signal.SIGTERM, save)
open(os.path.join(folder, "ready"), "w").close()
os.makedirs(os.path.join(folder, "plots"), exist_ok=True)
while not os.path.exists(os.path.join(folder, "go")): time.sleep(.05)
for step in (50, 75, 100):
    with open(os.path.join(folder, "reports.jsonl"), "a") as file:
        file.write(json.dumps({"step": step, "bits": 3.0, "files": FILES}) + chr(10))
""")
    file, runs = tmp_path / "own.yaml", tmp_path / "runs"
    words = '["{python}", train.py, "{schedule}", "{seed}", "{folder}"]'
    trainer = f"{{name: command, command: {words}, folder: {code}, objective: bits}}"
    file.write_text(
        f"name: mine\ntrainer: {trainer}\ntraining: {{total_steps: 100}}\nbudget: {{max_trials: 1}}\n"
        f"noise_floor: {{seeds: 0}}\nconfirm: {{top: 0}}\nresources: {{max_concurrent: 1}}\nstorage: {{path: {runs}}}\n"
    )
    process = start("run", file)
    trial = runs / "mine" / "trials" / "00000"
    until(lambda: (trial / "ready").exists(), 300, "the script runs")
    os.killpg(process.pid, signal.SIGINT)
    stopped, _, err = finish(process)
    assert stopped == 130
    assert err == "" or re.fullmatch(r"warning: MLflow is not up to date .*\n", err)  # on a slow machine
    assert (trial / "saved").exists()

    (trial / "go").touch()
    changed = (code / "train.py").read_text()
    (code / "train.py").write_text(changed + "\n# another\n")
    failed, _, err = finish(start("run", file))
    assert failed == 2 and "was measured with another script" in err and len(err.splitlines()) == 1
    (code / "train.py").write_text(changed)
    done, out, _ = finish(start("run", file, "--json"))
    assert done == 0
    (record,) = Search.open("mine", str(runs)).records()
    assert (record.state, record.objective) == (State.COMPLETE, 3.0)
    assert json.loads(out)["finished"]
    artifacts = [path.name for path in (runs / "mlflow-artifacts").rglob("*") if path.is_file()]
    assert "ready" in artifacts and "search.log" not in artifacts
