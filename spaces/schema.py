"""The JSON Schema of a schedule, for software that reads one without this package."""

from typing import Any

from pydantic import TypeAdapter

from spaces.choice import Choice
from spaces.curriculum import CURRICULA
from spaces.grid import KarrasGrid
from spaces.noise_distribution import NOISE
from spaces.registry import name_of


def schedule_json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `NoiseSchedule.to_dict()`, of every family in the folders.

    It holds types and bounds; rules between two options (`s0 <= s1`) are checked by
    `NoiseSchedule.from_dict` only. Published as spaces/noise-schedule.schema.json.
    """
    definitions = {"grid": _definition(KarrasGrid)}
    properties: dict[str, Any] = {"grid": {"$ref": "#/$defs/grid"}}
    for part, registry in (("noise", NOISE), ("curriculum", CURRICULA)):
        keys = [f"{part}.{name}" for name in registry]
        definitions |= {key: _definition(cls) for key, cls in zip(keys, registry.values(), strict=True)}
        properties[part] = {"oneOf": [{"$ref": f"#/$defs/{key}"} for key in keys]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Noise schedule of a consistency model",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        "$defs": definitions,
    }


def _definition(cls: type[Choice]) -> dict[str, Any]:
    generated = TypeAdapter(cls).json_schema()
    named: dict[str, Any] = {} if cls is KarrasGrid else {"name": {"const": name_of(cls)}}
    options = {
        option: {key: value for key, value in rule.items() if key != "title"} | _limits(cls, option, rule)
        for option, rule in generated.get("properties", {}).items()
    }
    return {
        "description": generated["description"],
        "type": "object",
        "properties": named | options,
        "required": list(named),
        "additionalProperties": False,
    }


def _limits(cls: type[Choice], option: str, rule: dict[str, Any]) -> dict[str, Any]:
    if option not in cls.BOUNDS:
        return {}
    low, high = cls.BOUNDS[option]
    return {"minimum": low, "maximum": high}  # JSON Schema applies them to numbers, not to null
