"""The pure parts of the benchmarks: sums, tables, and that the yardstick trains the same thing."""

import ast
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from bench import command
from bench.figures import Spread, ratios, table
from bench.quality.distance_scale import Yardsticks
from bench.quality.mutants import ROOT, chosen, mutants
from bench.quality.start_gain import row_of, rungs_of
from bench.quality.time_left import Judged, Look
from bench.speed import frechet, gpu, scale, slices
from bench.speed.bare_loop import SIGMA_MIN, BareLoop, levels
from bench.speed.search_efficiency import NUM_TRIALS, Efficiency, Ran, search_file
from bench.speed.step import ICT, in_turns
from search.file.spec import load_spec
from trainable.networks.film_mlp import FilmMlp
from trainable.training.config import TrainingConfig
from trainable.training.consistency import consistency_function

KNOWN = (*command.BENCHMARKS, *command.ON_A_GPU, *command.BY_NAME)


def test_a_spread_is_a_median_between_its_extremes() -> None:
    assert Spread.of([3.0, 1.0, 2.0]).text(1) == "2.0 [1.0, 3.0]"
    assert Spread.of([2.0]).text(1) == "2.0"
    assert ratios([1.0, 4.0], [2.0, 4.0]) == Spread(0.75, 0.5, 1.0, 2)


def test_a_table_lines_up() -> None:
    lines = table(["", "one"], [["a", "1.00"], ["long", "2"]]).splitlines()
    assert lines == ["       one", "a     1.00", "long     2"]


def test_pairs_take_turns_in_going_first() -> None:
    calls: list[str] = []
    pairs = in_turns(
        lambda: calls.append("bare") or 1.0,  # type: ignore[func-returns-value]
        lambda: calls.append("product") or 2.0,  # type: ignore[func-returns-value]
        num_pairs=2,
        num_steps=10,
    )
    assert calls == ["bare", "product", "product", "bare"]
    assert (pairs.bare, pairs.product) == ([1.0, 1.0], [2.0, 2.0])


def test_the_parts_of_a_search_add_up() -> None:
    trials = [
        [
            {"step": 50, "train_seconds": 2.0, "time": 106.0},
            {"step": 100, "train_seconds": 4.0, "time": 109.0},
        ],
        [{"step": 50, "train_seconds": 1.0, "time": 108.0}],
    ]
    search = Efficiency.of(Ran(trials, began=100.0, ended=110.0), slots=2, bare=25.0)
    assert (search.trials, search.steps, search.in_steps) == (2, 150, 5.0)
    assert (search.before, search.training, search.after, search.wall) == (4.0, 5.0, 1.0, 10.0)
    assert search.efficiency(search.wall) == pytest.approx(150 / 25 / (10 * 2))


def test_both_wirings_run_plain_trials_only(tmp_path: Path) -> None:
    spec = load_spec(search_file(tmp_path))
    assert (spec.presets, spec.noise_floor.seeds, spec.confirm.top) == ([], 0, 0)
    assert (spec.budget.max_trials, spec.audit) == (NUM_TRIALS, 0)


