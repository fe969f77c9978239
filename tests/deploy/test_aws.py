"""cluster.yaml against an imitation of AWS (moto): what `deploy.aws` makes, and what Ray makes of the file there."""

import copy
import functools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.aws.account import IMAGE_PARAMETER, Account, names_in
from deploy.aws.command import main
from deploy.lint import lint

try:
    import boto3
    import moto
except ModuleNotFoundError as error:
    MISSING = error.name
else:
    MISSING = None

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
REGION = "us-west-2"
SSH_FROM = "203.0.113.7/32"
EVERYWHERE = "0.0.0.0/0"


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty account, and a home and a temporary folder that Ray may write its keys and its cache to."""
    if MISSING:
        pytest.fail(
            f"{MISSING} is missing. Run: pip install --constraint constraints.txt '.[dev]'", pytrace=False
        )
    from ray.autoscaler._private.aws import utils

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    utils.resource_cache.cache_clear()
    utils.client_cache.cache_clear()
    with moto.mock_aws():
        yield


@pytest.fixture(autouse=True, scope="module")
def _instance_types_once() -> Iterator[None]:
    """Ray asks for all 800 instance types of EC2 each time, which takes moto many seconds."""
    if MISSING:
        yield
        return
    from ray.autoscaler._private.aws import node_provider

    with pytest.MonkeyPatch.context() as patch:
        once = functools.lru_cache(node_provider.list_ec2_instances)
        patch.setattr(node_provider, "list_ec2_instances", once)
        yield


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A copy of cluster.yaml as `deploy.aws prepare` leaves it."""
    path = tmp_path / "cluster.yaml"
    path.write_text((ROOT / "cluster.yaml").read_text())
    assert prepare(path) == 0
    return path


def prepare(path: Path, *arguments: str, ssh_from: str = SSH_FROM) -> int:
    image = ec2().describe_images()["Images"][0]["ImageId"]
    return main(["prepare", str(path), "--ssh-from", ssh_from, "--image", image, *arguments])


def ec2() -> Any:
    return boto3.client("ec2", region_name=REGION)


def iam() -> Any:
    return boto3.client("iam")


def bootstrap(config: dict[str, Any]) -> dict[str, Any]:
    """The file as Ray completes it before it starts machines."""
    from ray.autoscaler._private.commands import _bootstrap_config

    return _bootstrap_config(config, no_config_cache=True)


def start_machines(config: dict[str, Any], workers: int) -> Any:
    """The head and workers, started as Ray does; returns its node provider."""
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    for kind, name in [("head", "head")] + [
        ("worker", "gpu")
    ] * workers:  # moto starts one machine for each call
        extra = config.get("head_node", {}) if kind == "head" else {}
        node_config = {
            **copy.deepcopy(extra),
            **copy.deepcopy(config["available_node_types"][name]["node_config"]),
        }
        tags = {
            "ray-node-type": kind,
            "ray-user-node-type": name,
            "ray-node-name": f"ray-{config['cluster_name']}-{kind}",
            "ray-launch-config": "hash",
            "ray-node-status": "uninitialized",
        }
        created = provider.create_node(node_config, tags, 1)
        provider.non_terminated_nodes({})
        for node in created:
            provider.set_node_tags(node, {"ray-node-status": "up-to-date"})
    return provider


def machines() -> list[dict[str, Any]]:
    reservations = ec2().describe_instances()["Reservations"]
    return [machine for reservation in reservations for machine in reservation["Instances"]]


def open_ports() -> set[tuple[str, int]]:
    """(group name, port) of all that the whole internet may connect to."""
    return {
        (group["GroupName"], permission.get("FromPort", -1))
        for group in ec2().describe_security_groups()["SecurityGroups"]
        for permission in group["IpPermissions"]
        for each in permission["IpRanges"]
        if each["CidrIp"] == EVERYWHERE
    }


