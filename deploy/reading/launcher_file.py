"""The parts of a file for Ray's launcher that rules look at."""

import re
from collections.abc import Iterator
from typing import Any

from deploy.reading.documents import walk
from deploy.reading.start_command import RayStart, ray_start_of
from search.file.yaml12 import Document, Place

START_COMMANDS = ("head_start_ray_commands", "worker_start_ray_commands")
COMMANDS = ("setup_commands", "head_setup_commands", "worker_setup_commands", *START_COMMANDS)


def ray_starts(
    document: Document, fields: tuple[str, ...] = START_COMMANDS
) -> Iterator[tuple[Place, RayStart]]:
    """Every `ray start` in a line of the expected form, and where it stands; the others are the rule ray-start's."""
    for field in fields:
        for i, line in enumerate(document.data.get(field) or []):
            start = ray_start_of(line)
            if start is not None:
                yield (field, i), start


def texts(document: Document) -> Iterator[tuple[Place, str]]:
    """Every text in the file and where it stands."""
    return ((place, value) for place, value in walk(document.data) if isinstance(value, str))


def node_types(document: Document) -> Iterator[tuple[str, Place, dict[str, Any]]]:
    """Name of every node type, where it stands, and what it is."""
    for name, node_type in (document.data.get("available_node_types") or {}).items():
        yield name, ("available_node_types", name), node_type


def one_line(text: str) -> str:
    """What Ray says, in one line of at most 160 letters and without its colours."""
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    return text if len(text) <= 160 else f"{text[:157]}..."
