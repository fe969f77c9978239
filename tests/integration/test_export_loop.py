"""The loop that docs/export.md prints, with a plain network without a norm, on the digits: the winner holds there."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from spaces import PRESETS, NoiseSchedule, load_schedule
from trainable.dataset import DATASETS, model_input
from trainable.extractor import EXTRACTORS
from trainable.metric.assets import Assets, FrechetMetric, prepare

ROOT = Path(__file__).resolve().parents[2]
EXPORTED = ROOT / "docs/digits_winner.json"  # of the run that the README prints
LOOP, *_ = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(), re.DOTALL)
# The reader's own: the file's content, the images and their number.
OWN = {
    'json.loads(pathlib.Path("best_schedule.json").read_text())': "DOCUMENT",
    "torch.rand(1000, 64) * 2 - 1": "IMAGES",
    "randint(1000,": "randint(len(images),",
}
NUM_SAMPLES = 2000

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    return prepare(DATASETS.build("digits"), EXTRACTORS.build("digits_cnn"), tmp_path_factory.mktemp("cache"))


def with_schedule(document: dict[str, Any], schedule: NoiseSchedule) -> dict[str, Any]:
    """The document with the stages of another schedule."""
    stages = [
        {
            "start_step": stage.start_step,
            "sigmas": stage.sigma_N.tolist(),
            "interval_probabilities": stage.probability_M.tolist(),
        }
        for stage in schedule.stages(document["training"]["total_steps"])
    ]
    return {**document, "training": {**document["training"], "stages": stages}}


def distance(document: dict[str, Any], seed: int, digits: Assets) -> float:
    """ln of the Frechet distance of one-step samples, after the loop's whole training."""
    code = LOOP
    for theirs, ours in OWN.items():
        assert theirs in code
        code = code.replace(theirs, ours)
    found: dict[str, Any] = {"DOCUMENT": document, "IMAGES": model_input(digits.images_NCHW).flatten(1)}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        exec(compile(code, "docs/export.md", "exec"), found)
        level = torch.full((NUM_SAMPLES, 1), document["sampling"]["sigma_max"])
        with torch.no_grad():
            samples = found["f"](level * torch.randn(NUM_SAMPLES, 64), level)
    return math.log(FrechetMetric(digits, NUM_SAMPLES)(samples.view(-1, 1, 8, 8)))


def test_the_winner_of_the_readme_is_not_worse_than_ict_in_the_loop_of_the_docs(digits: Assets) -> None:
    document = json.loads(EXPORTED.read_text())
    loaded = load_schedule(EXPORTED)
    assert loaded.confirmed and loaded.schedule != PRESETS["ict"].schedule
    ict = with_schedule(document, PRESETS["ict"].schedule)
    seeds = (0, 1)
    ratio = sum(distance(document, seed, digits) - distance(ict, seed, digits) for seed in seeds) / len(seeds)
    assert ratio < math.log(1.1), f"{math.exp(ratio):.2f} times the distance of ict"
