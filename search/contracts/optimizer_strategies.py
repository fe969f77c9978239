import math

import torch

from search.contracts._promise import Promise, good_options, need, plain_data
from spaces import PRESETS
from trainable.network import NETWORKS
from trainable.optimizer_strategy import OPTIMIZER_STRATEGIES
from trainable.training.config import TrainingConfig
from trainable.training.trainer import Trainer


def it_is_plain_data(name: str) -> None:
    good_options(OPTIMIZER_STRATEGIES[name])
    plain_data(OPTIMIZER_STRATEGIES, OPTIMIZER_STRATEGIES.build(name))


def factors_are_finite_positive_and_momentum_below_1(name: str) -> None:
    strategy = OPTIMIZER_STRATEGIES.build(name)
    for num_steps in (1, 7, 2000):
        beta1_K, factor_K = strategy.beta1(num_steps), strategy.learning_rate_factor(num_steps)
        for what, values_K in (("beta1", beta1_K), ("learning_rate_factor", factor_K)):
            is_good = values_K is None or (values_K.dtype, values_K.shape) == (torch.float64, (num_steps,))
            need(is_good, f"{what} must be float64, one for each of {num_steps} steps")
        need(beta1_K is None or ((beta1_K >= 0) & (beta1_K < 1)).all(), "beta1 must lie in [0, 1)")
        is_finite = factor_K is None or ((factor_K > 0) & factor_K.isfinite()).all()
        need(is_finite, "learning_rate_factor must be finite and > 0")


def a_trial_trains_and_resumes_bit_for_bit(name: str) -> None:
    strategy = OPTIMIZER_STRATEGIES.build(name)
    images = torch.rand((50, 1, 4, 4), generator=torch.Generator().manual_seed(11)) * 2 - 1
    network = NETWORKS.build({"name": "film_mlp", "width": 8, "depth": 1})
    config = TrainingConfig(total_steps=60, batch_size=16, optimizer_strategy=strategy)

    def begun() -> Trainer:
        trainer = Trainer(network, images, config)
        trainer.begin(PRESETS["ict"].schedule, 3)
        return trainer

    whole, first, second = begun(), begun(), begun()
    need(math.isfinite(whole.train(60)), "training with it diverges on the smallest network")
    first.train(37)
    second.load_state_dict(*first.state_dict())
    second.train(60)
    mine, theirs = whole.state_dict()[0], second.state_dict()[0]
    need(
        all(torch.equal(mine[key], theirs[key]) for key in mine),
        "a trial goes on otherwise after an interruption",
    )


PROMISES: tuple[Promise, ...] = (
    it_is_plain_data,
    factors_are_finite_positive_and_momentum_below_1,
    a_trial_trains_and_resumes_bit_for_bit,
)
