"""Makes, updates and removes the security group and the two roles of a cluster; looks up its machine image."""

import contextlib
import ipaddress
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.reading.documents import at, read_documents
from search.errors import InputError, OperationFailed

# Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04); named after AWS's rule, see "Finding the ID of a DLAMI".
IMAGE_PARAMETER = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
_HERE = Path(__file__).parent
_TAG = {"Key": "ray-cluster-name"}


@dataclass(frozen=True)
class Names:
    """What a cluster file calls the things that it needs."""

    cluster: str
    region: str
    head: str
    worker: str


def names_in(path: str | Path) -> Names:
    """Raises InputError unless the file is one for AWS that names two instance profiles, as cluster.yaml does."""
    data = read_documents(path)[0].data
    if at(data, "provider", "type") != "aws" or not at(data, "provider", "region"):
        raise InputError(f"{path}: must have `provider: {{type: aws, region: ...}}`")
    profiles: dict[bool, set[str]] = {True: set(), False: set()}
    for name, node_type in data["available_node_types"].items():
        profile = at(node_type, "node_config", "IamInstanceProfile", "Name")
        if not profile:
            raise InputError(
                f"{path}: available_node_types.{name}: must name an IamInstanceProfile, as cluster.yaml"
            )
        profiles[name == data["head_node_type"]].add(profile)
    if len(profiles[False]) != 1 or profiles[True] & profiles[False]:
        raise InputError(f"{path}: the workers must share one IamInstanceProfile, other than the head's")
    return Names(data["cluster_name"], data["provider"]["region"], *profiles[True], *profiles[False])


def ssh_source(text: str) -> str:
    """The network `text` as AWS writes it. Raises InputError for what is none, or larger than a /8."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise InputError(f"--ssh-from must be a network such as 203.0.113.7/32, but is {text}") from None
    if network.version != 4 or network.prefixlen < 8:
        raise InputError(
            f"--ssh-from must be an IPv4 network of /8 or smaller, but is {text}: name your own address"
        )
    return str(network)


class Account:
    """The AWS account as boto3 clients of one region. session: a `boto3.Session`."""

    def __init__(self, session: Any, names: Names):
        self.names = names
        self.ec2 = session.client("ec2", region_name=names.region)
        self.iam = session.client("iam")
        self.ssm = session.client("ssm", region_name=names.region)
        self.number = session.client("sts", region_name=names.region).get_caller_identity()["Account"]

    def prepare(self, *, ssh_from: str, bucket: str | None) -> str:
        """Make or update everything; returns the security group's id. A second time it changes only what differs."""
        group = self._security_group(ssh_from)
        values = {"SECURITY_GROUP": group, "BUCKET": bucket or ""}
        policies = {"storage": "storage-policy.json"} if bucket else {}
        self._role(self.names.worker, policies, values)
        self._role(self.names.head, {"machines": "head-policy.json", **policies}, values)
        return group

    def newest_image(self) -> str:
        """The id of the newest machine image with NVIDIA's driver in this region."""
        try:
            answer = self.ssm.get_parameter(Name=IMAGE_PARAMETER)
        except self.ssm.exceptions.ParameterNotFound:
            raise OperationFailed(
                f"AWS knows no {IMAGE_PARAMETER} in {self.names.region}. Choose an image with Ubuntu 24.04 and "
                "NVIDIA's driver in the console and give it with --image"
            ) from None
        return str(answer["Parameter"]["Value"])

    def remove(self) -> list[str]:
        """Remove what `prepare` made; returns the names. Raises OperationFailed while machines run."""
        running = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
        mine = [{"Name": f"tag:{_TAG['Key']}", "Values": [self.names.cluster]}]
        machines = self.ec2.describe_instances(Filters=running + mine)["Reservations"]
        if machines:
            raise OperationFailed(f"machines of {self.names.cluster} still run. First: ray down FILE")
        removed = []
        gone = self.iam.exceptions.NoSuchEntityException
        for name in (self.names.head, self.names.worker):
            # One by one: an earlier call may have been cut off between them.
            with contextlib.suppress(gone):
                self.iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
            with contextlib.suppress(gone):
                self.iam.delete_instance_profile(InstanceProfileName=name)
            with contextlib.suppress(gone):
                for policy in self.iam.list_role_policies(RoleName=name)["PolicyNames"]:
                    self.iam.delete_role_policy(RoleName=name, PolicyName=policy)
                self.iam.delete_role(RoleName=name)
                removed.append(name)
        for group in self._groups():
            self.ec2.delete_security_group(GroupId=group["GroupId"])
            removed.append(group["GroupId"])
        return removed

    def _security_group(self, ssh_from: str) -> str:
        wanted = self._document("security-group.json", {"SECURITY_GROUP": "", "SSH_FROM": ssh_from})
        existing = self._groups()
        if existing:
            group = existing[0]["GroupId"]
        else:
            tags = [{"ResourceType": "security-group", "Tags": [{**_TAG, "Value": self.names.cluster}]}]
            group = self.ec2.create_security_group(
                GroupName=wanted["GroupName"],
                Description=wanted["Description"],
                VpcId=self._default_vpc(),
                TagSpecifications=tags,
            )["GroupId"]
        wanted = self._document("security-group.json", {"SECURITY_GROUP": group, "SSH_FROM": ssh_from})
        present = self.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
        for permission in wanted["IpPermissions"]:
            try:
                self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
            except self.ec2.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "InvalidPermission.Duplicate":
                    raise
        # ssh from addresses of earlier calls; all other rules that someone added stay.
        for permission in present:
            if (permission.get("FromPort"), permission.get("ToPort")) == (22, 22):
                old = [each for each in permission.get("IpRanges", []) if each["CidrIp"] != ssh_from]
                if old:
                    revoked = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": old}
                    self.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[revoked])
        return str(group)

    def _groups(self) -> list[dict[str, Any]]:
        filters = [{"Name": "group-name", "Values": [self.names.cluster]}]
        found = self.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        return [group for group in found if {**_TAG, "Value": self.names.cluster} in group.get("Tags", [])]

    def _default_vpc(self) -> str:
        vpcs = self.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        if not vpcs:
            raise OperationFailed(
                f"the account has no default VPC in {self.names.region}. Make one (aws ec2 create-default-vpc), or a "
                "group by hand from deploy/aws/security-group.json, and name it and its subnets in the file"
            )
        return str(vpcs[0]["VpcId"])

    def _role(self, name: str, policies: dict[str, str], values: dict[str, str]) -> None:
        """A role with exactly these policies, and an instance profile of the same name that carries it."""
        trust = json.dumps(self._document("trust-policy.json", {}))
        try:
            self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        except self.iam.exceptions.EntityAlreadyExistsException:
            self.iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
        for policy, file in policies.items():
            document = json.dumps(self._document(file, values))
            self.iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=document)
        for policy in set(self.iam.list_role_policies(RoleName=name)["PolicyNames"]) - set(policies):
            self.iam.delete_role_policy(RoleName=name, PolicyName=policy)
        with contextlib.suppress(self.iam.exceptions.EntityAlreadyExistsException):
            self.iam.create_instance_profile(InstanceProfileName=name)
        profile = self.iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        if not profile["Roles"]:
            self.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)

    def _document(self, file: str, values: dict[str, str]) -> Any:
        known = {
            "REGION": self.names.region,
            "ACCOUNT": self.number,
            "CLUSTER": self.names.cluster,
            "WORKER": self.names.worker,
            **values,
        }
        text = (_HERE / file).read_text(encoding="utf-8")
        return json.loads(re.sub(r"@([A-Z_]+)@", lambda match: known[match[1]], text))
