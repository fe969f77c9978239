"""The folder of a plugin: its Python files, as they are read once."""

import importlib.machinery
import os
import sys
from pathlib import Path

from search.machine.checkout import PACKAGES, is_code
from search.machine.script_folder import checksum_of_texts
from spaces.plugins import Plugin

MOST_BYTES = 5 * 2**20
MOST_FILES = 500


def read_plugin(folder: Path) -> Plugin:
    """ValueError, in one line, where it is no plugin."""
    name = folder.name
    if not os.path.isdir(folder):  # `Path.is_dir` raises for a name that is too long
        raise ValueError(f"{folder} is no folder on this machine. Name the folder of the plugin, as ./mine")
    if not name.isidentifier() or name in sys.stdlib_module_names or name in (*PACKAGES, *_taken(folder)):
        raise ValueError(
            f"{folder} cannot be a plugin by this name: its files are modules of a package {name}, which must be a "
            "word that no other package has. Rename the folder"
        )
    files: dict[str, bytes] = {}
    try:
        for path in sorted(folder.rglob("*.py")):
            below = path.relative_to(folder)
            if is_code(below):
                files[below.as_posix()] = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read: {error.strerror}") from error
    num_bytes = sum(map(len, files.values()))
    if num_bytes > MOST_BYTES or len(files) > MOST_FILES:
        raise ValueError(
            f"{folder} has more than {MOST_BYTES // 2**20} MiB or {MOST_FILES} Python files. Name a folder that has "
            "choices alone"
        )
    return Plugin(name, str(folder), files, checksum_of_texts(files))


def _taken(folder: Path) -> list[str]:
    """Its name, where what is installed, or another folder, is imported by it."""
    spec = importlib.machinery.PathFinder.find_spec(folder.name)
    return [] if spec is None or spec.origin is None or Path(spec.origin).parent == folder else [folder.name]
