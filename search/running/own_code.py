"""Networks, plugins and first weights of the user's: their checksums, their copies in the folder of the search."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from search.errors import InputError
from search.file.paths import CODE
from search.file.spec import SearchSpec
from search.file.writing import yaml_of
from search.file.yaml12 import read_document
from search.machine.output import write_file
from search.machine.script_folder import checksum_of_texts
from spaces.plugins import Plugin
from trainable.network import Network
from trainable.start.weights import checksum_of


def sha256_of(network: Network | None) -> str | None:
    """Of the file of a network of the user's; None for one of ours."""
    code = None if network is None else network.code
    return None if code is None else code.sha256


def sha256_of_plugins(plugins: Iterable[Plugin]) -> str | None:
    """Of all together, whatever their order; None for none."""
    texts = {plugin.name: plugin.sha256.encode() for plugin in plugins}
    return checksum_of_texts(texts) if texts else None


def files_of(spec: SearchSpec) -> dict[str, bytes]:
    """The files of the networks, in all settings, and of the plugins, as `my_net.py` and `mine/noise/weibull.py`.

    InputError for two networks of one name.
    """
    files = {f"{plugin.name}/{name}": text for plugin in spec.plugins for name, text in plugin.files.items()}
    for setting in () if spec.script is not None else (spec.own_setting, *spec.settings):
        code = setting.network.code
        if code is not None and files.setdefault(code.name, code.text) != code.text:
            raise InputError(f"network: two files are called {code.name}. Rename one")
    if spec.start is not None and spec.start.checkpoint is not None:
        path = Path(spec.start.checkpoint)
        files[path.name] = path.read_bytes()
    return files


def sha256_of_start(spec: SearchSpec) -> str | None:
    """Of the file of weights that trials start from; None for none."""
    if spec.start is None or spec.start.checkpoint is None:
        return None
    return checksum_of(spec.start.checkpoint)


def keep_code(spec: SearchSpec) -> None:
    """Have the copies, as they were when the search began. InputError where one is another now."""
    for name, text in files_of(spec).items():
        kept = spec.folder / CODE / name
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_file(kept, text)
        elif kept.read_bytes() != text:
            raise InputError(f"{kept} is not the code that the search began with: it was edited. Remove it")


def _with_own_code(document: Any, folder: str) -> Any:
    """The data of a search file, with the networks and plugins of the user's as they are called in `folder`."""
    if isinstance(document, list):
        return [_with_own_code(item, folder) for item in document]
    if not isinstance(document, dict):
        return document
    moved = {key: _with_own_code(item, folder) for key, item in document.items()}
    network = moved.get("network")
    if isinstance(network, dict) and "file" in network:
        moved["network"] = {**network, "file": f"{folder}/{Path(network['file']).name}"}
    start = moved.get("start")
    if isinstance(start, dict) and start.get("checkpoint"):
        moved["start"] = {**start, "checkpoint": f"{folder}/{Path(start['checkpoint']).name}"}
    if "plugins" in moved:
        moved["plugins"] = [f"{folder}/{Path(os.path.normpath(path)).name}" for path in moved["plugins"]]
    return moved


def files_to_ship(file: str, spec: SearchSpec, shipped: str) -> dict[str, bytes]:
    """For the cluster, by their path in its package: the search file, called `shipped`, and code of the user's.

    The file names that code as it is called there.
    """
    if spec.script is None:
        for setting in (spec.own_setting, *spec.settings):
            setting.network.check()
    folder, document = Path(shipped).parent / CODE, read_document(file).data
    files = {(folder / name).as_posix(): text for name, text in files_of(spec).items()}
    if spec.script is not None:
        files |= _script_to_ship(spec, document)
    if not files:
        return {shipped: Path(file).read_bytes()}
    return {shipped: yaml_of(_with_own_code(document, CODE)).encode(), **files}


def _script_to_ship(spec: SearchSpec, document: dict[str, Any]) -> dict[str, bytes]:
    """The folder of the script, which the search file then names as it is called in the package."""
    from search.running.script import check_command, code_of  # late: it brings what runs trials

    code = code_of(spec)
    check_command(spec, code, on_cluster=True)
    folder = f"scripts/{code.folder.name}"
    document["trainer"]["folder"] = folder
    return {f"{folder}/{name}": path.read_bytes() for name, path in code.files.items()}
