"""Networks in files of the user's: their checksums, and their copies in the folder of the search."""

from pathlib import Path
from typing import Any

from search.errors import InputError
from search.file.paths import CODE
from search.file.spec import SearchSpec
from search.machine.output import write_file
from trainable.network import Network


def sha256_of(network: Network | None) -> str | None:
    """Of the file of a network of the user's; None for one of ours."""
    code = None if network is None else network.code
    return None if code is None else code.sha256


def files_of(spec: SearchSpec) -> dict[str, bytes]:
    """By their names, the files of the networks, in all settings. InputError for two of one name."""
    files: dict[str, bytes] = {}
    for setting in () if spec.script is not None else (spec.own_setting, *spec.settings):
        code = setting.network.code
        if code is not None and files.setdefault(code.name, code.text) != code.text:
            raise InputError(f"network: two files are called {code.name}. Rename one")
    return files


def keep_networks(spec: SearchSpec) -> None:
    """Have the copies, as they were when the search began. InputError where one is another now."""
    for name, text in files_of(spec).items():
        kept = spec.folder / CODE / name
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_file(kept, text)
        elif kept.read_bytes() != text:
            raise InputError(
                f"{kept} is not the network that the search began with: it was edited. Remove it"
            )


def with_own_code(document: Any, folder: str) -> Any:
    """The data of a search file, with the networks of the user's as they are called in `folder`."""
    if isinstance(document, list):
        return [with_own_code(item, folder) for item in document]
    if not isinstance(document, dict):
        return document
    moved = {key: with_own_code(item, folder) for key, item in document.items()}
    network = moved.get("network")
    if isinstance(network, dict) and "file" in network:
        moved["network"] = {**network, "file": f"{folder}/{Path(network['file']).name}"}
    return moved
