"""The rules for cluster files: four seeded files give every finding, small changes of good ones give theirs."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from deploy import kubernetes, launcher
from deploy.lint import lint, main

ROOT = Path(__file__).parents[2]
BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))
BY_PROVIDER = {
    **{
        provider: {name for name, (_, providers) in launcher.RULES.items() if provider in providers}
        for provider in launcher.ANY
    },
    "kuberay": set(kubernetes.RULES),
}


def expected(path: Path) -> Counter[tuple[int, str]]:
    """What the comments `# <- rule, rule` of a seeded file say."""
    found: Counter[tuple[int, str]] = Counter()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        marked = re.search(r"# <- ([a-z0-9, -]+)$", line)
        if marked:
            found.update((number, rule) for rule in marked[1].split(", "))
    return found


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_seeded_file_gives_every_finding_in_its_line(path: Path) -> None:
    findings = lint(path)
    assert Counter((finding.line, finding.rule) for finding in findings) == expected(path)
    for finding in findings:
        assert re.fullmatch(rf"{re.escape(str(path))}:\d+: [a-z0-9-]+: [^\n]+\. [^\n]+", str(finding))


def test_every_rule_is_seeded_so_that_none_can_be_removed_unseen() -> None:
    seeded = {path.stem: {rule for _, rule in expected(path)} for path in BAD}
    assert set().union(*(seeded[provider] for provider in launcher.ANY)) == set(launcher.RULES)
    assert seeded["kuberay"] == set(kubernetes.RULES)
    for provider, rules in seeded.items():
        assert rules <= BY_PROVIDER[provider]


@pytest.mark.parametrize("rule", sorted(launcher.RULES))
def test_a_rule_of_the_launcher_finds_what_no_other_does(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "RULES", {k: v for k, v in launcher.RULES.items() if k != rule})
    lost = [path for path in BAD if path.stem != "kuberay" and len(lint(path)) < expected(path).total()]
    assert lost


@pytest.mark.parametrize("rule", sorted(kubernetes.RULES))
def test_a_rule_for_kubernetes_finds_what_no_other_does(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = BAD[[path.stem for path in BAD].index("kuberay")]
    monkeypatch.setattr(kubernetes, "RULES", {k: v for k, v in kubernetes.RULES.items() if k != rule})
    assert len(lint(path)) < expected(path).total()


AWS, LOCAL, KUBERAY = ROOT / "cluster.yaml", ROOT / "deploy" / "local.yaml", ROOT / "deploy" / "kuberay.yaml"
CHANGES = [
    # Values that the shell would not give to Ray.
    (AWS, "export RAY_AUTH_MODE=token", "RAY_AUTH_MODE=token", "token", "but sees none"),
    (AWS, "RAY_AUTH_MODE=token RAY", "RAY_AUTH_MODE=disabled RAY", "token", "but sees disabled"),
    (AWS, "--dashboard-host=127.0.0.1", "--dashboard-host ::", "dashboard", "but is ::"),
    (AWS, "--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "dashboard", "but is 0.0.0.0"),
    (AWS, "bin/ray start --head", "start-head", "ray-start", "plain `ray start`"),
    (AWS, "chmod 600 ~/.ray/auth_token", "chmod 644 ~/.ray/auth_token", "token-file", "by its user only"),
    (AWS, '"~/.ray/auth_token": ', '"~/.ray/token": ', "token-file", "must bring ~/.ray/auth_token"),
    # What Ray refuses, or fills in.
    (AWS, "max_workers: 2\nidle", "max_workers: two\nidle", "ray-schema", "'two' is not of type 'integer'"),
    (
        AWS,
        "head_node_type: head",
        "head_node_type: tail",
        "ray-schema",
        "must be one of `available_node_types`",
    ),
    (AWS, "head_setup_commands:\n  - cd", "extra:\n  - cd", "own-commands", "boto3"),
    (AWS, "  cache_stopped_nodes: false", "  cache_stopped_nodes: true", "idle", "but is True"),
    (AWS, "idle_timeout_minutes: 10", "idle_timeout_minutes: 0", "idle", "but is 0"),
    (AWS, "HttpTokens: required", "HttpTokens: optional", "imds", "but is optional"),
    (AWS, "IamInstanceProfile: {Name", "Profile: {Name", "instance-profile", "available_node_types.head"),
    (AWS, "SecurityGroupIds: [sg-REPLACE]", "SecurityGroupIds: []", "security-group", "SecurityGroupIds"),
    (AWS, "region: us-west-2", "region: us-west-2\n  x: 10.0.0.0/0", "world-open", "10.0.0.0/0"),
    (
        AWS,
        "ssh_user: ubuntu",
        "ssh_user: ubuntu\n  url: postgresql://a:b@c/d",
        "secret",
        "a password in a URL",
    ),
    (AWS, "ssh_user: ubuntu", f"ssh_user: {'0f' * 32}", "secret", "64 hexadecimal digits"),
    (AWS, "ulimit -n 65536;", "export RAY_AUTH_TOKEN=abc;", "secret", "RAY_AUTH_TOKEN"),
    (LOCAL, "head_ip: 192.0.2.10", "head_ip: 10.0.0.1", "head-address", "(10.0.0.1), but is 192.0.2.10"),
    (LOCAL, " RAY_enable_autoscaler_v2=0", "", "autoscaler-v1", "RAY_enable_autoscaler_v2=0"),
    (KUBERAY, "dashboard-host: 127.0.0.1", "dashboard-host: 0.0.0.0", "dashboard", "but is 0.0.0.0"),
    (KUBERAY, "authOptions: {mode: token,", "authOptions: {mode: disabled,", "token", "but is disabled"),
    (KUBERAY, "policyTypes: [Ingress]", "policyTypes: [Egress]", "network-policy", "NetworkPolicy"),
    (
        KUBERAY,
        "    - from:\n        - podSelector: {m",
        "    - ports:\n        - x: {m",
        "network-policy",
        "only pods",
    ),
    (KUBERAY, "drop: [ALL]", "drop: [NET_RAW]", "least-privilege", "give up all privileges"),
    (KUBERAY, "idleTimeoutSeconds: 600", "idleTimeoutSeconds: 0", "idle", "but is 0"),
    (KUBERAY, "schedule-search:0.1.0", "schedule-search", "image", "one version"),
]


@pytest.mark.parametrize(("path", "old", "new", "rule", "said"), CHANGES, ids=lambda value: str(value)[:24])
def test_a_change_for_the_worse_is_found(
    path: Path, old: str, new: str, rule: str, said: str, tmp_path: Path
) -> None:
    text = path.read_text()
    assert old in text
    changed = tmp_path / path.name
    changed.write_text(text.replace(old, new, 1))
    before, after = ({(f.rule, f.message) for f in lint(each)} for each in (path, changed))
    assert any(found == rule and said in message for found, message in after - before)


def test_paths_and_variables_are_no_secrets(tmp_path: Path) -> None:
    changed = tmp_path / "cluster.yaml"
    lines = "export RAY_AUTH_TOKEN_PATH=~/t API_KEY=$KEY MLFLOW_PASSWORD=/run/password; ulimit -n 65536;"
    text = AWS.read_text().replace("ulimit -n 65536;", lines)
    changed.write_text(f"{text}\nmetadata: {{image: 'schedule-search@sha256:{'0f' * 32}'}}\n")
    assert "secret" not in {finding.rule for finding in lint(changed)}


def test_a_secret_is_not_repeated() -> None:
    said = "\n".join(map(str, lint(BAD[[path.stem for path in BAD].index("aws")])))
    assert "wJalrXUtnFEMI" not in said and "hunter2" not in said and "AKIAIOSFODNN7EXAMPLE" not in said


REFUSED = {
    "list": ("- 1\n", "must be a mapping, but is list"),
    "tab": ("a:\n\t- 1\n", ":2: not YAML: "),
    "duplicate": ("a: 1\nb: 2\na: 3\n", ":3: duplicate key 'a': also on line 1"),
    "other": ("name: digits\n", "must be a file for `ray up`"),
    "azure": ("provider: {type: azure}\n", "must be one of aws, gcp, local, but is azure"),
    "bomb": ("a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
    ), "must hold at most 10000 values"),
    "loop": ("a: &a\n  b: *a\n", "64 deep"),
    "binary": ("\x00\n", "not YAML"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_cluster_file_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, said = REFUSED[name]
    path = tmp_path / "file.yaml"
    path.write_text(text)
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}") and said in error and error.count("\n") == 1


def test_values_of_the_wrong_type_are_findings_not_tracebacks(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    for text in (
        "provider: {type: aws}\navailable_node_types: 5\nhead_start_ray_commands: [1]\nfile_mounts: x\n",
        "provider: {type: gcp}\navailable_node_types: {a: {node_config: {serviceAccounts: x}}}\n",
        'provider: {type: local}\nhead_start_ray_commands: ["ray start \'x"]\n',
        "kind: RayCluster\nspec: {headGroupSpec: {template: {spec: {containers: [1]}}}}\n",
        "kind: RayCluster\nspec: 3\n",
    ):
        path.write_text(text)
        assert lint(path)


def test_the_command_says_all_and_exits_with_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / "cluster.yaml"
    good.write_text(AWS.read_text().replace("REPLACE", "0123456789abcdef0"))
    assert main([str(good)]) == 0
    assert capsys.readouterr().out == f"{good}: no findings\n"
    assert main([str(good), str(BAD[0])]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"{BAD[0]}: {expected(BAD[0]).total()} findings"
    assert main([str(BAD[0]), str(tmp_path / "none.yaml")]) == 2
    assert (
        capsys.readouterr().err
        == f"error: {tmp_path / 'none.yaml'}: cannot be read: No such file or directory\n"
    )


def test_ray_says_nothing_beside_the_findings() -> None:
    command = [sys.executable, "-m", "deploy.lint", "cluster.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert all(line.startswith("cluster.yaml:") for line in done.stdout.splitlines())
