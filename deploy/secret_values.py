"""Finds what looks like a secret among the values of a cluster file."""

import re
from collections.abc import Iterator

from deploy.reading import at, walk
from search.yaml_loader import Document, Place

# Values that are secrets whatever they are called.
_KNOWN = {
    "an AWS access key": re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a password in a URL": re.compile(r"://[^/\s:@]*:(?!\$)[^/\s@]+@"),
    "an access token": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|hf_[A-Za-z0-9]{20,})"),
    "64 hexadecimal digits, as Ray's token has": re.compile(r"(?<![0-9a-f:])[0-9a-f]{64}(?![0-9a-f])"),
}
_NAMES = re.compile(
    r"(?i)^(.*_)?(password|passwd|secret|secret_key|token|api_key|access_key|access_key_id|credentials)$"
)
_ASSIGNMENT = re.compile(r"(?<![\w/.~-])(\w+)=(\S+)")


def secrets_in(document: Document) -> Iterator[tuple[Place, str]]:
    """Where a secret stands, and what kind of secret it is. The secret itself is not repeated."""
    for place, value in walk(document.data):
        if not isinstance(value, str):
            continue
        kind = next((kind for kind, pattern in _KNOWN.items() if pattern.search(value)), None)
        if kind is None:
            names = [str(part) for part in place if isinstance(part, str)][-2:]
            if place[-1] == "value":  # an entry of `env` in Kubernetes
                names.append(str(at(document.data, *place[:-1], "name")))
            if any(_NAMES.match(name) for name in names) and _is_literal(value):
                kind = f"a value for {next(name for name in names if _NAMES.match(name))}"
            else:
                assigned = (
                    m for m in _ASSIGNMENT.finditer(value) if _NAMES.match(m[1]) and _is_literal(m[2])
                )
                kind = next((f"a value for {match[1]}" for match in assigned), None)
        if kind is not None:
            yield place, kind


def _is_literal(value: str) -> bool:
    """Whether the value itself is there, rather than a file that holds it or a variable."""
    return bool(value) and not value.strip("'\"").startswith(("~", "/", "$"))