def test_the_file_as_prepared_is_clean_and_gives_closed_machines(file: Path) -> None:
    assert lint(file) == []
    config = bootstrap(yaml.safe_load(file.read_text()))
    resources = config["available_node_types"]["gpu"]["resources"]
    assert resources["GPU"] == 1
    assert config["available_node_types"]["head"]["resources"]["CPU"] == 0
    provider = start_machines(config, workers=2)

    group = ec2().describe_security_groups(GroupNames=["schedule-search"])["SecurityGroups"][0]["GroupId"]
    found = machines()
    assert sorted(machine["InstanceType"] for machine in found) == ["g6.xlarge", "g6.xlarge", "m7i.xlarge"]
    for machine in found:
        role = "head" if machine["InstanceType"] == "m7i.xlarge" else "worker"
        assert [each["GroupId"] for each in machine["SecurityGroups"]] == [group]
        assert machine["IamInstanceProfile"]["Arn"].endswith(f":instance-profile/schedule-search-{role}")
        assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert not open_ports()
    assert {role["RoleName"] for role in iam().list_roles()["Roles"]} == {
        "schedule-search-head",
        "schedule-search-worker",
    }
    for role in ("schedule-search-head", "schedule-search-worker"):
        assert iam().list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []

    provider.terminate_nodes(provider.non_terminated_nodes({}))
    assert {machine["State"]["Name"] for machine in machines()} == {"terminated"}


def test_the_head_may_do_what_its_autoscaler_does_and_nothing_else(file: Path) -> None:
    config = bootstrap(yaml.safe_load(file.read_text()))
    calls: set[str] = set()
    from ray.autoscaler._private.aws import utils

    utils.resource_cache.cache_clear()
    session = boto3.DEFAULT_SESSION or boto3.Session()
    events = session._session.get_component("event_emitter")

    def note(model: Any, **_: Any) -> None:
        calls.add(f"{model.service_model.endpoint_prefix}:{model.name}")

    events.register("before-call", note)
    try:
        provider = start_machines(config, workers=2)
        provider.terminate_nodes(provider.non_terminated_nodes({}))
    finally:
        events.unregister("before-call", note)
    policy = iam().get_role_policy(RoleName="schedule-search-head", PolicyName="machines")["PolicyDocument"]
    allowed: set[str] = set()
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        actions = statement["Action"]
        allowed.update([actions] if isinstance(actions, str) else actions)
    # EC2 asks for the right to pass a role on when machines are started with one; it is no call.
    assert allowed == calls | {"iam:PassRole"}


def test_ray_left_alone_opens_ssh_to_the_internet_and_gives_the_head_all_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The reason of two rules, and the proof that the checks above can fail.
    from ray.autoscaler._private.aws import config as ray_config

    monkeypatch.setenv(
        "MOTO_IAM_LOAD_MANAGED_POLICIES", "true"
    )  # AWS's own policies, which take moto seconds
    monkeypatch.setattr(ray_config.time, "sleep", lambda _: None)
    file = tmp_path / "cluster.yaml"
    file.write_text((ROOT / "cluster.yaml").read_text())
    assert prepare(file) == 0
    config = yaml.safe_load(file.read_text())
    for node_type in config["available_node_types"].values():
        del node_type["node_config"]["SecurityGroupIds"]
        del node_type["node_config"]["IamInstanceProfile"]
    file.write_text(yaml.safe_dump(config))
    assert {finding.rule for finding in lint(file)} == {"security-group", "instance-profile"}

    config["cluster_name"] = "careless"
    start_machines(bootstrap(config), workers=1)
    assert open_ports() == {("ray-autoscaler-careless", 22)}
    attached = iam().list_attached_role_policies(RoleName="ray-autoscaler-v1")["AttachedPolicies"]
    assert {policy["PolicyName"] for policy in attached} == {"AmazonEC2FullAccess", "AmazonS3FullAccess"}


