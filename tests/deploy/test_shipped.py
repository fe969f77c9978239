"""The cluster files as they are shipped: clean, alike, complete, and in step with the versions of the project."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.aws.account import ssh_source
from deploy.aws.command import main
from deploy.lint import lint
from deploy.reading.start_command import RayStart, ray_start_of
from search.machine.checkout import PACKAGES

ROOT = Path(__file__).parents[2]
LAUNCHER = ("cluster.yaml", "deploy/gcp.yaml", "deploy/local.yaml")
SHARED = (
    "file_mounts",
    "rsync_exclude",
    "setup_commands",
    "worker_setup_commands",
    "worker_start_ray_commands",
)
# What the local variant needs more in the head's start command, and why: see deploy/rules/launcher.py.
# Its head runs trials.
GPUS = (r'eval "\$\(cd ~/schedule-search && \.venv/bin/python -m search\.gpu_node\)"; ', r" \$RAY_GPUS")
LOCAL_ONLY = (r" RAY_enable_autoscaler_v2=0", r" --node-ip-address=\S+", *GPUS)
SERVICES = "# The services of the head (databases, MLflow) start here"
POLICIES = sorted((ROOT / "deploy" / "aws").glob("*-policy.json"))


def loaded(file: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / file).read_text())


def ray_cluster() -> dict[str, Any]:
    documents = yaml.safe_load_all((ROOT / "deploy" / "kuberay.yaml").read_text())
    return next(document for document in documents if document["kind"] == "RayCluster")


def head_start() -> RayStart:
    (start,) = filter(None, map(ray_start_of, loaded("cluster.yaml")["head_start_ray_commands"]))
    return start


def pinned(name: str) -> str:
    match = re.search(rf"^{name}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert match
    return match[1]


@pytest.mark.parametrize("file", [*LAUNCHER, "deploy/kuberay.yaml"])
def test_a_shipped_file_lacks_only_what_the_user_knows(file: str) -> None:
    findings = lint(ROOT / file)
    assert findings
    assert {finding.rule for finding in findings} == {"fill-in"}


@pytest.mark.parametrize("field", SHARED)
def test_all_variants_set_machines_up_and_start_them_alike(field: str) -> None:
    first, *others = (loaded(file)[field] for file in LAUNCHER)
    assert all(other == first for other in others)


def test_every_machine_that_may_run_trials_knows_mig_devices_and_mps() -> None:
    for file in LAUNCHER:
        head, worker = (
            next(line for line in loaded(file)[f"{kind}_start_ray_commands"] if "ray start" in line)
            for kind in ("head", "worker")
        )
        types = loaded(file).get("available_node_types", {"head": {"resources": {}}})
        runs_trials = types["head"]["resources"].get("CPU") != 0
        for line, wanted in ((head, runs_trials), (worker, True)):
            assert [re.search(part, line) is not None for part in GPUS] == [wanted, wanted]


def test_the_head_of_own_machines_differs_only_by_what_v1_several_networks_and_trials_need() -> None:
    first, second, own = (loaded(file)["head_start_ray_commands"] for file in LAUNCHER)
    assert first == second
    assert own != first
    for pattern in LOCAL_ONLY:
        own = [re.sub(pattern, "", line) for line in own]
    assert own == first


def test_kubernetes_starts_ray_with_the_same_variables_and_options() -> None:
    cluster, start = ray_cluster()["spec"], head_start()
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert {each["name"]: each["value"] for each in container["env"]} == start.env
    assert groups[0]["rayStartParams"]["dashboard-host"] == start.options["--dashboard-host"]
    resources = loaded("cluster.yaml")["available_node_types"]["head"]["resources"]
    assert groups[0]["rayStartParams"]["num-cpus"] == str(resources["CPU"])
    minutes = loaded("cluster.yaml")["idle_timeout_minutes"]
    assert cluster["autoscalerOptions"]["idleTimeoutSeconds"] == 60 * minutes


@pytest.mark.parametrize("file", [*LAUNCHER, "deploy/kuberay.yaml"])
def test_the_services_of_the_head_have_one_place(file: str) -> None:
    assert (ROOT / file).read_text().count(SERVICES) == 1


def test_the_services_are_started_by_one_line_after_ray_and_installed_on_every_machine() -> None:
    (line,) = (each for each in loaded("cluster.yaml")["head_start_ray_commands"] if "search serve" in each)
    assert line == loaded("cluster.yaml")["head_start_ray_commands"][-1]
    assert line.endswith(" -m search serve --detach")  # in the foreground `ray up` would wait for ever
    (container,) = ray_cluster()["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert container["lifecycle"]["postStart"]["exec"]["command"][-1] == line.replace(".venv/bin/", "")
    assert loaded("cluster.yaml")["setup_commands"][-1].endswith(" '.[cluster]'")
    assert re.search(
        r"^RUN .*pip install .* '\.\[cluster\]'$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE
    )


def test_the_machines_get_all_of_the_code_and_nothing_that_is_not_there() -> None:
    mounts = loaded("cluster.yaml")["file_mounts"]
    sources = {source for target, source in mounts.items() if target.startswith("~/schedule-search/")}
    assert sources == {"pyproject.toml", "constraints.txt", "searches", *PACKAGES}
    assert all((ROOT / source).exists() for source in sources)
    copied = set(
        re.findall(
            r"^COPY (?:--chown=ray )?(.+) \S+$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE
        )
    )
    assert set(" ".join(copied).split()) == sources


@pytest.mark.integration
def test_what_the_machines_get_is_enough_to_run(tmp_path: Path) -> None:
    for target, source in loaded("cluster.yaml")["file_mounts"].items():
        if target.startswith("~/schedule-search/"):
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, tmp_path / source)
    for arguments in (["list", "presets"], ["run", "searches/digits.yaml", "--help"]):
        command = [sys.executable, "-m", "search", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")


def test_versions_named_in_the_files_are_those_of_the_project() -> None:
    assert ray_cluster()["spec"]["rayVersion"] == pinned("ray")
    assert f"({pinned('torch')}+cu130)" in (ROOT / "cluster.yaml").read_text()
    with (ROOT / "pyproject.toml").open("rb") as stream:
        version = tomllib.load(stream)["project"]["version"]
    for group in ("headGroupSpec", "workerGroupSpecs"):
        text = json.dumps(ray_cluster()["spec"][group])
        assert f'REPLACE/schedule-search:{version}"' in text


def actions_of(statement: dict[str, Any]) -> list[str]:
    actions = statement["Action"]
    return [actions] if isinstance(actions, str) else actions


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_names_actions_one_by_one_and_not_all_resources(path: Path) -> None:
    policy = json.loads(path.read_text())
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        actions = actions_of(statement)
        assert statement["Effect"] == "Allow"
        assert not [action for action in actions if "*" in action]
        # EC2 knows no smaller resource for seeing machines than all of them.
        if path.stem != "trust-policy" and actions != ["ec2:DescribeInstances"]:
            resources = (
                statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
            )
            assert "*" not in resources


def test_the_head_changes_only_machines_of_its_cluster_and_those_it_starts() -> None:
    policy = json.loads((ROOT / "deploy" / "aws" / "head-policy.json").read_text())
    conditions = [
        statement["Condition"]["StringEquals"]
        for statement in policy["Statement"]
        if {"ec2:TerminateInstances", "ec2:CreateTags"} & set(actions_of(statement))
    ]
    assert conditions == [
        {"ec2:CreateAction": "RunInstances"},
        {"aws:ResourceTag/ray-cluster-name": "@CLUSTER@"},
    ]


def test_the_group_lets_in_the_cluster_and_ssh_from_where_the_user_is() -> None:
    group = json.loads((ROOT / "deploy" / "aws" / "security-group.json").read_text())
    inside, ssh = group["IpPermissions"]
    assert [each["GroupId"] for each in inside["UserIdGroupPairs"]] == ["@SECURITY_GROUP@"]
    assert "IpRanges" not in inside
    assert (ssh["IpProtocol"], ssh["FromPort"], ssh["ToPort"]) == ("tcp", 22, 22)
    assert [each["CidrIp"] for each in ssh["IpRanges"]] == ["@SSH_FROM@"]


@pytest.mark.parametrize(
    "text", ["0.0.0.0/0", "0.0.0.0/1", "::/0", "2001:db8::1/128", "203.0.113.7/24", "home", ""]
)
def test_ssh_from_everywhere_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--ssh-from must be"):
        ssh_source(text)


def test_prepare_refuses_a_file_without_two_profiles_before_it_asks_aws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cluster.yaml"
    text = (ROOT / "cluster.yaml").read_text()
    for old, new, said in (
        ("type: aws", "type: gcp", "must have `provider: {type: aws, region: ...}`"),
        (
            "IamInstanceProfile: {Name: schedule-search-worker}",
            "IamInstanceProfile: {}",
            "must name an IamInst",
        ),
        ("schedule-search-worker", "schedule-search-head", "other than the head's"),
    ):
        path.write_text(text.replace(old, new))
        assert main(["prepare", str(path), "--ssh-from", "203.0.113.7/32"]) == 2
        assert said in capsys.readouterr().err
