"""How the winner is used in other software: three lines for each export format."""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import InputError, OperationFailed
from search.report.found import Found
from search.report.kept import keep, kept
from spaces import plugins
from spaces.registry import names_in, summary_of

if TYPE_CHECKING:
    from spaces import LoadedSchedule

_KEPT = "uses.json"  # in the folder of a search: some formats look for the nearest law that they can draw


@dataclass(frozen=True)
class Use:
    """One format: what it is for, the command that writes it, the call that takes it; or why it cannot be had."""

    format: str
    about: str
    command: str
    call: str


def uses(found: Found) -> list[Use]:
    """One for each format; none without a winner, or where a file of its trials is lost, as `export` says."""
    if found.export is None:
        return []
    key = _key(found, found.export.key)
    ours = kept(found.folder, _KEPT, key)
    with contextlib.suppress(LookupError, TypeError):
        if ours is not None:
            return [Use(**each) for each in ours["uses"]]
    try:
        document = found.export.document()
    except (InputError, OperationFailed):
        return []
    worked_out = _worked_out(found, document)
    keep(found.folder, _KEPT, key, {"uses": [asdict(each) for each in worked_out]})
    return worked_out


def _key(found: Found, export: str) -> str:
    """Checksum of all that the uses follow from, our own formats included."""
    folder = Path(__file__).parents[1] / "exports"
    formats = [*names_in("search.exports"), *plugins.names_for("search.exports")]
    parts = [json.dumps([export, found.commands["export"], *formats]).encode()]
    parts += [path.read_bytes() for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _worked_out(found: Found, document: Mapping[str, Any]) -> list[Use]:
    # Late, as below: what is kept needs no format.
    from search.export_format import FORMATS
    from spaces import load_schedule

    network = (document.get("searched_at") or {}).get("network") or {}
    is_writable = network.get("name") == "diffusers_unet"  # of a model, which not every format needs
    names = [name for name, target in FORMATS.items() if is_writable or not target.NEEDS_MODEL]
    loaded = load_schedule(document)
    return [_use(found, name, loaded) for name in names]


def _use(found: Found, name: str, loaded: "LoadedSchedule") -> Use:
    from search.export_format import FORMATS

    target = FORMATS[name]()
    command = f"{found.commands['export']} --format {target.title}"
    if target.title == "json":
        call = 'schedule = spaces.load_schedule("best_schedule.json").schedule'
        return Use(target.title, summary_of(type(target)), found.commands["export"], call)
    problem = ""
    for nfe in ((), (2,), (1,)):  # some targets have not every number of network evaluations
        try:
            rendered = target.rendered(loaded, nfe=nfe)
        except ValueError as error:
            problem = problem or str(error)
            continue
        only = f" --nfe {nfe[0]}" if nfe else ""
        call = rendered.calls[max(rendered.calls)] if rendered.calls else "see its README.txt"
        return Use(target.title, summary_of(type(target)), f"{command}{only}", call)
    return Use(target.title, summary_of(type(target)), command, f"not possible: {problem}")
