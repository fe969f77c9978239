"""How many trials a worker holds: what the file says, what the network allows, what a probe finds."""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from search.file.spec import SearchSpec, spec_of
from search.file.yaml12 import Document
from search.running import stacking
from search.running.plan_of import plan_of
from search.running.slots import at_once
from search.running.stacking import stack_of
from trainable.network import NETWORKS
from trainable.setting import Setting
from trainable.stack import probe
from trainable.task import OWN
from trainable.training.config import TrainingConfig

ASSETS: Any = SimpleNamespace(
    images_NCHW=torch.zeros(20, 1, 8, 8), image_shape=(1, 8, 8)
)  # what building a network and timing a step want of them


def spec(**resources: Any) -> SearchSpec:
    return spec_of(Document("test", {"name": "toy", "data": "digits", "resources": resources}, {}))


def settings(**networks: str) -> dict[str, Setting]:
    training = TrainingConfig(total_steps=40, batch_size=16)
    return {
        name: Setting(ASSETS, NETWORKS.build(network), training, num_samples=50)
        for name, network in networks.items()
    }


def test_a_stack_is_as_large_as_the_file_says() -> None:
    notes: list[str] = []
    assert stack_of(spec(), settings(**{OWN: "small_unet"}), notes.append) == 1
    assert stack_of(spec(stack=8), settings(**{OWN: "film_mlp", "elsewhere": "mlp"}), notes.append) == 8
    assert notes == []


def test_which_networks_are_trained_one_at_a_time_is_told() -> None:
    notes: list[str] = []
    told = "resources.stack: network small_unet gains nothing from it on a CPU, so its trials are trained one at a time"
    elsewhere = settings(**{OWN: "film_mlp", "one": "small_unet", "two": "small_unet"})
    assert stack_of(spec(stack=8), elsewhere, notes.append) == 8
    assert notes == [told]
    assert stack_of(spec(stack=8), settings(**{OWN: "small_unet"}), notes.append) == 1
    assert stack_of(spec(stack="auto"), settings(**{OWN: "small_unet"}), notes.append) == 1
    assert notes == [told] * 3


@pytest.mark.parametrize(("milliseconds", "found"), [((8.0, 3.0, 4.0), 4), ((4.0, 3.9, 3.8), 1)])
def test_auto_takes_what_was_the_quickest_if_it_pays(
    milliseconds: tuple[float, ...], found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_size = dict(zip(stacking.SIZES, milliseconds, strict=True))
    monkeypatch.setattr(probe, "seconds_of_step", lambda setting, size, clock: of_size[size])
    assert stack_of(spec(stack="auto"), settings(**{OWN: "film_mlp"}), lambda text: None) == found


def test_a_probe_times_steps_of_one_trial_and_leaves_the_threads_as_they_were() -> None:
    ticks: Iterator[float] = (float(number) for number in itertools.count())
    threads = torch.get_num_threads()
    size, seconds = probe.quickest_size(settings(**{OWN: "film_mlp"})[OWN], (1, 2), 1, lambda: next(ticks))
    assert (size, seconds) == (2, {1: 1.0, 2: 0.5})  # a tick for each step of all
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("resources", "slots", "stack", "trials"),
    [({}, 2, 8, 16), ({"max_concurrent": 12}, 2, 8, 12), ({"max_concurrent": 1}, 1, 1, 1)],
)
def test_as_many_trials_at_a_time_as_workers_hold_and_the_file_allows(
    resources: dict[str, int], slots: int, stack: int, trials: int
) -> None:
    assert at_once(spec(**resources), slots, stack) == trials


def test_trials_that_share_a_slice_cost_a_part_of_it_each() -> None:
    limits = plan_of(spec(cpu=1), 16, stack=8).limits
    assert (limits.cpu, limits.stack) == (1, 8)
