"""`holds_at`: the settings in which a winner must hold too, as the search file gives them and filled in."""

import dataclasses
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from search.evidence.holding import HoldRules
from search.file.choices import checked_training, choice
from search.file.messages import Misfit, shown
from search.file.model import Section
from search.file.values import checked_rounds
from search.file.yaml_walk import Place
from spaces.registry import name_of, option_name
from trainable.dataset import Dataset
from trainable.extractor import EXTRACTORS, Extractor
from trainable.network import Network
from trainable.trainers.command import Command
from trainable.training.config import TrainingConfig

_TIMES = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)x")


def _changes(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"must be a mapping with what is other than in the search, but got {shown(value)}")
    return dict(value)


def _words(value: Any) -> Any:
    """Numbers among them as text."""
    words = (
        [str(word) if type(word) in (int, float) else word for word in value]
        if isinstance(value, list)
        else []
    )
    if not words or not all(isinstance(word, str) for word in words):
        raise ValueError(f"must be a list of words such as [--width, 128], but got {shown(value)}")
    return words


class Appended(Section):
    """Words behind those of a script's command, such as another width of its network."""

    append: Annotated[list[str], BeforeValidator(_words)]


class Elsewhere(Section):
    """A setting: what is other than in the search. `training.total_steps` may be a multiple of the search's: `4x`."""

    training: Annotated[dict[str, Any], BeforeValidator(_changes)] | None = None
    network: Annotated[Network, choice("network")] | None = None
    data: Annotated[Dataset, choice("data")] | None = None
    command: Appended | None = None  # where a script trains, instead of network and data

    @model_validator(mode="after")
    def _is_elsewhere(self) -> Self:
        if (self.training, self.network, self.data, self.command) == (None,) * 4:
            raise ValueError(
                "must have at least one of training, network, data, of a script training, command: what is other than "
                "in the search"
            )
        return self


def _settings_alone(value: Any) -> Any:
    """A list is the settings, nothing below the key is none."""
    return {"settings": value} if isinstance(value, list) else {} if value is None else value


class HoldsAt(Section):
    """Where a winner must hold besides: the best trials of the confirmation and the best preset are trained there."""

    settings: list[Elsewhere] = Field(default_factory=list)
    top: int = Field(default=2, ge=1, le=100)  # the best trials of the confirmation
    baselines: int = Field(default=1, ge=1, le=100)  # and the best presets, confirmed ones first
    rounds: Annotated[list[int], AfterValidator(checked_rounds)] = Field(default_factory=lambda: [2, 4])
    # Other trials on one seed each: does the setting order them as the search did?
    spread: int = Field(default=5, ge=0, le=1000)
    # The best trials of the search are tried in every setting before any is confirmed, the better half in the next one;
    # those with the best geometric mean are confirmed. 0: those with the best value in the search.
    shortlist: int = Field(default=0, ge=0, le=1000)

    def rules(self, settings: Sequence["AnySetting"]) -> HoldRules | None:
        """What the policy needs of it; None without a setting."""
        if not settings:
            return None
        return HoldRules(
            settings={setting.name: setting.training.total_steps for setting in settings},
            top=self.top,
            baselines=self.baselines,
            rounds=tuple(self.rounds),
            spread=self.spread,
            shortlist=self.shortlist,
        )


HoldsAtField = Annotated[HoldsAt, BeforeValidator(_settings_alone)]


@dataclass(frozen=True, kw_only=True)
class SettingSpec:
    """A setting with everything filled in. name: what is other than in the search, as people write it."""

    name: str
    training: TrainingConfig
    network: Network
    data: Dataset
    extractor: Extractor

    def is_like(self, other: "AnySetting") -> bool:
        """Whether a trial trains the same in both."""
        if not isinstance(other, SettingSpec):
            return False
        mine, others = (
            (setting.training, setting.network, setting.data, setting.extractor) for setting in (self, other)
        )
        return mine == others


@dataclass(frozen=True, kw_only=True)
class ScriptSetting:
    """The same where a script trains. trainer: with the words of its command."""

    name: str
    training: TrainingConfig
    trainer: Command

    def is_like(self, other: "AnySetting") -> bool:
        """Whether the script is run alike in both."""
        mine = self.training, self.trainer
        return isinstance(other, ScriptSetting) and mine == (other.training, other.trainer)


