"""The lines that start Ray. They have one form, that of cluster.yaml, so that what Ray sees is read off, not guessed.

    ulimit -n 65536; export NAME=VALUE ...; eval "$(cd FOLDER && .venv/bin/python -m search.gpu_node)";
    FOLDER/.venv/bin/ray start --NAME=VALUE ... $RAY_GPUS

No shell is read here: a line in another form may give Ray something else, and no rule may pass what it did not read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PATH = r"[\w./~-]+"
_VALUE = r"(?:[\w.,:/~@%+=-]*|'[^']*')"  # nothing that a shell changes, or that ends a command
_FORM = re.compile(
    rf"(?:ulimit -n \d+; )?(?:export(?P<variables>(?: [A-Za-z_]\w*={_VALUE})+); )?"
    rf'(?:eval "\$\(cd {_PATH} && {_PATH} -m search\.gpu_node\)"; )?'  # sets CUDA's variables and RAY_GPUS only
    rf"(?:{_PATH}/)?ray start(?P<options>(?: --[a-z-]+(?:=(?:{_VALUE}|\$RAY_HEAD_IP:\d+))?)*)(?: \$RAY_GPUS)?"
)
_ASSIGNED = re.compile(r" (?P<name>[^\s=]+)(?:=(?P<value>'[^']*'|\S*))?")
_MENTIONED = re.compile(r"\bray\b[^;&|\n]*?\bstart\b")


@dataclass(frozen=True)
class RayStart:
    """env: variables that `ray start` sees because of this line. options: `--name` -> value ("" without one)."""

    env: Mapping[str, str]
    options: Mapping[str, str]


def ray_start_of(text: str) -> RayStart | None:
    """What a line gives to the one `ray start` in it; None for a line in another form."""
    # A break ends a command, except where one has ended already.
    match = _FORM.fullmatch(re.sub(r"(?<=;)\s+|[ \t]+", " ", text.strip()))
    return match and RayStart(_assigned(match["variables"]), _assigned(match["options"]))


def mentions_ray_start(text: str) -> bool:
    """Whether a text may start Ray."""
    return _MENTIONED.search(text) is not None


def _assigned(words: str | None) -> dict[str, str]:
    return {each["name"]: (each["value"] or "").strip("'") for each in _ASSIGNED.finditer(words or "")}
