"""`plugins`: folders of the user's own whose choices stand beside ours while the search is read and run."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationInfo

from search.file.kinds import KINDS
from search.file.messages import Misfit, did_you_mean, shown
from search.file.paths import CODE, placed_path
from search.file.yaml_walk import Place
from search.machine.plugin_folder import read_plugin
from spaces.plugins import Plugin, use
from spaces.space.sections import SECTIONS

# Whose names a search's parameters begin with: no two may be the same, and none that of a section of the space.
_OF_A_SCHEDULE = ("noise", "curricula", "grids")


def checked_plugins(entries: list[Any], info: ValidationInfo) -> list[Plugin]:
    """From paths, relative to the search file. Their choices, and ours, are those of the process from now on.

    The context of the validation may have the `folder` of the search file.
    """
    folder = (info.context or {}).get("folder")
    plugins: list[Plugin] = []
    problems: list[tuple[Place, str]] = []
    for index, entry in enumerate(entries):
        try:
            plugin = entry if isinstance(entry, Plugin) else _read(entry, folder)
            if plugin.name in (other.name for other in plugins):
                raise ValueError(f"two plugins are called {plugin.name}. Rename one")
            plugins.append(plugin)
        except ValueError as error:
            problems.append(((index,), str(error)))
    if problems:
        use(())
        raise Misfit(*problems)
    _take_up(plugins)
    return plugins


def load_plugins(*folders: str | Path) -> list[Plugin]:
    """Take the choices of these folders up in this process, as a search file's `plugins` do. ValueError."""
    plugins = [read_plugin(Path(folder).absolute()) for folder in folders]
    _take_up(plugins)
    return plugins


def _read(entry: Any, folder: Path | None) -> Plugin:
    if not isinstance(entry, str):
        raise ValueError(f"must be the path of a folder, but got {shown(entry)}")
    path = placed_path(entry, folder).absolute()
    kept = folder / CODE / path.name if folder is not None else path
    plugin = read_plugin(path if os.path.exists(path) or not kept.is_dir() else kept)
    return plugin


def _take_up(plugins: Sequence[Plugin]) -> None:
    try:
        use(plugins)
    except ValueError as error:
        use(())
        raise Misfit(((), str(error))) from error
    problems: list[tuple[Place, str]] = [
        ((index,), problem)
        for index, plugin in enumerate(plugins)
        for problem in problems_of(plugin, plugins)
    ]
    if problems:
        use(())
        raise Misfit(*problems)


def problems_of(plugin: Plugin, plugins: Sequence[Plugin]) -> Iterator[str]:
    """What keeps a plugin in use from being used, each in one line."""
    if strange := sorted({folder for folder, _ in plugin.choices()} - set(KINDS)):
        hint = did_you_mean(strange[0], KINDS)
        yield (
            f"{plugin.path}/{strange[0]} is no folder of choices{hint}. Known: {', '.join(KINDS)}. Code that they "
            "share lies beside these folders"
        )
        return
    if not any(True for _ in plugin.choices()):
        yield f"{plugin.path} has no choices. Put one into a folder in it, as {plugin.name}/noise/NAME.py"
    for kind, name in plugin.choices():
        where = f"{plugin.path}/{kind}/{name}.py"
        if (problem := _name_problem(kind, name, plugin, plugins)) is not None:
            yield f"{where} {problem}"
            continue
        try:
            KINDS[kind].choices()[name]
        except ImportError as error:
            yield str(error)


def _name_problem(kind: str, name: str, plugin: Plugin, plugins: Sequence[Plugin]) -> str | None:
    alike = _OF_A_SCHEDULE if kind in _OF_A_SCHEDULE else (kind,)
    if kind == "trainers":
        return "is a trainer, which no plugin can be. A script of your own trains as well"
    is_section = kind in _OF_A_SCHEDULE and name in SECTIONS
    if is_section or any(name in KINDS[each].choices().ours for each in alike):
        return f"has the name of one of ours: {name}. Rename it"
    others = [
        (other.path, each)
        for other in plugins
        for each in other.choices()
        if each[1] == name and each[0] in alike and (other.name, each) != (plugin.name, (kind, name))
    ]
    return f"has the name of another one, in {others[0][0]}/{others[0][1][0]}. Rename one" if others else None
