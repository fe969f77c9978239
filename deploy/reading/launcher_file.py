"""The parts of a cluster file of Ray's launcher that rules look at."""

import re
from collections.abc import Iterator
from typing import Any

from deploy.reading.documents import walk
from deploy.reading.start_command import RayStart, ray_starts_in
from search.file.yaml12 import Document, Place

START_COMMANDS = ("head_start_ray_commands", "worker_start_ray_commands")
COMMANDS = ("setup_commands", "head_setup_commands", "worker_setup_commands", *START_COMMANDS)


def ray_starts(
    document: Document, fields: tuple[str, ...] = START_COMMANDS
) -> Iterator[tuple[Place, RayStart]]:
    for field in fields:
        for i, line in enumerate(document.data.get(field) or []):
            for start in ray_starts_in(line)[0]:
                yield (field, i), start


def texts(document: Document) -> Iterator[tuple[Place, str]]:
    return ((place, value) for place, value in walk(document.data) if isinstance(value, str))


def node_types(document: Document) -> Iterator[tuple[str, Place, dict[str, Any]]]:
    for name, node_type in (document.data.get("available_node_types") or {}).items():
        yield name, ("available_node_types", name), node_type


def one_line(text: str) -> str:
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    return text if len(text) <= 160 else f"{text[:157]}..."
