"""The published JSON Schema of a schedule is current, and accepts and refuses the right things."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import spaces
from spaces import GRIDS, PRESETS, SearchSpace, schedule_json_schema

PUBLISHED = Path(spaces.__file__).with_name("noise-schedule.schema.json")
UPDATE = (
    "Write it anew: python -c \"import json, spaces; open('spaces/noise-schedule.schema.json', 'w')"
    ".write(json.dumps(spaces.schedule_json_schema(), indent=2) + '\\n')\""
)


def test_the_published_file_is_current() -> None:
    """A family that is not published yet is fine: adding one must stay a matter of one file."""
    published = json.loads(PUBLISHED.read_text())
    current = schedule_json_schema()
    assert published.keys() == current.keys()
    for name, definition in published["$defs"].items():
        assert definition == current["$defs"].get(name), UPDATE
    for part in ("grid", "noise", "curriculum"):
        listed = {choice["$ref"] for choice in published["properties"][part]["oneOf"]}
        assert listed == {f"#/$defs/{name}" for name in published["$defs"] if name.startswith(part)}, UPDATE
    for key in ("$schema", "type", "required", "additionalProperties"):
        assert published[key] == current[key], UPDATE


def test_it_is_a_valid_schema_that_accepts_every_preset_and_every_corner() -> None:
    schema = schedule_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for preset in PRESETS.values():
        validator.validate(preset.schedule.to_dict())
    space = SearchSpace.from_mapping(None)
    some = PRESETS["ict"].schedule.to_dict()
    validator.validate({**some, "grid": {"rho": 7.0}})  # a grid without a name
    validator.validate({part: some[part] for part in ("grid", "noise", "curriculum")})
    grids = SearchSpace.from_mapping({"grid": dict.fromkeys(GRIDS)}).grid
    for part, families in (("grid", grids), ("noise", space.noise), ("curriculum", space.curriculum)):
        for family in families:
            for options in family.corners():
                validator.validate({**some, part: {"name": family.prefix, **options}})


def test_every_option_is_explained_where_it_stands() -> None:
    for name, definition in schedule_json_schema()["$defs"].items():
        for option in definition["properties"].keys() - {"name"}:
            assert option in definition["description"], f"{name} does not say what its {option} is"


def refused() -> list[dict[str, Any]]:
    """The iCT schedule with one thing wrong each."""
    wrong: list[dict[str, Any]] = []
    for part, option, value in [
        ("noise", "name", "lognorml"),
        ("noise", "p_std", "2"),
        ("noise", "p_std", -1.0),
        ("noise", "std", 2.0),
        ("grid", "rho", None),
        ("grid", "rho", 0.0),
        ("grid", "name", "karas"),
        ("grid", "name", "karras_master"),  # and then an unknown option
        ("grid", "levels", 251),
        ("curriculum", "s0", 2.5),
        ("curriculum", "s1", "150"),
    ]:
        data = copy.deepcopy(PRESETS["ict"].schedule.to_dict())
        data[part][option] = value
        wrong.append(data)
    for part in ("grid", "noise", "curriculum"):
        data = PRESETS["ict"].schedule.to_dict()
        del data[part]
        wrong.append(data)
    wrong[7]["grid"]["level"] = 251
    for floor in ("0", None, -0.1, 1.0):
        wrong.append({**PRESETS["ict"].schedule.to_dict(), "uniform_floor": floor})
    wrong.append({**PRESETS["ict"].schedule.to_dict(), "extra": 1})
    wrong.append({**PRESETS["ict"].schedule.to_dict(), "noise": {"p_std": 2.0}})
    return wrong


@pytest.mark.parametrize("data", refused())
def test_what_it_refuses_the_package_refuses_too(data: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(schedule_json_schema())
    assert not validator.is_valid(data)
    with pytest.raises(ValueError):
        spaces.NoiseSchedule.from_dict(data)
