"""What `--dry-run` says before anything is trained."""

import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest

from search import cli
from search.file.spec import load_spec
from search.running.measuring import seconds_of_model
from search.running.size import size_of
from tests.clock import Clock
from trainable.metric.sample_metric import SampleMetric
from trainable.network import NETWORKS


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current directory, without the library that FID needs, and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)

    def refused(*_: object) -> None:
        raise ValueError("not at hand")

    monkeypatch.setattr("trainable.data.fashion_mnist.download", refused)


def dry_run(text: str, *flags: str) -> int:
    Path("x.yaml").write_text(f"name: x\n{text}")
    return cli.main(["run", "x.yaml", "--dry-run", *flags])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "data: {name: fashion_mnist, root: /nowhere}\n",
            "error: Fashion-MNIST's train-images-idx3-ubyte.gz cannot be read in /nowhere: No such file",
        ),
        (
            "data: digits\nobjective: {extractor: inception}\n",
            "error: Feature network 'inception' needs torch-fidelity, which does not import",
        ),
        (
            "data: digits\nobjective: {extractor: resnet56}\n",
            "error: Feature network 'resnet56' needs `weights_path`",
        ),
    ],
)
def test_what_a_run_here_would_miss_is_told(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dry_run(text) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(message)
    assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_data_that_would_be_downloaded_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert dry_run("data: fashion_mnist\n") == 0
    assert "# hours: unknown, since the data is not at hand" in capsys.readouterr().out


def test_what_a_cluster_has_is_not_looked_for_here(capsys: pytest.CaptureFixture[str]) -> None:
    text = "data: {name: fashion_mnist, root: /nowhere}\nobjective: {extractor: inception}\n"
    assert dry_run(text, "--address", "auto", "--json") == 0
    assert json.loads(capsys.readouterr().out)["cost"]["steps_per_second"] is None


@pytest.mark.parametrize(
    "network",
    [
        "{name: unet, channels: [4096, 4096, 4096, 4096], blocks: 16, noise_width: 8192, attention: true}",
        "{name: film_mlp, width: 8192, depth: 64, noise_features: 1024, noise_width: 8192}",
    ],
)
def test_a_network_that_cannot_fit_is_refused_before_it_is_built(
    network: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(*_: object) -> None:
        raise AssertionError("the network was built")

    monkeypatch.setattr("search.running.cost.Trainer", built)
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 4_000_000, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert dry_run(f"data: digits\nnetwork: {network}\n") == 2
    shown = capsys.readouterr()
    assert re.fullmatch(
        r"error: network: [\d,]+ parameters take at least [\d,.]+ GB in training at this batch size, but this "
        r"machine has 16.4 GB. Take a smaller network, or `training.batch_size`\n",
        shown.err,
    )
    assert shown.out == ""


def test_a_step_that_takes_minutes_is_not_timed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.running.cost.Trainer", None)  # is not asked for
    text = "data: digits\nnetwork: {name: unet, channels: [512, 512]}\ntraining: {batch_size: 1024}\n"
    assert dry_run(text, "--address", "auto") == 0
    assert (
        "# hours: unknown, a step of 9e+12 operations is too long to be timed here" in capsys.readouterr().out
    )


def test_a_small_network_is_as_large_as_its_parameters() -> None:
    spec = load_spec(str(Path(__file__).parents[2] / "searches" / "digits.yaml"))
    size = size_of(spec.resources, spec.own_setting, (1, 8, 8))
    module = spec.network.build((1, 8, 8))
    assert size.parameters == sum(parameter.numel() for parameter in module.parameters())
    assert size.bytes > 5 * 4 * size.parameters
    assert size.is_quick


@pytest.mark.parametrize("network", ["film_mlp", "mlp", "small_unet", "unet"])
def test_a_pass_over_two_images_counts_as_one_over_the_batch_without_numbers(
    network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_spec(str(Path(__file__).parents[2] / "searches" / "digits.yaml"))
    setting = dataclasses.replace(spec.own_setting, network=NETWORKS.build(network))
    real = size_of(spec.resources, setting, (3, 16, 16))
    monkeypatch.setattr("search.running.size.MOST_PASSED", 0)
    assert size_of(spec.resources, setting, (3, 16, 16)) == real


def test_the_time_that_samples_are_measured_in_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    text = "data: digits\nnetwork: {name: film_mlp, width: 16}\nconfirm: {top: 2, baselines: 1, rounds: [2, 3]}\n"
    assert dry_run(text, "--json") == 0
    cost = json.loads(capsys.readouterr().out)["cost"]
    assert cost["models_measured"] == 9 and cost["seconds_measured"] > 0
    assert dry_run(f"{text}measures: []\n", "--json") == 0
    without = json.loads(capsys.readouterr().out)["cost"]
    assert (without["models_measured"], without["seconds_measured"]) == (0, 0.0)
    assert dry_run(text) == 0
    assert "# samples by other measures: of at most 9 models, about " in capsys.readouterr().out


@pytest.mark.parametrize(("by_pairs", "times"), [(False, 2000 + 1797), (True, (2000 + 1797) * 4)])
def test_only_what_compares_pairs_of_images_costs_more_for_each_of_them(
    by_pairs: bool, times: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("x.yaml").write_text(
        "name: x\ndata: digits\nmeasures: {judges: [{extractor: pixels, metrics: [frechet_distance]}], nfe: [1]}\n"
    )
    spec = load_spec("x.yaml")
    clock, metric = Clock(), type(spec.measures.by_network["pixels"].metrics[0])
    monkeypatch.setattr("search.running.measuring.time.perf_counter", clock)
    monkeypatch.setattr(metric, "BY_PAIRS", by_pairs)

    def takes_a_second(*_: object) -> float:
        clock.sleep(1.0)
        return 0.0

    monkeypatch.setattr(SampleMetric, "__call__", takes_a_second)
    assert seconds_of_model(spec, steps_per_second=1e12) == pytest.approx(times / 1000)


@pytest.mark.parametrize(
    ("stack", "slots", "told"),
    [
        (1, 4, "4 trials at a time"),
        (2, 2, "2 workers at a time, up to 2 trials each"),
        (8, 1, "1 worker at a time, up to 8 trials each"),
        ("auto", 4, "4 workers at a time, as many trials each as pay"),
    ],
)
def test_workers_that_hold_several_trials_are_told_from_trials(
    stack: object, slots: int, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.running.slots.os.sched_getaffinity", lambda process: {0, 1})
    text = f"data: digits\nresources: {{cpu: 0.5, max_concurrent: 4, stack: {stack}}}\n"
    assert dry_run(text, "--json") == 0
    assert json.loads(capsys.readouterr().out)["cost"]["slots"] == slots
    assert dry_run(text) == 0
    assert f"({told})" in capsys.readouterr().out
