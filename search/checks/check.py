"""One finding about a machine or a cluster: how it is made, and how it is shown."""

from collections.abc import Iterator
from dataclasses import dataclass

from search.errors import InputError, OperationFailed


@dataclass(frozen=True)
class Check:
    """One finding. level: ok, warn or fail. remedy: what to do, empty when ok."""

    name: str
    level: str
    message: str
    remedy: str = ""


def text_of(check: Check) -> str:
    """`warn  disk      ...; remedy`."""
    remedy = f". {check.remedy}" if check.remedy else ""
    return f"{check.level:<5} {check.name:<10} {check.message}{remedy}"


def guarded(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    """The checks; where making them raises, a finding called `name` takes their place."""
    try:
        yield from checks
    except (OperationFailed, InputError) as error:
        yield Check(name, "fail", str(error))
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        yield Check(name, "fail", f"{type(error).__name__}: {first}")
