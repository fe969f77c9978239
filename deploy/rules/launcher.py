"""Rules for files of Ray's cluster launcher (`ray up`): what keeps a cluster closed, cheap and startable.

A rule is a function from the document to findings. It is named in RULES with the providers that it is about. What
Ray does by itself where a file is silent was read in Ray 2.60, `ray/autoscaler/_private/`.
"""

import contextlib
import copy
import io
import logging
import re
from collections.abc import Callable, Iterator, Mapping

from deploy.reading.documents import ClusterFile, at, matches, walk
from deploy.reading.finding import Finding, finding
from deploy.reading.launcher_file import COMMANDS, START_COMMANDS, node_types, one_line, ray_starts, texts
from deploy.reading.networks import SMALLEST_PREFIX, too_large_a_network
from deploy.reading.secret_values import private_files_in, secrets_in
from deploy.reading.start_command import mentions_ray_start, ray_start_of
from deploy.rules.clouds import (
    autoscaler_v1,
    head_address,
    instance_profile,
    least_privilege,
    metadata_service,
    network,
    security_group,
    service_account,
)
from search.file.yaml12 import Document, Place

TOKEN_FILE = "~/.ray/auth_token"
CLOSE_TOKEN_FILE = f"chmod 600 {TOKEN_FILE}"
MAX_IDLE_MINUTES = 60
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Left in the shipped files for what only the user knows. 192.0.2.0/24 is for examples (RFC 5737).
TO_FILL_IN = re.compile(r"REPLACE|(?<![\d.])192\.0\.2\.\d+")

# A command that may change who can read the token, by way of its folder too.
_TOUCHES_TOKEN_FILE = re.compile(r"\b(chmod|chown|chgrp|setfacl|cp|mv|ln|install|rsync)\b.*/\.ray(?![\w.-])")
# Anything but `token` for Ray's mode, wherever it stands.
_OTHER_MODE = re.compile(r"RAY_AUTH_MODE(?!=[\"']?token[\"']?(?![\w$]))")
# Options of `docker run` that give a container no more than trials need; any other must be looked at by a person.
_DOCKER_OPTIONS = re.compile(
    r"--(shm-size|ulimit|gpus|memory|memory-swap|cpus|cpuset-cpus|name)[= ][\w.:=-]+|--rm|--init|--runtime=nvidia"
)

Rule = Callable[[ClusterFile], Iterator[Finding]]


def ray_schema(document: Document) -> Iterator[Finding]:
    """Ray's own check: what `ray up` refuses before it does anything."""
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    said = io.StringIO()
    loud = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            validate_config(prepare_config(copy.deepcopy(document.data)))
    except jsonschema.ValidationError as error:
        place = tuple(error.absolute_path)
        unknown = re.search(r"\('(\w+)' was unexpected\)", error.message)
        if unknown:
            place = (*place, unknown[1])
        yield finding("ray-schema", document, place, one_line(error.message), "See Ray's ray-schema.json")
    except (Exception, SystemExit) as error:
        reason = one_line(str(error)) or one_line(said.getvalue()) or type(error).__name__
        yield finding("ray-schema", document, (), reason, "Correct what Ray names")
    finally:
        logging.disable(loud)


def own_commands(document: Document) -> Iterator[Finding]:
    """No command of Ray's defaults: they install another Ray and open the dashboard to all interfaces."""
    from ray.autoscaler._private.providers import _get_default_config

    defaults = _get_default_config(document.data["provider"])
    for field in COMMANDS:
        if field not in document.data and defaults.get(field):
            message = f"must be in the file, since Ray would run {one_line(str(defaults[field][-1]))!r}"
            yield finding(
                "own-commands", document, (field,), message, f"Write it out, or `{field}: []` for none"
            )