def test_prepare_again_moves_ssh_to_the_new_address_and_keeps_the_rest(file: Path) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = ec2().describe_security_groups(GroupNames=["schedule-search"])["SecurityGroups"]
        assert len(groups) == 1
        return groups[0]["IpPermissions"]

    own = {"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}
    group = ec2().describe_security_groups(GroupNames=["schedule-search"])["SecurityGroups"][0]["GroupId"]
    ec2().authorize_security_group_ingress(GroupId=group, IpPermissions=[own])
    text = file.read_text()
    assert prepare(file, ssh_from="198.51.100.0/24") == 0
    assert file.read_text() == text
    sources = {
        rule.get("FromPort", -1): [each["CidrIp"] for each in rule["IpRanges"]]
        + [each["GroupId"] for each in rule["UserIdGroupPairs"]]
        for rule in rules()
    }
    assert sources == {-1: [group], 22: ["198.51.100.0/24"], 2049: ["10.0.0.0/16"]}


def test_a_bucket_is_the_only_thing_that_both_roles_may_touch(file: Path) -> None:
    assert prepare(file, "--bucket", "my-results") == 0
    for role, policies in (("head", ["machines", "storage"]), ("worker", ["storage"])):
        name = f"schedule-search-{role}"
        assert iam().list_role_policies(RoleName=name)["PolicyNames"] == policies
        document = iam().get_role_policy(RoleName=name, PolicyName="storage")["PolicyDocument"]
        resources = {statement["Resource"] for statement in document["Statement"]}
        assert resources == {"arn:aws:s3:::my-results", "arn:aws:s3:::my-results/*"}
    assert prepare(file) == 0
    assert iam().list_role_policies(RoleName="schedule-search-worker")["PolicyNames"] == []


def test_remove_waits_for_the_machines_then_leaves_nothing(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "ray-cluster-name", "Value": "schedule-search"}]}]
    image = ec2().describe_images()["Images"][0]["ImageId"]
    group = ec2().describe_security_groups(GroupNames=["schedule-search"])["SecurityGroups"][0]["GroupId"]
    machine = ec2().run_instances(
        ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=tags, SecurityGroupIds=[group]
    )["Instances"][0]["InstanceId"]
    assert main(["remove", str(file)]) == 1
    assert "ray down" in capsys.readouterr().err
    ec2().terminate_instances(InstanceIds=[machine])
    assert main(["remove", str(file)]) == 0
    assert iam().list_roles()["Roles"] == iam().list_instance_profiles()["InstanceProfiles"] == []
    assert {group["GroupName"] for group in ec2().describe_security_groups()["SecurityGroups"]} == {"default"}
    capsys.readouterr()
    assert main(["remove", str(file)]) == 0
    assert capsys.readouterr().out == "removed: nothing, nothing was there\n"


def test_remove_finishes_what_an_earlier_call_left(file: Path) -> None:
    name = "schedule-search-head"
    iam().remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam().delete_instance_profile(InstanceProfileName=name)
    assert main(["remove", str(file)]) == 0
    assert iam().list_roles()["Roles"] == iam().list_instance_profiles()["InstanceProfiles"] == []


def test_the_newest_image_is_asked_for_by_the_name_that_aws_documents(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from botocore.stub import Stubber

    account = Account(boto3.Session(), names_in(file))
    with Stubber(account.ssm) as stub:
        answer = {"Parameter": {"Value": "ami-0123456789abcdef0"}}
        stub.add_response("get_parameter", answer, {"Name": IMAGE_PARAMETER})
        assert account.newest_image() == "ami-0123456789abcdef0"
    assert main(["prepare", str(file), "--ssh-from", SSH_FROM]) == 1  # this AWS has no such parameter
    assert "--image" in capsys.readouterr().err


def test_what_aws_refuses_is_one_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vpc = ec2().describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    assert main(["remove", str(file)]) == 0
    for subnet in ec2().describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]:
        ec2().delete_subnet(SubnetId=subnet["SubnetId"])
    ec2().delete_vpc(VpcId=vpc)
    capsys.readouterr()
    assert prepare(file) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: the account has no default VPC in us-west-2") and said.count("\n") == 1


def test_the_policies_as_sent_are_json_without_a_placeholder(file: Path) -> None:
    for role in ("schedule-search-head", "schedule-search-worker"):
        document = iam().get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        assert document["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
        for name in iam().list_role_policies(RoleName=role)["PolicyNames"]:
            policy = iam().get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            assert "@" not in json.dumps(policy)
