"""Searches whose trials a script trains: the examples, on real Ray with two slots, killed and gone on with."""

import json
import os
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from search.machine.checkout import ROOT
from search.record import Purpose, State
from search.running.search import Search
from spaces import load_schedule
from tests.integration.processes import processes, workers_of
from tests.integration.running import finish, start, until

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
LOGS = "*/trials/*/output.log"


def search_file(folder: Path, example: str, total_steps: int = STEPS) -> Path:
    """The example's own search file, made small."""
    text = (ROOT / "examples" / example / "search.yaml").read_text()
    head = text.partition("training:")[0].replace("folder: examples", f"folder: {ROOT}/examples")
    file = folder / "own.yaml"
    end = f"storage: {{path: {folder / 'runs'}}}\n"
    file.write_text(f"{head}training: {{total_steps: {total_steps}}}\n{REST}{end}")
    return file


def scripts_of(folder: Path) -> list[int]:
    """Process ids of scripts whose trials are in the folder."""
    return [found.pid for found in processes() if f"--out {folder}" in found.command]


def check_complete(example: str, runs: Path) -> None:
    """Every trial of the plan has ended, with all its rungs and with what the script measured."""
    records = Search.open(example, str(runs)).records()
    counts = Counter(record.purpose for record in records)
    assert (counts[Purpose.BASELINE], counts[Purpose.NOISE], counts[Purpose.SEARCH]) == (1, 1, 2)
    assert counts[Purpose.CONFIRM] in (1, 3)  # of the baseline, and of a proposal that was not stopped
    for record in records:
        assert record.state in (State.COMPLETE, State.STOPPED), record
        steps = [report.step for report in record.reports]
        expected = [STEPS // 2, 3 * STEPS // 4, STEPS]
        assert steps == (expected if record.state is State.COMPLETE else expected[: len(steps)])
        assert all({*report.metrics} == {"chamfer", "loss", "train_seconds"} for report in record.reports)


@pytest.mark.parametrize("example", ["denoising", "consistency"])
def test_an_example_is_searched_killed_and_gone_on_with(tmp_path: Path, example: str) -> None:
    file, output, runs = search_file(tmp_path, example), tmp_path / "best.json", tmp_path / "runs"
    process = start("run", file)
    kept = "*/trials/*/checkpoints/last.pt"
    until(lambda: any(runs.glob(kept)), 60, "a script has kept a checkpoint", pause=0.02)
    for worker in workers_of(process.pid):
        os.kill(worker, signal.SIGKILL)
    process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
    until(lambda: not workers_of(process.pid), 30, "the workers go with their driver")
    until(lambda: not scripts_of(runs), 30, "and the scripts with the workers")
    before = {record.number: record for record in Search.open(example, str(runs)).records()}

    code, out, err = finish(start("run", file, "--output", output))
    assert (code, err) == (0, ""), out
    assert not scripts_of(runs)
    check_complete(example, runs)
    after = {record.number: record for record in Search.open(example, str(runs)).records()}
    for number, record in before.items():
        known = {report.step: report.objective for report in record.reports}
        assert known.items() <= {report.step: report.objective for report in after[number].reports}.items()
    began = [re.findall(r"^from step (\d+)", path.read_text(), re.MULTILINE) for path in runs.glob(LOGS)]
    assert any(len(steps) == 2 and int(steps[1]) >= 250 for steps in began), "a script went on where it was"

    found = load_schedule(output)
    assert found.confirmed
    assert found.sampling is None
    assert found.provenance is not None
    assert found.provenance["code"] == example
    storage = ("--storage", runs)
    code, out, err = finish(start("logs", example, "--trial", 0, *storage))
    assert (code, err) == (0, "")
    assert "from step 0" in out
    code, out, err = finish(start("sampling", example, *storage))
    assert code == 2 and "has no model of ours to sample from" in err


def test_ctrl_c_gives_a_script_time_to_save_and_another_script_is_another_search(tmp_path: Path) -> None:
    code = tmp_path / "mine"
    code.mkdir()
    (code / "train.py").write_text("""
import json, os, signal, sys, time
folder = sys.argv[3]
def save(*_):
    time.sleep(1)
    open(os.path.join(folder, "saved"), "w").close()
    sys.exit()
signal.signal(signal.SIGTERM, save)
open(os.path.join(folder, "ready"), "w").close()
while not os.path.exists(os.path.join(folder, "go")): time.sleep(.05)
for step in (50, 75, 100):
    with open(os.path.join(folder, "reports.jsonl"), "a") as file:
        file.write(json.dumps({"step": step, "bits": 3.0, "files": ["ready", "../../search.log", "none"]}) + chr(10))
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
    until(lambda: (trial / "ready").exists(), 60, "the script runs")
    os.killpg(process.pid, signal.SIGINT)
    stopped, _, err = finish(process)
    assert (stopped, err) == (130, "")
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
