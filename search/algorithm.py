"""What a search algorithm is: a factory of Optuna samplers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from optuna import logging
from optuna.samplers import BaseSampler
from pydantic import ConfigDict

from spaces import SearchSpace
from spaces.registry import STRICT, Registry

# Optuna tells the screen of every study that is opened, those in memory included.
logging.set_verbosity(logging.WARNING)

DROPPED = (
    "dropped"  # user attribute of a trial that was proposed and is not run: no news, or refused by the space
)


@dataclass(frozen=True, kw_only=True)
class Algorithm(ABC):
    """Options of a search algorithm; its fields are what the search file may set."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """A fresh sampler. One is made for every proposal, seeded by the search's seed and the trial's number.

        So a proposal depends on the study and the seed alone: not on what the sampler drew before, which
        a restart would lose. The study it sees holds finished trials as COMPLETE, stopped ones as PRUNED
        with their values at every rung, the others that run as RUNNING; trials which are no observation of
        the space (failed, confirmations, presets outside the space, dropped proposals) as FAIL. Its user attribute
        `seed` is the search's own. After a restart it is made again, without dropped proposals and without what
        samplers had written to it (system attributes).
        """

    def sampler_in(self, space: SearchSpace, total_steps: int, seed: int) -> BaseSampler:
        """`sampler` for trials of total_steps with the parameters of `space`.

        For algorithms that look at schedules, and not at their parameters only, to override.
        """
        return self.sampler(seed)


ALGORITHMS: Registry[Algorithm] = Registry("search.algorithms", Algorithm, "search algorithm")  # type: ignore[type-abstract]
