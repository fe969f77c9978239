"""Shows what may stand in a search file: the names, what they are, and their options with ranges.

examples:
  python -m search list noise            noise distributions, their options and default ranges
  python -m search list presets          schedules of the literature, to be run as baselines
  python -m search list stopping --json
  python -m search list noise --plot noise.png

Each choice is one file in the folder named at the top; a file dropped in there is listed here.

--plot draws how densely each choice trains the noise levels, over ln sigma: presets as published, noise
distributions at their defaults on 251 levels, curricula with iCT's distribution, grids with a uniform one.
"""

import argparse
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import UsageError
from search.file.kinds import KINDS
from search.machine.output import write_file

if TYPE_CHECKING:
    from spaces import NoiseSchedule, Preset

HELP = "what may stand in a search file: noise, curricula, grids, presets, data, ..."
ONLY_LOOKS = True

DRAWN = ("noise", "curricula", "grids", "presets")

_PLOT_STEPS = 2000  # the budget whose stages are drawn


@dataclass(frozen=True)
class _Listed:
    """One choice. data: as JSON; lines: what stands below its name, for people."""

    data: dict[str, Any]
    lines: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=" | ".join(KINDS))
    parser.add_argument("--plot", metavar="FILE", help=f"a PNG of the densities; for {', '.join(DRAWN)}")


def run(args: argparse.Namespace) -> int:
    if args.plot is not None:
        _plot(args.kind, Path(args.plot))
    choices = KINDS[args.kind].choices()
    folder = choices.package.replace(".", "/") + "/"
    listed = [_listed(name, choice) for name, choice in choices.items()]
    if args.json:
        found = {"kind": args.kind, "folder": folder, "choices": [each.data for each in listed]}
        print(json.dumps(found, indent=2))
    else:
        print(_text(f"{len(listed)} {args.kind} in {folder}", listed, _note(args.kind)))
    return 0


def _note(kind: str) -> str | None:
    """What is said below the listing."""
    from spaces.sparkline import LEGEND

    if kind == "presets":
        return LEGEND
    if kind == "noise":  # a mixture is no family of its own: every family can be mixed
        return (
            "Each may be mixed with a uniform floor, so that sigma_max stays trained: p <- (1 - e) p + e/M, "
            "`space.uniform_floor: 0.05` or a range of e."
        )
    return None


def _listed(name: str, choice: Any) -> _Listed:
    return _class_listed(name, choice) if isinstance(choice, type) else _preset_listed(name, choice)


def _class_listed(name: str, cls: type) -> _Listed:
    from spaces.choice import Choice
    from spaces.registry import summary_of

    remark = cls.remark() if issubclass(cls, Choice) else None
    summary, options = summary_of(cls), options_of(cls)
    figures, texts = (remark.figures, [remark.text]) if remark else ({}, [])
    return _Listed(
        {"name": name, "summary": summary, **figures, "options": options},
        [summary, *texts, *(f"  {_option_text(option)}" for option in options)],
    )


def _preset_listed(name: str, preset: "Preset") -> _Listed:
    from spaces.sparkline import sparkline

    described, density = preset.schedule.describe(), sparkline(preset.schedule)
    data = {
        "name": name,
        "summary": preset.summary,
        "published": preset.published,
        "schedule": preset.schedule.to_dict(),
        "described": described,
        "density": density,
    }
    return _Listed(data, [preset.summary, f"|{density}| {described}"])


def _schedules(kind: str) -> "dict[str, NoiseSchedule]":
    """The schedule by which each choice is drawn."""
    from spaces import CURRICULA, GRIDS, NOISE, PRESETS, KarrasGrid, NoiseSchedule

    constant = CURRICULA.build({"name": "constant", "levels": 251})
    ict: dict[str, Any] = {"grid": KarrasGrid(), "noise": NOISE.build("lognormal"), "curriculum": constant}
    match kind:
        case "presets":
            return {name: preset.schedule for name, preset in PRESETS.items()}
        case "noise":
            return {name: NoiseSchedule(**ict | {"noise": cls()}) for name, cls in NOISE.items()}
        case "curricula":
            return {name: NoiseSchedule(**ict | {"curriculum": cls()}) for name, cls in CURRICULA.items()}
    uniform = ict | {"noise": NOISE.build("uniform")}
    return {name: NoiseSchedule(**uniform | {"grid": cls()}) for name, cls in GRIDS.items()}


def _plot(kind: str, path: Path) -> None:
    """Write one picture with a tile for each choice, its name above it."""
    if kind not in DRAWN:
        raise UsageError(f"--plot draws {', '.join(DRAWN)}, but not {kind}")
    from search.tracking.density import densities_png

    write_file(path, densities_png(list(_schedules(kind).items()), _PLOT_STEPS))


def options_of(cls: type) -> list[dict[str, Any]]:
    """Each field of a choice: name, type, default, what it accepts and what a search draws by default."""
    from spaces.registry import option_name

    bounds = getattr(cls, "BOUNDS", {})
    space = getattr(cls, "SPACE", {})
    options = []
    for field in dataclasses.fields(cls):
        option: dict[str, Any] = {"name": option_name(field.name), "type": _type_text(field.type)}
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


def _text(title: str, listed: list[_Listed], note: str | None) -> str:
    """The listing for people: a line for each choice, a line for each of its options."""
    lines = [title]
    for each in listed:
        lines += ["", each.data["name"], *(f"    {line}" for line in each.lines)]
    return "\n".join([*lines, *(["", note] if note else [])])


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
