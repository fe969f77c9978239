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
from typing import Any

from deploy.finding import Finding, finding
from deploy.networks import SMALLEST_PREFIX, too_large_a_network
from deploy.reading import ClusterFile, at, matches, walk
from deploy.secret_values import private_files_in, secrets_in
from deploy.start_command import RayStart, commands_in, ray_starts_in
from search.yaml_loader import Document, Place

TOKEN_FILE = "~/.ray/auth_token"
START_COMMANDS = ("head_start_ray_commands", "worker_start_ray_commands")
COMMANDS = ("setup_commands", "head_setup_commands", "worker_setup_commands", *START_COMMANDS)
MAX_IDLE_MINUTES = 60
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Managed policies and roles of clouds that allow (nearly) everything, and the role that Ray makes with two of them.
TOO_MUCH = re.compile(
    r"\w*FullAccess|AdministratorAccess|PowerUserAccess|roles/(owner|editor)|ray-autoscaler-(sa-)?v1"
)
# Left in the shipped files for what only the user knows. 192.0.2.0/24 is for examples (RFC 5737).
TO_FILL_IN = re.compile(r"REPLACE|(?<![\d.])192\.0\.2\.\d+")

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
        yield finding("ray-schema", document, place, _one_line(error.message), "See Ray's ray-schema.json")
    except (Exception, SystemExit) as error:
        reason = _one_line(str(error)) or _one_line(said.getvalue()) or type(error).__name__
        yield finding("ray-schema", document, (), reason, "Correct what Ray names")
    finally:
        logging.disable(loud)


def own_commands(document: Document) -> Iterator[Finding]:
    """No command of Ray's defaults: they install another Ray and open the dashboard to all interfaces."""
    from ray.autoscaler._private.providers import _get_default_config

    defaults = _get_default_config(document.data["provider"])
    for field in COMMANDS:
        if field not in document.data and defaults.get(field):
            message = f"must be in the file, since Ray would run {_one_line(str(defaults[field][-1]))!r}"
            yield finding(
                "own-commands", document, (field,), message, f"Write it out, or `{field}: []` for none"
            )


def ray_start(document: Document) -> Iterator[Finding]:
    """What starts Ray must stand in the file, or nobody sees with what token and on which address."""
    remedy = "Write `export A=b ...; ray start ...`, without a script, `sudo` or `bash -c` around it"
    unread = set()
    for place, text in _texts(document):
        starts, all_of_them = ray_starts_in(text)
        if not all_of_them:
            unread.add(place[0])
            yield finding("ray-start", document, place, "has a `ray start` that cannot be checked", remedy)
        elif starts and place[0] not in START_COMMANDS:
            message = f"must not start Ray, which is for {' and '.join(START_COMMANDS)}"
            yield finding("ray-start", document, place, message, "Take it out")
    for field in START_COMMANDS:
        if field in document.data and field not in unread and not any(_ray_starts(document, (field,))):
            message = "must hold a line with a plain `ray start`, but none was found"
            yield finding("ray-start", document, (field,), message, remedy)


def token(document: Document) -> Iterator[Finding]:
    """Without the mode in the start command Ray warns at most, and runs open to whoever reaches its ports."""
    for place, start in _ray_starts(document):
        mode = start.env.get("RAY_AUTH_MODE")
        if mode != "token":
            message = f"`ray start` must see RAY_AUTH_MODE=token, but sees {mode or 'none'}"
            yield finding("token", document, place, message, "Put `export RAY_AUTH_MODE=token;` before it")
    for place, text in _texts(document):
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
    for _, place, node_type in _node_types(document):  # a node type's own list is run in place of that
        lists += [(*place, "worker_setup_commands")] if at(node_type, "worker_setup_commands") else []
    for place in lists:
        if not any(map(_closes_token_file, at(document.data, *place) or [])):
            message = f"must make {TOKEN_FILE} readable by its user only"
            yield finding("token-file", document, place, message, f"Add `chmod 600 {TOKEN_FILE}`")
    for place, text in _texts(document):
        if _may_open_token_file(text):
            message = f"must leave the folder of {TOKEN_FILE} alone, but for `chmod 600 {TOKEN_FILE}`"
            yield finding("token-file", document, place, message, "Take it out")


def usage_stats(document: Document) -> Iterator[Finding]:
    """Nothing is reported to Ray's makers. `ray up` sets the head's variable itself, from the laptop's setting."""
    for place, start in _ray_starts(document):
        if start.env.get("RAY_USAGE_STATS_ENABLED") != "0":
            message = "`ray start` must see RAY_USAGE_STATS_ENABLED=0"
            remedy = "Put `export RAY_USAGE_STATS_ENABLED=0;` before it"
            yield finding("usage-stats", document, place, message, remedy)


