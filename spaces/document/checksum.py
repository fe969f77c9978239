"""One checksum over all of a document: what was changed after it was written, by accident or by hand, is seen.

It is kept in `provenance`, where earlier readers pass over what they do not know. No signature: who changes a document
may write another checksum.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY = "document_sha256"


def with_checksum(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document, with its checksum in `provenance`."""
    return {**document, "provenance": {**document["provenance"], KEY: _checksum(document)}}


def is_checked(document: Mapping[str, Any]) -> bool:
    """Whether a document has its checksum; False where it has none, as before version 0.3.

    Raises ValueError where it has another one.
    """
    written = document["provenance"].get(KEY)
    if written is not None and written != _checksum(document):
        raise ValueError(
            f"the document was changed after it was written: provenance.{KEY} is not that of its content. Export it "
            f"again, or remove provenance.{KEY} to take it unchecked"
        )
    return written is not None


def _checksum(document: Mapping[str, Any]) -> str:
    provenance = {key: value for key, value in document["provenance"].items() if key != KEY}
    text = json.dumps(
        _canonical({**document, "provenance": provenance}), sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """Numbers as floats where they fit: other software writes 80.0 as 80."""
    if isinstance(value, Mapping):
        return {str(key): _canonical(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [part if type(part) is float else _canonical(part) for part in value]
    is_small = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
    return float(value) if is_small else value