def test_the_bare_loop_trains_the_ict_schedule() -> None:
    config = TrainingConfig(total_steps=80, batch_size=4)
    loop = BareLoop(FilmMlp(width=4, depth=1), torch.zeros(8, 1, 4, 4), config)
    for stage in ICT.stages(config.total_steps):
        loop.train(stage.start_step + 1 - loop.step)
        assert loop.num_levels == len(stage.sigma_N)
        sigma_N, probability_M = levels(loop.num_levels)
        torch.testing.assert_close(sigma_N.double(), torch.as_tensor(stage.sigma_N), rtol=1e-6, atol=0)
        probability_M = probability_M.double() / probability_M.sum()
        torch.testing.assert_close(probability_M, torch.as_tensor(stage.probability_M), rtol=1e-5, atol=1e-9)
    x_BCHW = torch.rand((4, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    sigma_B = torch.tensor([0.002, 0.1, 1.0, 80.0])
    expected_BCHW = consistency_function(loop.module, x_BCHW, sigma_B, SIGMA_MIN, config.sigma_data)
    torch.testing.assert_close(loop.f(x_BCHW, sigma_B), expected_BCHW)


def test_trials_an_hour_are_counted_from_the_end_of_the_first_wave() -> None:
    ends = [100.0, 101.0, 160.0, 161.0, 220.0, 221.0]  # two slices, a minute for each trial, started late
    assert slices.trials_per_hour(ends, 2) == pytest.approx(120)
    assert slices.trials_per_hour([5.0, 65.0, 125.0], 1) == pytest.approx(60)
    assert slices.trials_per_hour(ends[:2], 2) is None
    assert slices.trials_per_hour([], 1) is None


def test_the_table_of_slices_compares_all_with_one_slice_alone() -> None:
    text = table(slices.HEAD, slices.rows({1: 60.0, 2: 90.0, 8: None}, {1: 57.0, 2: 120.0}))
    assert text.splitlines() == [
        "slices    gpu  trials/h  against 1  with MPS  against 1",
        "1           1        60       1.00        57       0.95",
        "2         0.5        90       1.50       120       2.00",
        "8       0.125         -          -         -          -",
    ]
    assert slices.rows({1: None, 2: 90.0}, {})[1] == ["2", "0.5", "90", "-", "-", "-"]


def test_without_a_gpu_slices_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command.main(["slices"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: bench slices needs a GPU, but torch sees none here: nothing was measured\n"


def ended(line: Sequence[str]) -> int:
    """Exit code of `python -m bench`, whose verbs with arguments may end as argparse does."""
    try:
        return command.main(line)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize("verb", [[], *([verb] for verb in (*KNOWN, *command.WITH_ARGUMENTS))])
def test_every_benchmark_has_its_help(verb: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ended([*verb, "--help"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("usage: python -m bench")
    assert said.err == ""


@pytest.mark.parametrize(
    "line",
    [
        *(["nothing"], ["step", "driver"], ["step", "3"], ["stock"]),
        *(["scale", "10", "20"], ["scale", "0"], ["scale", "many"], ["time-left", "--wrong"]),
        *(["transfer", "--minutes", "many"], ["transfer", "--data", "none"], ["why", "--wrong"]),
    ],
)
def test_a_wrong_line_shows_how_it_is_used_and_measures_nothing(
    line: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(line) == 2
    said = capsys.readouterr()
    assert said.err.startswith("usage: python -m bench")
    assert (said.out, "Traceback" in said.err) == ("", False)


@pytest.mark.parametrize("verb", ["time-left", "stock"])
def test_a_file_that_is_no_search_file_is_one_line(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([verb, str(tmp_path / "missing.yaml")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("error: ") and "missing.yaml" in line


def test_a_search_that_fails_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.quality.time_left.subprocess.Popen", lambda *_, **__: Failing())
    assert command.main(["time-left", "searches/digits.yaml"]) == 1
    line = "error: `run searches/digits.yaml` ended with exit code 3, see above\n"
    assert capsys.readouterr().err == line


class Failing(contextlib.nullcontext["Failing"]):
    """A process that has ended."""

    returncode = 3

    def __enter__(self) -> "Failing":
        return self

    def poll(self) -> int:
        return self.returncode


def test_the_time_to_ask_late_is_held_against_that_early() -> None:
    early, late = [0.1] * scale.WINDOW, [0.1] * (scale.WINDOW - 3) + [0.3] * 3
    found = scale.late_to_early([9.0] * scale.EARLY + early + [9.0] * 10 + late)
    assert found == pytest.approx(3)
    assert scale.late_to_early([0.1] * (scale.EARLY + 2 * scale.WINDOW - 1)) is None


def test_a_frechet_distance_is_timed_with_its_parts() -> None:
    shown: list[str] = []
    frechet.main(shown.append, num_samples=64, num_features=8)
    assert shown[0].startswith("Frechet distance: 8 features of 64 samples")
    assert [line.split("  ")[0] for line in shown[1].splitlines()[1:]] == [
        "the reference's root, once and kept",
        "mean and covariance of the features",
        "the distance",
    ]


def test_a_mutant_changes_one_thing_and_shows_its_line() -> None:
    source = (
        "def clipped(x: int = 2) -> bool:\n"
        '    """True for 5 and more."""\n'
        "    y = 1.5\n"
        "    y += f(x, 'ä' + x)\n"
        "    return min(x, 9) < y and not x[-1]\n"
    )
    found = list(mutants("f.py", source))
    assert {(mutant.line, mutant.shown) for mutant in found} >= {
        (1, "def clipped(x: int = (3)) -> bool:"),
        (3, "return None; y = 1.5"),
        (3, "y = (0.5)"),
        (4, "y -= f(x, 'ä' + x)"),
        (4, "y += f(x, 'ä' - x)"),
        (5, "return max(x, 9) < y and not x[-1]"),
        (5, "return min(x, 9) <= y and not x[-1]"),
        (5, "return min(x, 9) < y and (x[-1])"),
        (5, "return min(x, 9) < y and not x[(1)]"),
    }
    assert len({mutant.after for mutant in found}) == len(found)
    for mutant in found:
        ast.parse(mutant.after)
        assert mutant.before == source != mutant.after
        assert '"""True for 5 and more."""' in mutant.after


def test_each_module_whose_mutants_are_tried_has_tests() -> None:
    for path, names in chosen([]).items():
        assert (ROOT / path).is_file()
        assert names and all((ROOT / f"tests/search/test_{name}.py").is_file() for name in names)
    with pytest.raises(ValueError, match=r"search/cli\.py has no tests in bench/quality/mutants\.py"):
        chosen(["search.cli"])


def test_an_mps_daemon_is_started_found_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control = tmp_path / "nvidia-cuda-mps-control"
    control.write_text(f'#!/bin/sh\n[ -n "$1" ] || read word\necho $1 $word >> {tmp_path}/said\n')
    control.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    with slices.mps():
        assert Path(os.environ["CUDA_MPS_PIPE_DIRECTORY"]).is_dir()
        assert (tmp_path / "said").read_text().split() == ["-d"]
    assert (tmp_path / "said").read_text().split() == ["-d", "quit"]
    assert "CUDA_MPS_PIPE_DIRECTORY" not in os.environ


def test_the_yardstick_of_a_distance_has_the_pixels_mean_and_covariance() -> None:
    generator = torch.Generator().manual_seed(0)
    images_NCHW = torch.rand(50, 1, 2, 2, generator=generator) ** 2
    drawn = Yardsticks(images_NCHW).draw(100_000, generator)
    real_NCHW, gaussian_NCHW, _ = drawn.values()
    assert set(real_NCHW.flatten().tolist()) <= set(images_NCHW.flatten().tolist())
    for x_NCHW in (real_NCHW, gaussian_NCHW):
        assert x_NCHW.dtype == torch.float32
        # Standard errors are about .001; 6 sigma.
        torch.testing.assert_close(x_NCHW.mean(0), images_NCHW.mean(0), rtol=0, atol=0.006)
        covariance, wanted = (torch.cov(y.flatten(1).T) for y in (x_NCHW, images_NCHW))
        torch.testing.assert_close(covariance, wanted, rtol=0, atol=0.006)


def test_the_table_of_a_gpu_compares_with_one_trial_alone_and_with_the_bare_loop() -> None:
    found = [
        ("bare loop", 100.0),
        (gpu.Variant("mlp", 1).text, 80.0),
        (gpu.Variant("mlp", 8, True).text, None),
    ]
    assert gpu.rows(found, bare=100.0, alone=80.0) == [
        ["bare loop", "100.0", "1.25", "1.00"],
        ["stack 1, float32", "80.0", "1.00", "0.80"],
        ["stack 8, graph, float32", "-", "-", "-"],
    ]


def test_what_is_timed_on_a_gpu_is_trained_and_a_memory_that_is_short_is_no_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = gpu.Sizes(("film_mlp",), 1, 6, 8, (1, 2), (1,), 0.01, "cpu", total_steps=40)
    assert [variant.stack for variant in gpu.variants(sizes, "film_mlp")] == [0, 1, 2, 1, 2]
    found = dict(gpu.in_one_process(sizes, "film_mlp", until=float("inf")))
    assert len(found) == 5 and all(rate is not None and rate > 0 for rate in found.values())
    assert gpu.in_one_process(sizes, "film_mlp", until=0.0) == []

    def short(*args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(gpu, "_stepper", short)
    assert gpu.trials_per_hour(gpu.Variant("film_mlp", 1), sizes) is None


def test_what_a_start_is_worth_is_paired_by_seed() -> None:
    assert rungs_of(2000) == (62, 125, 250, 500, 1000, 2000)
    plain, started = [{5: 100.0}, {5: 400.0}], [{5: 50.0}, {5: 100.0}]
    step, one, other, change, *noise = row_of(5, plain, started)
    assert (step, one, other, change) == ("5", "200", "70.7", "0.38 [0.25, 0.50]")
    assert noise == ["0.98", "0.49"]


def test_a_look_is_judged_by_what_the_search_then_took() -> None:
    right = Judged.of([Look(10, 85, 95), Look(60, 39, 41)], 100)
    assert (set(right.near), set(right.holds)) == ({True}, {True})
    assert len(right.near) == 90
    late = Judged.of([Look(50.1, 0, 0)], 100)
    assert not any(late.near[:40]) and not any(late.holds[:40])
    wide = Judged.of([Look(5, 20, 400)], 100)
    assert not any(wide.near[:50]) and all(wide.holds[:50])
    assert (wide + right).row("two")[:2] == ["two", "180"]
