"""TPE as Optuna ships it."""

from dataclasses import dataclass

from optuna.samplers import BaseSampler, TPESampler

from search.algorithm import Algorithm


@dataclass(frozen=True, kw_only=True)
class TPE(Algorithm):
    """TPE as Optuna ships it; stopped trials rank below every finished one (Bergstra et al. 2011, NeurIPS).

    num_startup_trials: random trials before the first model.
    """

    num_startup_trials: int = 10

    def __post_init__(self) -> None:
        if self.num_startup_trials < 1:
            raise ValueError(
                f"`num_startup_trials >= 1` must hold, but got num_startup_trials={self.num_startup_trials}"
            )

    def sampler(self, seed: int) -> BaseSampler:
        return TPESampler(seed=seed, n_startup_trials=self.num_startup_trials)
