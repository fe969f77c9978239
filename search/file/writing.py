"""Writes a search file: plain data of its values, and YAML that our reader reads back to the same."""

import dataclasses
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import yaml
from pydantic import BaseModel

from search.file.presets import OwnSchedule
from search.file.yaml12 import resolve_scalar
from spaces import SearchSpace
from spaces.plugins import Plugin
from spaces.registry import name_of, options_of
from trainable.training.config import TrainingConfig


def plain(value: Any) -> Any:
    """Only dict, list, str, int, float, bool and None, copied; a choice as its name and its options."""
    if isinstance(value, BaseModel):
        return {field: plain(getattr(value, field)) for field in type(value).model_fields}
    if isinstance(value, SearchSpace | TrainingConfig | OwnSchedule):
        return plain(value.to_dict())
    if isinstance(value, Plugin):
        return value.path
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"name": name_of(value), **plain(options_of(value))}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, PurePath):
        return str(value)
    assert value is None or isinstance(value, str | int | float | bool), f"not plain data: {value!r}"
    return value


def yaml_of(data: Mapping[str, Any]) -> str:
    """`data` as the text of a search file."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """PyYAML quotes what YAML 1.1 would misread; this one also what our YAML 1.2 reader would."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        is_text = resolve_scalar(text) == text
    except ValueError:
        is_text = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_text else "'")


_Dumper.add_representer(str, _represent_text)