def dashboard(document: Document) -> Iterator[Finding]:
    """The dashboard runs code for whoever has the token and shows logs: it is for ssh port forwarding only."""
    for place, start in _ray_starts(document):
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


def least_privilege(document: Document) -> Iterator[Finding]:
    for place, found in matches(document.data, TOO_MUCH):
        message = f"must not give the cluster all rights in the account, but names {found}"
        remedy = "Name a role with the policies in deploy/aws/"
        yield finding("least-privilege", document, place, message, remedy)


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
    for name, place, node_type in _node_types(document):
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


def security_group(document: Document) -> Iterator[Finding]:
    """A group of Ray's making lets all of the internet reach TCP 22; `IpPermissions` can only add to that."""
    if at(document.data, "provider", "security_group") is not None:
        message = "must be absent, since Ray then makes a group that is open to the internet on TCP 22"
        remedy = "Name your own group in SecurityGroupIds of every node type"
        yield finding("security-group", document, ("provider", "security_group"), message, remedy)
    for _, place, node_type in _node_types(document):
        interfaces = at(node_type, "node_config", "NetworkInterfaces") or []
        in_interfaces = bool(interfaces) and all(at(each, "Groups") for each in interfaces)
        if not at(node_type, "node_config", "SecurityGroupIds") and not in_interfaces:
            message = (
                "must name SecurityGroupIds, since Ray would make a group open to the internet on TCP 22"
            )
            remedy = "Run: python -m deploy.aws prepare FILE"
            yield finding("security-group", document, (*place, "node_config"), message, remedy)


def instance_profile(document: Document) -> Iterator[Finding]:
    """Ray gives a head without a profile one with AmazonEC2FullAccess and AmazonS3FullAccess."""
    head = _profile(at(document.data, "available_node_types", document.data.get("head_node_type")))
    for name, place, node_type in _node_types(document):
        profile = _profile(node_type)
        if profile and profile == head and name != document.data.get("head_node_type"):
            message = f"must not be the head's ({profile}), whose rights the trials would have"
            remedy = "Name the workers' own: python -m deploy.aws prepare FILE makes it"
            where = (*place, "node_config", "IamInstanceProfile")
            yield finding("instance-profile", document, where, message, remedy)
        if not profile:
            what = (
                "Ray gives the head"
                if name == document.data.get("head_node_type")
                else "the head may pass on only"
            )
            message = f"must name an IamInstanceProfile ({what} one with its own rights)"
            remedy = "Run: python -m deploy.aws prepare FILE"
            yield finding("instance-profile", document, (*place, "node_config"), message, remedy)


_METADATA = "Write `MetadataOptions: {HttpTokens: required, HttpPutResponseHopLimit: 1}`"


def metadata_service(document: Document) -> Iterator[Finding]:
    """IMDSv2: a page or a library that can be made to fetch a URL must not get the node's credentials."""
    for _, place, node_type in _node_types(document):
        tokens = at(node_type, "node_config", "MetadataOptions", "HttpTokens")
        if tokens != "required":
            message = f"MetadataOptions.HttpTokens must be required (IMDSv2), but is {tokens or 'missing'}"
            where = (*place, "node_config", "MetadataOptions", "HttpTokens")
            yield finding("imds", document, where, message, _METADATA)
        hops = at(node_type, "node_config", "MetadataOptions", "HttpPutResponseHopLimit")
        if hops != 1:  # the default is the image's
            message = f"MetadataOptions.HttpPutResponseHopLimit must be 1, but is {hops or 'missing'}"
            where = (*place, "node_config", "MetadataOptions", "HttpPutResponseHopLimit")
            yield finding("imds", document, where, message, _METADATA)


def service_account(document: Document) -> Iterator[Finding]:
    """Ray gives a head without one its own account, with compute.admin and storage.objectAdmin."""
    remedy = "Make two accounts as the comments in deploy/gcp.yaml say"
    head = _emails(at(document.data, "available_node_types", document.data.get("head_node_type")))
    for name, place, node_type in _node_types(document):
        emails = _emails(node_type)
        where = (*place, "node_config", "serviceAccounts")
        if not emails or not all(emails):
            message = (
                "must name serviceAccounts with an email, since Ray's own may do anything to all machines"
            )
            yield finding("service-account", document, (*place, "node_config"), message, remedy)
        elif default := next(filter(_DEFAULT_ACCOUNT.fullmatch, emails), None):
            message = (
                f"must not be a default account of the project ({default}), which may do nearly everything"
            )
            yield finding("service-account", document, where, message, remedy)
        elif set(emails) & set(head) and name != document.data.get("head_node_type"):
            message = "must not be the head's, whose rights the trials would have"
            yield finding("service-account", document, where, message, remedy)