AnySetting = SettingSpec | ScriptSetting


def steps_are_like(one: AnySetting, other: AnySetting) -> bool:
    """Whether a training step is the same in both, however many there are."""
    same_number = replace(one.training, total_steps=other.training.total_steps)
    return replace(one, training=same_number).is_like(other)


def written_out(holds_at: HoldsAt, training: TrainingConfig) -> HoldsAt:
    """The section with plain numbers of steps. Raises Misfit for training options that cannot be."""
    problems: list[tuple[Place, str]] = []
    settings = []
    for index, setting in enumerate(holds_at.settings):
        try:
            settings.append(_with_steps(setting, training))
        except Misfit as error:
            problems += [
                (("holds_at", "settings", index, "training", *place), text) for place, text in error.items
            ]
    if problems:
        raise Misfit(*problems)
    return holds_at.model_copy(update={"settings": settings})


def _with_steps(setting: Elsewhere, training: TrainingConfig) -> Elsewhere:
    if setting.training is None:
        return setting
    changes = dict(setting.training)
    steps = changes.get("total_steps")
    if isinstance(steps, str):
        times = _TIMES.fullmatch(steps)
        if times is None:
            problem: tuple[Place, str] = (("total_steps",), _no_steps(steps))
            raise Misfit(problem)
        changes["total_steps"] = round(float(times[1]) * training.total_steps)
    checked_training({**training.to_dict(), **changes})
    return setting.model_copy(update={"training": changes})


def _no_steps(value: str) -> str:
    return f"must be a number of steps, or a multiple of the search's such as 4x, but got {shown(value)}"


def settings_of(holds_at: HoldsAt, own: SettingSpec) -> tuple[SettingSpec, ...]:
    """The settings of a section that is `written_out`. own: that of the search."""
    return tuple(
        SettingSpec(
            name=" + ".join(_parts(setting)),
            training=checked_training({**own.training.to_dict(), **(setting.training or {})}),
            network=setting.network or own.network,
            data=setting.data or own.data,
            extractor=_features(setting.data, own.extractor),
        )
        for setting in holds_at.settings
    )


def script_settings_of(holds_at: HoldsAt, own: ScriptSetting) -> tuple[ScriptSetting, ...]:
    """The settings of a section that is `written_out`, where a script trains. ValueError for words that cannot be."""
    return tuple(
        ScriptSetting(
            name=" + ".join(_parts(setting)),
            training=checked_training({**own.training.to_dict(), **(setting.training or {})}),
            trainer=with_words(own.trainer, setting.command),
        )
        for setting in holds_at.settings
    )


def with_words(trainer: Command, more: Appended | None) -> Command:
    """The script with more words in its command. ValueError for one that cannot be."""
    return trainer if more is None else replace(trainer, command=(*trainer.command, *more.append))


def _features(data: Dataset | None, own: Extractor) -> Extractor:
    """Of a setting with other data: those of that data; of data that names none, those of the search."""
    default = None if data is None else type(data).EXTRACTOR
    return own if default is None else EXTRACTORS.build(default)


def _parts(setting: Elsewhere) -> Iterator[str]:
    for option, value in (setting.training or {}).items():
        yield f"{option} {value}"
    for choice_ in (setting.network, setting.data):
        if choice_ is not None:
            yield _described(choice_)
    if setting.command is not None:
        yield shlex.join(setting.command.append)


def _described(chosen: Network | Dataset) -> str:
    """`unet(channels=[16, 32])`: the name, and the options that are not the defaults."""
    options = []
    for field in dataclasses.fields(chosen):
        value = getattr(chosen, field.name)
        made = field.default_factory
        default = field.default if made is dataclasses.MISSING else made()
        is_path = field.name in type(chosen).PATHS
        if is_path and isinstance(chosen, Network):  # its file says which it is, where data lies says nothing
            value = Path(value).name
        if value != default and not (is_path and isinstance(chosen, Dataset)):
            options.append(f"{option_name(field.name)}={list(value) if isinstance(value, tuple) else value}")
    return name_of(chosen) + (f"({', '.join(options)})" if options else "")
