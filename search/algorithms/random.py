"""Independent uniform draws."""

from dataclasses import dataclass

from optuna.samplers import BaseSampler, RandomSampler

from search.algorithm import Algorithm


@dataclass(frozen=True, kw_only=True)
class Random(Algorithm):
    """Independent uniform draws: the yardstick (Bergstra & Bengio 2012, JMLR 13:281)."""

    def sampler(self, seed: int) -> BaseSampler:
        return RandomSampler(seed=seed)
