"""The pure parts of the benchmarks: sums, tables, and that the yardstick trains the same thing."""

import pytest
import torch

from bench.bare_loop import SIGMA_MIN, BareLoop, levels
from bench.figures import Spread, ratios, table
from bench.search_efficiency import Ran, Search
from bench.step import ICT, in_turns
from trainable.consistency import consistency_function
from trainable.networks.film_mlp import FilmMlp
from trainable.training import TrainingConfig


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
    search = Search.of(Ran(trials, began=100.0, ended=110.0), slots=2, bare=25.0)
    assert (search.trials, search.steps, search.in_steps) == (2, 150, 5.0)
    assert (search.before, search.training, search.after, search.wall) == (4.0, 5.0, 1.0, 10.0)
    assert search.efficiency(search.wall) == pytest.approx(150 / 25 / (10 * 2))


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
