"""Shows what may stand in a search file: the names, what they are, and their options with ranges.

examples:
  python -m search list noise            noise distributions, their options and default ranges
  python -m search list presets          schedules of the literature, to be run as baselines
  python -m search list stopping --json

Each choice is one file in the folder named at the top; a file dropped in there is listed here.
"""

import argparse
import dataclasses
import json
from typing import Any

HELP = "what may stand in a search file: noise, curricula, presets, data, networks, ..."

KINDS = ("noise", "curricula", "presets", "data", "networks", "extractors", "algorithms", "stopping")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=" | ".join(KINDS))


def run(args: argparse.Namespace) -> int:
    folder, choices = _presets() if args.kind == "presets" else _choices(args.kind)
    if args.json:
        print(json.dumps({"kind": args.kind, "folder": folder, "choices": choices}, indent=2))
    else:
        print(text_of(args.kind, folder, choices))
    return 0


def _registry(kind: str) -> Any:
    """Imported here: torch takes a second that `--help` should not."""
    if kind in ("noise", "curricula"):
        import spaces

        return spaces.NOISE if kind == "noise" else spaces.CURRICULA
    from search.spec_fields import registry_of

    return registry_of(kind.removesuffix("s"))


def _choices(kind: str) -> tuple[str, list[dict[str, Any]]]:
    from spaces.registry import summary_of

    registry = _registry(kind)
    folder = registry.package.replace(".", "/") + "/"
    return folder, [
        {"name": name, "summary": summary_of(cls), "options": options_of(cls)}
        for name, cls in registry.items()
    ]


def _presets() -> tuple[str, list[dict[str, Any]]]:
    from spaces import PRESETS

    return "spaces/presets/", [
        {
            "name": name,
            "summary": preset.summary,
            "published": preset.published,
            "schedule": preset.schedule.to_dict(),
            "described": preset.schedule.describe(),
        }
        for name, preset in PRESETS.items()
    ]


def options_of(cls: type) -> list[dict[str, Any]]:
    """Each field of a choice: name, type, default, what it accepts and what a search draws by default."""
    bounds = getattr(cls, "BOUNDS", {})
    space = getattr(cls, "SPACE", {})
    options = []
    for field in dataclasses.fields(cls):
        option: dict[str, Any] = {"name": field.name, "type": _type_text(field.type)}
        if field.default is not dataclasses.MISSING:
            option["default"] = _plain(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            option["default"] = _plain(field.default_factory())
        if field.name in bounds:
            option["bounds"] = list(bounds[field.name])
        if field.name in space:
            option["range"] = _range(space[field.name])
        options.append(option)
    return options


def _type_text(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and annotation.__module__ == "builtins" and "[" not in str(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _range(distribution: Any) -> dict[str, Any]:
    """An Optuna distribution as a search file writes it."""
    if hasattr(distribution, "choices"):
        return {"choices": list(distribution.choices)}
    found = {"low": distribution.low, "high": distribution.high}
    if distribution.log:
        found["log"] = True
    if distribution.step not in (None, 1):
        found["step"] = distribution.step
    return found


def text_of(kind: str, folder: str, choices: list[dict[str, Any]]) -> str:
    """The listing for people: a line for each choice, a line for each of its options."""
    lines = [f"{len(choices)} {kind} in {folder}"]
    for choice in choices:
        lines += ["", f"{choice['name']}", f"    {choice['summary']}"]
        if "described" in choice:
            lines.append(f"    {choice['described']}")
        lines += [f"      {_option_text(option)}" for option in choice.get("options", [])]
    return "\n".join(lines)


def _option_text(option: dict[str, Any]) -> str:
    text = f"{option['name']}: {option['type']}"
    if "default" in option:
        text += f" = {json.dumps(option['default'])}"
    if "range" in option:
        given = option["range"]
        if "choices" in given:
            text += f"   searched: one of {', '.join(map(str, given['choices']))}"
        else:
            text += f"   searched: {given['low']:g} .. {given['high']:g}"
            text += " (log)" if given.get("log") else ""
            text += f" in steps of {given['step']:g}" if "step" in given else ""
    if "bounds" in option:
        low, high = option["bounds"]
        text += f"   accepted: {low:g} .. {high:g}"
    return text