def ray_start(document: Document) -> Iterator[Finding]:
    """What starts Ray must stand in the file, or nobody sees with what token and on which address."""
    remedy = "Copy the line of cluster.yaml; only values, variables and options may differ"
    found = [(place, text) for place, text in texts(document) if mentions_ray_start(text)]
    for place, text in found:
        if place[0] not in START_COMMANDS:
            message = f"must not start Ray, which is for {' and '.join(START_COMMANDS)}"
            yield finding("ray-start", document, place, message, "Take it out")
        elif ray_start_of(text) is None:
            message = "must have the form of the line in cluster.yaml, or what Ray sees cannot be checked"
            yield finding("ray-start", document, place, message, remedy)
    for field in START_COMMANDS:
        if field in document.data and field not in {place[0] for place, _ in found}:
            message = "must hold a line with `ray start`, but none was found"
            yield finding("ray-start", document, (field,), message, remedy)


def token(document: Document) -> Iterator[Finding]:
    """Without the mode in the start command Ray warns at most, and runs open to whoever reaches its ports."""
    for place, start in ray_starts(document):
        mode = start.env.get("RAY_AUTH_MODE")
        if mode != "token":
            message = f"`ray start` must see RAY_AUTH_MODE=token, but sees {mode or 'none'}"
            yield finding("token", document, place, message, "Put `export RAY_AUTH_MODE=token;` before it")
    for place, text in texts(document):
        if place[0] not in START_COMMANDS and _OTHER_MODE.search(text):
            message = "must not change RAY_AUTH_MODE, which is token"
            yield finding("token", document, place, message, "Take it out")


def token_file(document: Document) -> Iterator[Finding]:
    """Every node needs the token in a file that only its user can read; `ray get-auth-token` makes it mode 644."""
    mounts = document.data.get("file_mounts") or {}
    if TOKEN_FILE not in mounts:
        message = f"must bring {TOKEN_FILE} to the nodes"
        yield finding(
            "token-file", document, ("file_mounts",), message, f'Add "{TOKEN_FILE}": "{TOKEN_FILE}"'
        )
    lists: list[Place] = [("setup_commands",)]
    for _, place, node_type in node_types(document):  # a node type's own list is run in place of that
        lists += [(*place, "worker_setup_commands")] if at(node_type, "worker_setup_commands") else []
    for place in lists:
        if CLOSE_TOKEN_FILE not in (at(document.data, *place) or []):
            message = f"must make {TOKEN_FILE} readable by its user only, with a command of its own"
            yield finding("token-file", document, place, message, f"Add `{CLOSE_TOKEN_FILE}`")
    for place, text in texts(document):
        if text != CLOSE_TOKEN_FILE and _TOUCHES_TOKEN_FILE.search(text):
            message = f"must leave the folder of {TOKEN_FILE} alone, except for `{CLOSE_TOKEN_FILE}`"
            yield finding("token-file", document, place, message, "Take it out")


def usage_stats(document: Document) -> Iterator[Finding]:
    """Nothing is reported to Ray's makers. `ray up` sets the head's variable itself, from the laptop's setting."""
    for place, start in ray_starts(document):
        if start.env.get("RAY_USAGE_STATS_ENABLED") != "0":
            message = "`ray start` must see RAY_USAGE_STATS_ENABLED=0"
            remedy = "Put `export RAY_USAGE_STATS_ENABLED=0;` before it"
            yield finding("usage-stats", document, place, message, remedy)


def dashboard(document: Document) -> Iterator[Finding]:
    """The dashboard runs code for whoever has the token and shows logs: it is for ssh port forwarding only."""
    for place, start in ray_starts(document):
        host = start.options.get("--dashboard-host", LOOPBACK[0])
        if host not in LOOPBACK:
            message = f"--dashboard-host must be 127.0.0.1, but is {host}"
            yield finding("dashboard", document, place, message, "Reach it with `ray dashboard FILE`")
        if "--ray-debugger-external" in start.options:
            message = "--ray-debugger-external must be absent: it lets other machines run code in a trial"
            yield finding("dashboard", document, place, message, "Take it out")


