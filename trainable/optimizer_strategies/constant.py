from dataclasses import dataclass

from trainable.optimizer_strategy import OptimizerStrategy


@dataclass(frozen=True, kw_only=True)
class Constant(OptimizerStrategy):
    """RAdam as it is: momentum .9, the configuration's learning rate. Liu et al. 2020 (arXiv:1908.03265)."""
