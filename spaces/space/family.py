"""One family of a search space: a choice with a distribution or a value for each option."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from optuna.distributions import BaseDistribution

from spaces.choice import Choice
from spaces.space.distributions import Trial, contains, corners, describe, suggest

C = TypeVar("C", bound=Choice)


@dataclass(frozen=True)
class Family(Generic[C]):
    """One class, with each of its options either fixed to a value or free: searched.

    prefix: of the Optuna parameters, `lognormal` in `lognormal.p_mean`, `loss.pseudo_huber` in
    `loss.pseudo_huber.huber_c`.
    """

    prefix: str
    cls: type[C]
    fixed: Mapping[str, Any]
    free: Mapping[str, BaseDistribution]

    @property
    def name(self) -> str:
        """Of the class among those of its part: `ect` of the prefix `gap.ect`."""
        return self.prefix.rpartition(".")[2]

    def suggest(self, trial: Trial) -> C:
        drawn = {
            option: suggest(trial, f"{self.prefix}.{option}", distribution)
            for option, distribution in self.free.items()
        }
        return self.cls(**self.fixed, **drawn)

    def params_of(self, choice: Choice) -> dict[str, Any] | None:
        """The Optuna parameters that give `choice`, None if no parameters do."""
        if type(choice) is not self.cls:
            return None
        for field in dataclasses.fields(choice):
            value = getattr(choice, field.name)
            if field.name in self.free:
                if not contains(self.free[field.name], value):
                    return None
            elif value != self.fixed[field.name]:
                return None
        return {f"{self.prefix}.{option}": getattr(choice, option) for option in self.free}

    def corners(self) -> Iterator[dict[str, Any]]:
        """All options at every corner of the space: the ends of each range, the extremes of choices."""
        for corner in itertools.product(*map(corners, self.free.values())):
            yield {**self.fixed, **dict(zip(self.free, corner, strict=True))}

    def to_dict(self) -> dict[str, Any]:
        """Every option with its value, range or choices."""
        return {
            field.name: describe(self.free[field.name]) if field.name in self.free else self.fixed[field.name]
            for field in dataclasses.fields(self.cls)
        }


def one_of(trial: Trial, name: str, families: tuple[Family[C], ...]) -> Family[C]:
    if len(families) == 1:
        return families[0]
    by_name = {family.name: family for family in families}
    return by_name[trial.suggest_categorical(name, list(by_name))]