_DEFAULT_ACCOUNT = re.compile(r"default|\d+-compute@developer\.gserviceaccount\.com|[\w.:-]+@appspot\..*")


def network(document: Document) -> Iterator[Finding]:
    """Ray takes the project's first subnet, as a rule of the default network, which lets the internet reach ssh."""
    for _, place, node_type in _node_types(document):
        interfaces = at(node_type, "node_config", "networkInterfaces") or []
        names = [str(at(each, "subnetwork") or at(each, "network") or "default") for each in interfaces]
        if not names or any(name.rpartition("/")[2] == "default" for name in names):
            message = "must name networkInterfaces in a network of the cluster's own"
            remedy = "Make one as the comments in deploy/gcp.yaml say"
            yield finding("network", document, (*place, "node_config", "networkInterfaces"), message, remedy)


def autoscaler_v1(document: Document) -> Iterator[Finding]:
    """Autoscaler v2 takes the head of such a cluster for a worker, ends it and adds nodes for ever."""
    for place, start in _ray_starts(document, START_COMMANDS[:1]):
        if start.env.get("RAY_enable_autoscaler_v2") != "0":
            message = "`ray start` of the head must see RAY_enable_autoscaler_v2=0"
            remedy = "Put `export RAY_enable_autoscaler_v2=0;` before it"
            yield finding("autoscaler-v1", document, place, message, remedy)


def head_address(document: Document) -> Iterator[Finding]:
    """Of several networks Ray takes the one to the internet, or loopback, and the workers wait for ever."""
    head = at(document.data, "provider", "head_ip")
    for place, start in _ray_starts(document, START_COMMANDS[:1]):
        address = start.options.get("--node-ip-address")
        if address != head:
            message = f"--node-ip-address must be provider.head_ip ({head}), but is {address or 'missing'}"
            yield finding("head-address", document, place, message, f"Write `--node-ip-address={head}`")


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


def _ray_starts(
    document: Document, fields: tuple[str, ...] = START_COMMANDS
) -> Iterator[tuple[Place, RayStart]]:
    for field in fields:
        for i, line in enumerate(document.data.get(field) or []):
            for start in ray_starts_in(line)[0]:
                yield (field, i), start


def _texts(document: Document) -> Iterator[tuple[Place, str]]:
    return ((place, value) for place, value in walk(document.data) if isinstance(value, str))


def _closes_token_file(text: str) -> bool:
    try:
        commands = commands_in(text)
    except ValueError:
        return False
    return any(command.certain and _is_chmod_600(command.words) for command in commands)


def _may_open_token_file(text: str) -> bool:
    """Whether a command touches the folder of the token, other than by `chmod 600` of the file."""
    folder = TOKEN_FILE.rpartition("/")[0].lstrip("~")
    if not re.search(
        rf"\b(chmod|chown|chgrp|setfacl|cp|mv|ln|install|rsync)\b.*{re.escape(folder)}(?![\w.-])", text
    ):
        return False
    try:
        touching = [
            command.words for command in commands_in(text) if any(folder in word for word in command.words)
        ]
    except ValueError:
        return True
    return not all(map(_is_chmod_600, touching))


def _is_chmod_600(words: tuple[str, ...]) -> bool:
    return words == ("chmod", "600", TOKEN_FILE)


def _profile(node_type: Any) -> str:
    """Name of the instance profile, "" if there is none."""
    profile = at(node_type, "node_config", "IamInstanceProfile")
    return str(at(profile, "Name") or at(profile, "Arn") or "").rpartition("/")[2]


def _emails(node_type: Any) -> list[str]:
    accounts = at(node_type, "node_config", "serviceAccounts") or []
    return [str(account.get("email") or "") for account in accounts]


def _node_types(document: Document) -> Iterator[tuple[str, Place, dict[str, Any]]]:
    for name, node_type in (document.data.get("available_node_types") or {}).items():
        yield name, ("available_node_types", name), node_type


def _one_line(text: str) -> str:
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    return text if len(text) <= 160 else f"{text[:157]}..."
