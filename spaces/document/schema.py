"""The JSON Schemas of a schedule and of its export, for software that reads them without this package."""

from typing import Any

from pydantic import TypeAdapter

from spaces.choice import Choice
from spaces.curriculum import CURRICULA
from spaces.document.format import FORMATS, Document, PairsDocument
from spaces.gap import GAPS
from spaces.grid import GRIDS
from spaces.noise_distribution import NOISE
from spaces.registry import Registry, adapter, name_of
from spaces.schedule import USUAL


def schedule_json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `NoiseSchedule.to_dict()`, of every family in the folders.

    It holds types and bounds; rules between two options (`s0 <= s1`) are checked by
    `NoiseSchedule.from_dict` only. Published as spaces/noise-schedule.schema.json.
    """
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    later = {part: registry for part, (registry, _) in USUAL.items()}
    registries: dict[str, Registry[Any]] = {"grid": GRIDS, "noise": NOISE, "curriculum": CURRICULA, **later}
    for part, registry in registries.items():
        keys = [f"{part}.{name}" for name in registry]
        definitions |= {key: _definition(cls) for key, cls in zip(keys, registry.values(), strict=True)}
        properties[part] = {"oneOf": [{"$ref": f"#/$defs/{key}"} for key in keys]}
    definitions["grid.karras"]["required"] = []  # a grid without a name is this one
    floor = {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.0}
    # A gap that is not adjacent has stages of its own, and of a grid the ends only; both are in a grid without a name.
    # So has the loss without a teacher, beside which there is no gap.
    continuous = {
        "anyOf": [_named("gap", [n for n in GAPS if GAPS[n].CONTINUOUS]), _named("loss", ["denoising"])]
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Noise schedule of a consistency model",
        "type": "object",
        "properties": {**properties, "uniform_floor": floor},
        "required": ["grid", "noise"],
        "if": continuous,
        "then": {
            "properties": {
                "grid": {"propertyNames": {"enum": ["sigma_min", "sigma_max"]}},
                "curriculum": False,
            }
        },
        "else": {"required": ["curriculum"]},
        "not": {"allOf": [{"required": ["gap"]}, _named("loss", ["denoising"])]},
        "additionalProperties": False,
        "$defs": definitions,
    }


def _named(part: str, names: list[str]) -> dict[str, Any]:
    """What a schedule is whose part has one of these names."""
    return {"required": [part], "properties": {part: {"properties": {"name": {"enum": names}}}}}


def _definition(cls: type[Choice]) -> dict[str, Any]:
    generated = TypeAdapter(cls).json_schema()
    options = {
        option: {key: value for key, value in rule.items() if key != "title"} | _limits(cls, option, rule)
        for option, rule in generated.get("properties", {}).items()
    }
    return {
        "description": generated["description"],
        "type": "object",
        "properties": {"name": {"const": name_of(cls)}, **options},
        "required": ["name"],
        "additionalProperties": False,
    }


def _limits(cls: type[Choice], option: str, rule: dict[str, Any]) -> dict[str, Any]:
    if option not in cls.BOUNDS:
        return {}
    low, high = cls.BOUNDS[option]
    return {"minimum": low, "maximum": high}  # JSON Schema applies them to numbers, not to null


def export_json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the whole document; of the schedule in it, noise-schedule.schema.json.

    It holds types and bounds. `load_schedule` also checks that the plain numbers are those of the schedule,
    that sampling levels decrease, and that the mean is that of the values. Published as
    spaces/noise-schedule-export.schema.json.
    """
    schema: dict[str, Any] = _tidy(adapter(Document).json_schema())
    pairs: dict[str, Any] = _tidy(adapter(PairsDocument).json_schema())
    schema["properties"]["format"] = {
        "description": schema["properties"]["format"]["description"],
        "enum": list(FORMATS),
    }
    one, other = (
        schema["$defs"]["TrainingPart"]["properties"],
        pairs["$defs"]["PairsTrainingPart"]["properties"],
    )
    one["stages"]["items"] = {"anyOf": [one["stages"]["items"], other["stages"]["items"]]}
    for part in ("loss", "weighting", "function"):
        one[part]["anyOf"] = [one[part]["anyOf"][0], *other[part]["anyOf"]]
    one["rules"] = other["rules"]
    schema["$defs"] |= {
        name: pairs["$defs"][name] for name in ("PairsPart", "PairsWeightingPart", "RulesPart")
    }
    about = schema["properties"]["schedule"]["description"]
    schema["properties"]["schedule"] = {"description": about, "$ref": "noise-schedule.schema.json"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Exported noise schedule of a consistency model",
        **schema,
    }


def _tidy(value: Any) -> Any:
    """Without the titles that pydantic makes up; only the keys of a pattern, where one is given."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidy = {key: _tidy(item) for key, item in value.items() if key != "title" or isinstance(item, dict)}
    return tidy | {"additionalProperties": False} if "patternProperties" in tidy else tidy