def docker(document: Document) -> Iterator[Finding]:
    """What a container is given beyond the ordinary opens the machine, or Ray: the commands above run inside it."""
    for place, option in walk(document.data):
        is_option = "docker" in place and str(place[-2]).endswith("run_options")
        if is_option and not _DOCKER_OPTIONS.fullmatch(str(option)):
            message = f"must be an option of `docker run` that is known to be harmless, but is {option}"
            yield finding("docker", document, place, message, "Take it out, or run without docker")


def world_open(document: Document) -> Iterator[Finding]:
    for place, text in walk(document.data):
        found = too_large_a_network(text) if isinstance(text, str) else None
        if found is not None:
            four, six = SMALLEST_PREFIX[4], SMALLEST_PREFIX[6]
            message = f"must not let in a network larger than /{four} (IPv6: /{six}), but has {found}"
            yield finding("world-open", document, place, message, "Name the addresses you work from")


def secret(document: ClusterFile) -> Iterator[Finding]:
    """The file is copied to the head, cached in the laptop's /tmp by Ray and kept in git."""
    yield from secret_findings(document, "Take it out, make a new one, and mount a file of mode 600")
    for place, source in private_files_in(document):
        message = f"must not copy {source} to the machines: it may hold your keys"
        yield finding("secret", document, place, message, "Name the files and folders that they need")


def secret_findings(document: ClusterFile, remedy: str) -> Iterator[Finding]:
    for where, kind in secrets_in(document):
        message = f"must hold no secret, but has {kind}"
        if isinstance(where, int):
            yield Finding(document.file, where, "secret", message, remedy)
        else:
            yield finding("secret", document, where, message, remedy)


def idle(document: Document) -> Iterator[Finding]:
    """Machines that nobody uses must end, or they cost until someone notices."""
    minutes = document.data.get("idle_timeout_minutes")
    if (
        isinstance(minutes, bool)
        or not isinstance(minutes, int | float)
        or not 0 < minutes <= MAX_IDLE_MINUTES
    ):
        message = f"must be from 0 (excluded) to {MAX_IDLE_MINUTES}, but is {'missing' if minutes is None else minutes}"
        yield finding(
            "idle", document, ("idle_timeout_minutes",), message, "Write `idle_timeout_minutes: 10`"
        )
    for name, place, node_type in node_types(document):
        least = at(node_type, "min_workers") or 0
        if name != document.data.get("head_node_type") and least != 0:
            message = f"must be 0, but is {least}: so many would run until `ray down`"
            yield finding("idle", document, (*place, "min_workers"), message, "Write `min_workers: 0`")
    kept = at(document.data, "provider", "cache_stopped_nodes")
    if kept is not False:
        message = (
            f"must be false, but is {'missing' if kept is None else kept}: ended nodes would keep their disks"
        )
        place = ("provider", "cache_stopped_nodes")
        yield finding("idle", document, place, message, "Write `cache_stopped_nodes: false`")


def fill_in(document: Document) -> Iterator[Finding]:
    for place, found in matches(document.data, TO_FILL_IN):
        message = f"still has {found}, as it was shipped"
        yield finding("fill-in", document, place, message, "Write your own, as the comment beside it says")


CLOUDS = ("aws", "gcp")
ANY = (*CLOUDS, "local")
RULES: Mapping[str, tuple[Rule, tuple[str, ...]]] = {
    "ray-schema": (ray_schema, ANY),
    "own-commands": (own_commands, ANY),
    "ray-start": (ray_start, ANY),
    "token": (token, ANY),
    "token-file": (token_file, ANY),
    "usage-stats": (usage_stats, ANY),
    "dashboard": (dashboard, ANY),
    "docker": (docker, ANY),
    "world-open": (world_open, ANY),
    "secret": (secret, ANY),
    "least-privilege": (least_privilege, ANY),
    "idle": (idle, CLOUDS),
    "security-group": (security_group, ("aws",)),
    "instance-profile": (instance_profile, ("aws",)),
    "imds": (metadata_service, ("aws",)),
    "service-account": (service_account, ("gcp",)),
    "network": (network, ("gcp",)),
    "autoscaler-v1": (autoscaler_v1, ("local",)),
    "head-address": (head_address, ("local",)),
    "fill-in": (fill_in, ANY),
}
