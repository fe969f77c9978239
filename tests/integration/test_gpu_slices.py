"""Trials on shares of a made-up GPU, through real Ray: the check of the slice, the cap, out of memory."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]

# A process of its own, because Ray and its settings stay in the one that used them.
DRIVER = """
import json, os, sys, threading
from dataclasses import asdict
from pathlib import Path

from search.policy.conductor import Conductor
from search.engine.ray_here import local_ray
from search.running.plan_of import plan_of
from search.engine.slice_check import check_slice
from search.file.spec import spec_of
from search.study.store import StudyStore
from search.file.yaml12 import Document
from trainable.metric.assets import prepare
from trainable.gpu.gpu_slice import Card
from trainable.setting import Setting
from trainable.task import OWN
from trainable.trial import TrialTask, TrialWorker

folder = Path(sys.argv[1])
spec = spec_of(Document("toy", {
    "name": "toy", "data": "digits", "network": {"name": "film_mlp", "width": 16, "depth": 1},
    "training": {"total_steps": 120, "batch_size": 16}, "objective": {"num_samples": 200},
    "space": {"noise": {"lognormal": None}, "curriculum": {"constant": None}},
    "presets": ["ict", "ict_short"], "noise_floor": {"seeds": 0}, "confirm": {"top": 0}, "stopping": "none",
    "algorithm": "random", "budget": {"max_trials": 3}, "resources": {"cpu": 1, "gpu": 0.5},
    "storage": {"path": str(folder)}}, {}))


class TightCard(Card):
    '''24 GiB. From step 75 on, memory for so many images at once in a trial: by its number, else for all.'''

    device = "cpu"
    fits = {1: 8, 2: 0}

    def is_there(self): return True
    def name(self): return "Made-Up 24"
    def total_bytes(self): return 24 * 2**30
    def restart_peak(self): pass
    def peak_bytes(self): return 2**30

    def limit(self, fraction):
        import torch
        import trainable.training.step
        from trainable.training.trainer import Trainer
        log = open(folder / f"worker-{os.getpid()}.json", "w")
        json.dump({"fraction": fraction, "visible": os.environ["CUDA_VISIBLE_DEVICES"]}, log)
        log.close()
        begin_trial, begin_training, now = TrialWorker.begin, Trainer.begin, {}
        real = trainable.training.step.accumulate_gradient

        def watched_trial(worker, task):
            now["number"] = task.number
            begin_trial(worker, task)

        def watched_training(trainer, *args):
            now["trainer"] = trainer
            begin_training(trainer, *args)

        def tight(*args):
            if "number" in now and now["trainer"].step >= 75 and args[-1] > self.fits.get(now["number"], 128):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")
            return real(*args)

        TrialWorker.begin, Trainer.begin = watched_trial, watched_training
        trainable.training.step.accumulate_gradient = tight


assets = prepare(spec.data, spec.objective.extractor, Path(".cache"))
folder.mkdir(exist_ok=True)
conductor = Conductor(plan_of(spec, 2), StudyStore.create(spec.study_url_resolved, "toy", {"search": {}}))
changes, notes = [], []
conductor.on_change = lambda record: changes.append((record.number, record.state, record.micro_batch))
setting = Setting(assets, spec.network, spec.training, 200)
with local_ray(num_cpus=2, num_gpus=1) as ray_folder:
    from search.engine.tune import Slots, run_trials, schedule_trainable

    check_slice(spec, assets, conductor.trials, threading.Event(), notes.append, TightCard())
    slots = Slots(cpu=1, gpu=0.5)
    run_trials(
        conductor,
        trainable=schedule_trainable(
            settings={OWN: setting}, slots=slots, max_concurrent=2, card=TightCard(),
        ),
        slots=slots, trials=spec.trials, ray_folder=ray_folder, interrupted=threading.Event(),
    )
assert conductor.finished

import torch
torch.set_num_threads(1)
worker = TrialWorker(setting)
undisturbed = {}
for number in (0, 1):
    record = conductor.records[number]
    worker.begin(TrialTask(number=number, schedule=record.schedule.to_dict(), seed=record.seed,
                           rungs=conductor.plan.rungs, folder=str(folder / f"undisturbed-{number}")))
    while (progress := worker.advance()).outcome is None:
        pass
    undisturbed[number] = progress.reports[-1]["objective"]
print(json.dumps({
    "notes": notes, "changes": changes, "undisturbed": undisturbed,
    "records": {n: [r.state, r.objective, r.micro_batch, r.reason] for n, r in conductor.records.items()},
    "told": [[t.state.name, t.value] for t in conductor.proposals.told],
    "study": [[t.state.name, t.user_attrs.get("retry")] for t in conductor.trials.load()],
    "workers": [json.loads(p.read_text()) for p in folder.glob("worker-*.json")],
}))
"""


def test_a_search_on_halves_of_a_card_that_is_too_small_for_some_trials(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(textwrap.dedent(DRIVER))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "toy-runs")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])

    # The slice was measured, in a worker of its own, before any trial was started.
    assert found["notes"][1].startswith("GPU slice: 0.5 of Made-Up 24 (11.2 GiB of 24.0 GiB for tensors)")
    # Every process capped itself at its half of the one card that it saw: that one, and those of the trials.
    assert 2 <= len(found["workers"]) <= 3
    assert all(worker["visible"] == "0" for worker in found["workers"])
    assert all(worker["fraction"] == pytest.approx(0.5 - 0.75 / 24) for worker in found["workers"])

    # Undisturbed; once more with half as many images at once, with the same value; never with memory enough.
    records = found["records"]
    assert records["0"][:3] == ["complete", found["undisturbed"]["0"], None]
    assert records["1"][0] == "complete"
    assert records["1"][1] == pytest.approx(found["undisturbed"]["1"], rel=0.01)
    assert records["1"][2] == 8
    assert (records["2"][0], records["2"][2]) == ("failed", 8)
    assert records["2"][3].startswith("oom at step 75 with 8 images at once: CUDA out of memory.")
    assert [change for change in found["changes"] if change[0] == 2][-2:] == [
        [2, "running", 8],
        [2, "failed", 8],
    ]

    # The study has the decisions; to the sampler the failed proposal is none.
    assert [state for state, _ in found["study"]] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert [retry and retry["micro_batch"] for _, retry in found["study"]] == [None, 8, 8]
    assert found["told"][2] == ["FAIL", None]
