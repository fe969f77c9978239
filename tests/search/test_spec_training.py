"""The strategy of the optimizer in a search file: read, written back, refused with its line."""

from pathlib import Path

import pytest

from search.file.spec import SpecError, load_spec
from trainable.optimizer_strategies.constant import Constant
from trainable.optimizer_strategies.momentum_decay import MomentumDecay


def spec_file(folder: Path, training: str) -> Path:
    path = folder / "x.yaml"
    path.write_text(f"name: x\ndata: digits\ntraining:\n  batch_size: 64\n{training}")
    return path


@pytest.mark.parametrize(
    ("training", "strategy"),
    [
        ("", Constant()),
        ("  optimizer_strategy: momentum_decay\n", MomentumDecay()),
        (
            "  optimizer_strategy: {name: momentum_decay, b0: 0.5, compensation: none}\n",
            MomentumDecay(b0=0.5, compensation="none"),
        ),
    ],
)
def test_a_strategy_is_read_and_written_back(tmp_path: Path, training: str, strategy: object) -> None:
    spec = load_spec(spec_file(tmp_path, training))
    assert spec.training.optimizer_strategy == strategy
    again = tmp_path / "again.yaml"
    again.write_text(spec.to_yaml())
    assert load_spec(again).training == spec.training
    assert load_spec(again).fingerprint_fields() == spec.fingerprint_fields()


@pytest.mark.parametrize(
    ("training", "messages"),
    [
        (
            "  optimizer_strategy: momentum_deca\n  learning_rat: 1\n",
            [
                "x.yaml:5: training.optimizer_strategy.name: unknown strategy of the optimizer 'momentum_deca' "
                "(did you mean momentum_decay?)",
                "x.yaml:6: training.learning_rat: unknown field (did you mean learning_rate?)",
            ],
        ),
        (
            "  optimizer_strategy: {name: momentum_decay, b1: 0.5}\n",
            ["x.yaml:5: training.optimizer_strategy.b1: unknown field", "Known: b0, compensation"],
        ),
        (
            "  optimizer_strategy:\n    name: momentum_decay\n    b0: 2\n",
            ["x.yaml:7: training.optimizer_strategy.b0: `0.01 <= b0 <= 0.999` must hold, but got b0=2"],
        ),
        ("  optimizer_strategy: 3\n", ["x.yaml:5: training.optimizer_strategy: must be a name or a mapping"]),
        (
            "  optimizer_strategy: gradient_noise_scale\n  lr_decay_start: 2\n",
            ["x.yaml:6: training.lr_decay_start: `0 <= lr_decay_start <= 1` must hold"],
        ),
    ],
)
def test_a_wrong_strategy_is_one_line_with_its_place(
    tmp_path: Path, training: str, messages: list[str]
) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(spec_file(tmp_path, training))
    for message in messages:
        assert message in str(caught.value)


def test_an_odd_batch_is_blamed_where_the_strategy_needs_halves(tmp_path: Path) -> None:
    path = spec_file(tmp_path, "  optimizer_strategy: gradient_noise_scale\n")
    path.write_text(path.read_text().replace("64", "63"))
    with pytest.raises(
        SpecError, match=r"x\.yaml:4: training\.batch_size: `batch_size` must be even, but got"
    ):
        load_spec(path)
