"""Quasi-random draws."""

from dataclasses import dataclass
from itertools import chain, takewhile
from typing import Any

import numpy as np
import scipy  # scipy.stats is imported at its first use: to name an algorithm needs none of it
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from search.algorithm import DROPPED, Algorithm
from search.algorithms._unit_interval import value_at

_BITS = 30


@dataclass(frozen=True, kw_only=True)
class QMC(Algorithm):
    """Quasi-random draws: a scrambled Sobol sequence, which covers the space more evenly than chance.

    Learns nothing, like `random`, whose gaps and clusters it avoids (Bergstra & Bengio 2012, JMLR 13:281).
    Not Optuna's QMCSampler, whose counter is lost with the driver and which, in a space that is
    conditional on the family, draws at random.
    """

    def sampler(self, seed: int) -> BaseSampler:
        return SobolSampler(seed)


class SobolSampler(BaseSampler):
    """Optuna sampler: trial n takes point n of one sequence, whoever draws it and when.

    Where that point was no news and was dropped, the trial takes a random one, and leaves the next point to the next
    trial: so dropped proposals, which a restart forgets, move no other.

    Each parameter is one coordinate; they are numbered as the study met them. So a parameter keeps its
    coordinate when others join, and a family's own parameters are coordinates of the point that the other
    families leave unused. The sequence is scrambled by a random digital shift (L'Ecuyer & Lemieux 2002), which keeps
    its evenness and must be the same for all trials: it follows from the search's seed, which the conductor leaves
    in the study, or from the sampler's own, where one sampler serves a whole study.
    """

    def __init__(self, seed: int):
        self._seed = seed

    def reseed_rng(self) -> None:
        """Nothing: another seed in another process would be another sequence."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        earlier = [seen for seen in study.get_trials(deepcopy=False) if seen.number < trial.number]
        kept = [seen.params for seen in earlier if DROPPED not in seen.user_attrs]
        num_dropped = sum(1 for _ in takewhile(lambda seen: DROPPED in seen.user_attrs, reversed(earlier)))
        names = dict.fromkeys(chain.from_iterable([*kept, trial.params, [param_name]]))
        coordinate = list(names).index(param_name)
        seed = study.user_attrs.get("seed", self._seed)
        if num_dropped:
            generator = np.random.default_rng([seed, len(kept), num_dropped, coordinate])
            u = generator.random()
        else:
            u = _sobol(len(kept), coordinate, seed)
        return value_at(param_distribution, u)


def _sobol(index: int, coordinate: int, seed: int) -> float:
    """Coordinate `coordinate` of point `index` of the scrambled sequence, in (0, 1)."""
    engine = scipy.stats.qmc.Sobol(coordinate + 1, scramble=False, bits=_BITS)
    if index:
        engine.fast_forward(index)
    plain = int(engine.random(1)[0, coordinate] * 2**_BITS)
    generator = np.random.default_rng([seed, coordinate])
    shift = int(generator.integers(2**_BITS))
    return ((plain ^ shift) + 0.5) / 2**_BITS
