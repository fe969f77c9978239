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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.commands._picture import write_picture
from search.errors import UsageError

if TYPE_CHECKING:
    from spaces import NoiseSchedule

HELP = "what may stand in a search file: noise, curricula, grids, presets, data, ..."

DRAWN = ("noise", "curricula", "grids", "presets")
KINDS = (*DRAWN, "data", "networks", "extractors", "algorithms", "stopping", "optimizer_strategies")

_PLOT_STEPS = 2000  # the budget whose stages are drawn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=" | ".join(KINDS))
    parser.add_argument("--plot", metavar="FILE", help=f"a PNG of the densities; for {', '.join(DRAWN)}")


def run(args: argparse.Namespace) -> int:
    if args.plot is not None:
        _plot(args.kind, Path(args.plot))
    folder, choices = _presets() if args.kind == "presets" else _choices(args.kind)
    if args.json:
        print(json.dumps({"kind": args.kind, "folder": folder, "choices": choices}, indent=2))
    else:
        print(text_of(args.kind, folder, choices))
        note = _note(args.kind)
        if note is not None:
            print(f"\n{note}")
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


def _registry(kind: str) -> Any:
    """Imported here: torch takes a second that `--help` should not."""
    if kind in DRAWN:
        import spaces

        return {"noise": spaces.NOISE, "curricula": spaces.CURRICULA, "grids": spaces.GRIDS}[kind]
    from search.file.choices import registry_of

    return registry_of("optimizer_strategy" if kind == "optimizer_strategies" else kind.removesuffix("s"))


def _choices(kind: str) -> tuple[str, list[dict[str, Any]]]:
    from spaces.registry import summary_of

    registry = _registry(kind)
    folder = registry.package.replace(".", "/") + "/"
    return folder, [
        {"name": name, "summary": summary_of(cls), **_peak_of(cls), "options": options_of(cls)}
        for name, cls in registry.items()
    ]


def _peak_of(cls: type) -> dict[str, Any]:
    """Where a law over logSNR is densest at its defaults; nothing for what is no such law."""
    from spaces.noise._logsnr import LogSNRLaw

    if not issubclass(cls, LogSNRLaw):
        return {}
    law = cls()
    return {"peak": {"logsnr": law.peak, "sigma": law.peak_sigma}}


def _presets() -> tuple[str, list[dict[str, Any]]]:
    from spaces import PRESETS
    from spaces.sparkline import sparkline

    return "spaces/presets/", [
        {
            "name": name,
            "summary": preset.summary,
            "published": preset.published,
            "schedule": preset.schedule.to_dict(),
            "described": preset.schedule.describe(),
            "density": sparkline(preset.schedule),
        }
        for name, preset in PRESETS.items()
    ]


def _schedules(kind: str) -> "dict[str, NoiseSchedule]":
    """The schedule by which each choice is drawn."""
    from spaces import CURRICULA, GRIDS, NOISE, PRESETS, KarrasGrid, NoiseSchedule

    grid, constant = KarrasGrid(), CURRICULA.build({"name": "constant", "levels": 251})
    lognormal, uniform = NOISE.build("lognormal"), NOISE.build("uniform")
    if kind == "noise":
        return {
            name: NoiseSchedule(grid=grid, noise=cls(), curriculum=constant) for name, cls in NOISE.items()
        }
    if kind == "curricula":
        return {
            name: NoiseSchedule(grid=grid, noise=lognormal, curriculum=cls())
            for name, cls in CURRICULA.items()
        }
    if kind == "grids":
        return {
            name: NoiseSchedule(grid=cls(), noise=uniform, curriculum=constant) for name, cls in GRIDS.items()
        }
    return {name: preset.schedule for name, preset in PRESETS.items()}


def _plot(kind: str, path: Path) -> None:
    """Write one picture with a tile for each choice, its name above it."""
    if kind not in DRAWN:
        raise UsageError(f"--plot draws {', '.join(DRAWN)}, but not {kind}")
    from search.tracking.density import densities_png

    write_picture(path, densities_png(list(_schedules(kind).items()), _PLOT_STEPS))


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
        if "peak" in choice:
            peak = choice["peak"]
            lines.append(f"    peak at logSNR {peak['logsnr']:g}, sigma {peak['sigma']:.3g}, at the defaults")
        if "described" in choice:
            lines.append(f"    |{choice['density']}| {choice['described']}")
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
