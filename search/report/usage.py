"""How the winner is used in other software: three lines for each export format."""

from dataclasses import dataclass

from search.export_format import FORMATS
from search.report.found import Found
from spaces import LoadedSchedule, load_schedule
from spaces.registry import summary_of


@dataclass(frozen=True)
class Use:
    """One format: what it is for, the command that writes it, the call that takes it; or why it cannot be had."""

    format: str
    about: str
    command: str
    call: str


def uses(found: Found) -> list[Use]:
    """One for each format; none without a winner."""
    if found.document is None:
        return []
    network = (found.document.get("searched_at") or {}).get("network") or {}
    is_writable = network.get("name") == "diffusers_unet"  # of a model, which not every format needs
    names = [name for name, target in FORMATS.items() if is_writable or not target.NEEDS_MODEL]
    loaded = load_schedule(found.document)
    return [_use(found, name, loaded) for name in names]


def _use(found: Found, name: str, loaded: LoadedSchedule) -> Use:
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
