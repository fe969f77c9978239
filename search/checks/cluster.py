"""`doctor --cluster`: a cluster looked at from outside, through its dashboard's port."""

import json
from collections.abc import Iterator

from search.checks.check import Check
from search.checks.head import versions
from search.cluster.jobs import JobsApi
from search.cluster.remote import ask
from search.errors import OperationFailed


def findings(address: str) -> Iterator[Check]:
    """All checks in order; those after the first ones are made on the head and come back from there."""
    api = JobsApi(address)
    try:
        api.jobs()
    except OperationFailed as error:
        yield Check("cluster", "fail", str(error))
        return
    yield Check("cluster", "ok", f"{api.address} answers and takes our token")
    try:
        found = json.loads(ask(api, ["doctor", "--head", "--json"]))
    except OperationFailed as error:
        remedy = "Does the head have this project's packages? See setup_commands"
        yield Check("jobs", "fail", str(error), remedy)
        return
    yield from compared(versions(), found["versions"])
    for check in found["checks"]:
        yield Check(**check)


def compared(here: dict[str, str], there: dict[str, str]) -> Iterator[Check]:
    """Versions here against those on the head."""
    differing = [
        f"{name} {there[name]} there, {here[name]} here" for name in here if here[name] != there[name]
    ]
    if differing:
        remedy = "`submit` does not mind; what connects to Ray itself does. Same constraints.txt, same Python"
        yield Check("versions", "warn", f"not the same: {'; '.join(differing)}", remedy)
    else:
        same = ", ".join(f"{name} {version}" for name, version in here.items())
        yield Check("versions", "ok", f"{same}, there as here")
