"""Which fields a search file has with which trainer: our training needs data, a script brings all of its own."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator

from search.file.measures import Measures
from search.file.messages import Misfit
from search.file.sections import Objective, Sampling
from spaces import NOISE
from trainable.network import NETWORKS, Network
from trainable.trainers.command import Command
from trainable.training.config import TrainingConfig

_NO_MEANING = "has no meaning where a script trains (trainer.name=command), which has its own. Leave it out"


def _is_script(info: ValidationInfo) -> bool:
    return isinstance(info.data.get("trainer"), Command)


def _data(value: Any, checked: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    if _is_script(info):
        return _none(value)
    if value is None:
        if "trainer" not in info.data:  # what is wrong with it is told
            return None
        raise ValueError("is required, but is missing")
    return checked(value)


def _none(value: Any) -> None:
    if value is not None:
        raise ValueError(_NO_MEANING)


def _network(value: Any, checked: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    return _none(value) if _is_script(info) else checked(value)


def default_network(fields: Mapping[str, Any]) -> Network | None:
    """The network that goes with the data; None where a script trains."""
    data = fields["data"]
    return None if data is None else NETWORKS.build(type(data).NETWORK)


def _training(value: Any, checked: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    if _is_script(info) and isinstance(value, Mapping) and (others := [*value.keys() - {"total_steps"}]):
        raise Misfit(*(((str(option),), _NO_MEANING) for option in sorted(map(str, others))))
    training = checked(value)
    if _is_script(info) and training != TrainingConfig(total_steps=training.total_steps):
        raise ValueError(_NO_MEANING)
    return training


def _unchanged(value: Any, checked: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    section = checked(value)
    if _is_script(info) and section not in (Objective(), Sampling(), Measures()):
        raise ValueError(_NO_MEANING)
    return section


def _space(value: Any, checked: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    is_open = value is None or (isinstance(value, Mapping) and value.get("noise") is None)
    return checked({**(value or {}), **families(info.data)} if is_open else value)


def families(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in a `space` that names no noise: nothing; where a script trains, what it can be given."""
    if not isinstance(fields.get("trainer"), Command):
        return {}
    found = (name for name, cls in NOISE.items() if cls.SEARCHED and not cls.ADAPTIVE)
    return {"noise": dict.fromkeys(found)}


# For `Annotated`, behind the validator of the field.
data_of_trainer, network_of_trainer = WrapValidator(_data), WrapValidator(_network)
training_of_trainer, section_of_trainer = WrapValidator(_training), WrapValidator(_unchanged)
space_of_trainer = WrapValidator(_space)
