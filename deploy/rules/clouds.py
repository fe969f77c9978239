"""Rules for one provider: AWS, GCP, machines of one's own."""

import re
from collections.abc import Iterator
from typing import Any

from deploy.reading.documents import at, matches
from deploy.reading.finding import Finding, finding
from deploy.reading.launcher_file import START_COMMANDS, node_types, ray_starts
from search.file.yaml12 import Document

# Managed policies and roles of clouds that allow (nearly) everything, and the role that Ray makes with two of them.
TOO_MUCH = re.compile(
    r"\w*FullAccess|AdministratorAccess|PowerUserAccess|roles/(owner|editor)|ray-autoscaler-(sa-)?v1"
)
_DEFAULT_ACCOUNT = re.compile(r"default|\d+-compute@developer\.gserviceaccount\.com|[\w.:-]+@appspot\..*")
_METADATA = "Write `MetadataOptions: {HttpTokens: required, HttpPutResponseHopLimit: 1}`"


def least_privilege(document: Document) -> Iterator[Finding]:
    for place, found in matches(document.data, TOO_MUCH):
        message = f"must not give the cluster all rights in the account, but names {found}"
        remedy = "Name a role with the policies in deploy/aws/"
        yield finding("least-privilege", document, place, message, remedy)


def security_group(document: Document) -> Iterator[Finding]:
    """A group of Ray's making lets all of the internet reach TCP 22; `IpPermissions` can only add to that."""
    if at(document.data, "provider", "security_group") is not None:
        message = "must be absent, since Ray then makes a group that is open to the internet on TCP 22"
        remedy = "Name your own group in SecurityGroupIds of every node type"
        yield finding("security-group", document, ("provider", "security_group"), message, remedy)
    for _, place, node_type in node_types(document):
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
    for name, place, node_type in node_types(document):
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


def metadata_service(document: Document) -> Iterator[Finding]:
    """IMDSv2: a page or a library that can be made to fetch a URL must not get the node's credentials."""
    for _, place, node_type in node_types(document):
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
    for name, place, node_type in node_types(document):
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


def network(document: Document) -> Iterator[Finding]:
    """Ray takes the project's first subnet, as a rule of the default network, which lets the internet reach ssh."""
    for _, place, node_type in node_types(document):
        interfaces = at(node_type, "node_config", "networkInterfaces") or []
        names = [str(at(each, "subnetwork") or at(each, "network") or "default") for each in interfaces]
        if not names or any(name.rpartition("/")[2] == "default" for name in names):
            message = "must name networkInterfaces in a network of the cluster's own"
            remedy = "Make one as the comments in deploy/gcp.yaml say"
            yield finding("network", document, (*place, "node_config", "networkInterfaces"), message, remedy)


def autoscaler_v1(document: Document) -> Iterator[Finding]:
    """Autoscaler v2 takes the head of such a cluster for a worker, ends it and adds nodes for ever."""
    for place, start in ray_starts(document, START_COMMANDS[:1]):
        if start.env.get("RAY_enable_autoscaler_v2") != "0":
            message = "`ray start` of the head must see RAY_enable_autoscaler_v2=0"
            remedy = "Put `export RAY_enable_autoscaler_v2=0;` before it"
            yield finding("autoscaler-v1", document, place, message, remedy)


def head_address(document: Document) -> Iterator[Finding]:
    """Of several networks Ray takes the one to the internet, or loopback, and the workers wait for ever."""
    head = at(document.data, "provider", "head_ip")
    for place, start in ray_starts(document, START_COMMANDS[:1]):
        address = start.options.get("--node-ip-address")
        if address != head:
            message = f"--node-ip-address must be provider.head_ip ({head}), but is {address or 'missing'}"
            yield finding("head-address", document, place, message, f"Write `--node-ip-address={head}`")


def _profile(node_type: Any) -> str:
    """Name of the instance profile, "" if there is none."""
    profile = at(node_type, "node_config", "IamInstanceProfile")
    return str(at(profile, "Name") or at(profile, "Arn") or "").rpartition("/")[2]


def _emails(node_type: Any) -> list[str]:
    accounts = at(node_type, "node_config", "serviceAccounts") or []
    return [str(account.get("email") or "") for account in accounts]
