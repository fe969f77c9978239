"""The rules for cluster files: four seeded files give every finding, small changes of good ones give theirs."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from deploy.lint import lint, main
from deploy.rules import kubernetes, launcher

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


AWS, GCP, LOCAL, KUBERAY = (
    ROOT / file for file in ("cluster.yaml", "deploy/gcp.yaml", "deploy/local.yaml", "deploy/kuberay.yaml")
)
START = "~/schedule-search/.venv/bin/ray start --head"
CHANGES = [
    # Values that the shell would not give to Ray.
    (AWS, "export RAY_AUTH_MODE=token", "export RAY_AUTH=token", "token", "but sees none"),
    (AWS, "RAY_AUTH_MODE=token RAY", "RAY_AUTH_MODE=disabled RAY", "token", "but sees disabled"),
    (AWS, "--dashboard-host=127.0.0.1", "--dashboard-host=::", "dashboard", "but is ::"),
    (AWS, "--dashboard-host=127.0.0.1", "--dashboard-host='0.0.0.0'", "dashboard", "but is 0.0.0.0"),
    (AWS, "--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "dashboard", "but is 0.0.0.0"),
    (AWS, "bin/ray start --head", "start-head", "ray-start", "a line with `ray start`"),
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
        "only the pods",
    ),
    (KUBERAY, "drop: [ALL]", "drop: [NET_RAW]", "least-privilege", "give up all privileges"),
    (KUBERAY, "idleTimeoutSeconds: 600", "idleTimeoutSeconds: 0", "idle", "but is 0"),
    (KUBERAY, "schedule-search:0.2.0", "schedule-search", "image", "one version"),
    # Starts of Ray that a reader overlooks.
    *(
        (AWS, old, new, "ray-start", "the form of the line in cluster.yaml")
        for old, new in (
            ("export RAY_AUTH_MODE", "test -s ~/.ray/auth_token && export RAY_AUTH_MODE"),
            ("export RAY_AUTH_MODE=token", "(export RAY_AUTH_MODE=token); export"),
            ("export RAY_AUTH_MODE=token", "RAY_AUTH_MODE=token"),
            (START, f"export -n RAY_AUTH_MODE; {START}"),
            ("ENABLED=0;", "ENABLED=0 | true;"),
            ("ENABLED=0;", "ENABLED=0 &"),
            (START, f"{START} || RAY_AUTH_MODE=disabled ray start --head;"),
            (START, f"{START} || ray start --dashboard-host=0.0.0.0;"),
            ("  - >-\n    ulimit", "  - sudo ray start\n  - >-\n    ulimit"),
            ("  - >-\n    ulimit", "  - bash -c 'ray start'\n  - >-\n    ulimit"),
        )
    ),
    (AWS, START, f"{START} --ray-debugger-external", "dashboard", "--ray-debugger-external must be absent"),
    (
        AWS,
        "worker_setup_commands: []",
        "worker_setup_commands: [ray start]",
        "ray-start",
        "must not start Ray",
    ),
    (
        AWS,
        "min_workers: 0",
        "min_workers: 0\n    worker_setup_commands: [ray start]",
        "ray-start",
        "must not start",
    ),
    (
        AWS,
        "ssh_user",
        "x: {docker: {run_options: [-e RAY_AUTH_MODE=disabled]}}\n  ssh_user",
        "token",
        "must not change",
    ),
    (AWS, "provider:", "docker: {run_options: [--privileged]}\nprovider:", "docker", "but is --privileged"),
    (AWS, "provider:", "docker: {head_run_options: [-e A=b]}\nprovider:", "docker", "but is -e A=b"),
    (AWS, "provider:", "docker: {run_options: [--gpus=all --net=host]}\nprovider:", "docker", "--net=host"),
    # Networks.
    *(
        (AWS, "region: us-west-2", f"region: us-west-2\n  x: '{network}'", "world-open", network)
        for network in (
            "0::/0",
            "::0/0",
            "0:0:0:0:0:0:0:0/0",
            "0000::/0",
            "::/1",
            "2000::/3",
            "128.0.0.0/1",
            "0/0",
        )
    ),
    (GCP, "      networkInterfaces:", "      interfaces:", "network", "a network of the cluster's own"),
    (GCP, "subnetworks/schedule-search", "subnetworks/default", "network", "a network of the cluster's own"),
    # Rights.
    (
        AWS,
        "{Name: schedule-search-worker}",
        "{Name: schedule-search-head}",
        "instance-profile",
        "be the head's",
    ),
    (AWS, "HopLimit: 1", "HopLimit: 64", "imds", "HttpPutResponseHopLimit must be 1, but is 64"),
    (AWS, ", HttpPutResponseHopLimit: 1", "", "imds", "HttpPutResponseHopLimit must be 1, but is missing"),
    (
        GCP,
        "schedule-search-worker@REPLACE-project.iam",
        "7-compute@developer",
        "service-account",
        "default account",
    ),
    (
        GCP,
        "email: schedule-search-worker@",
        "email: schedule-search-head@",
        "service-account",
        "must not be the head's",
    ),
    (KUBERAY, "kind: NetworkPolicy", "kind: Ingress", "kinds", "but is Ingress"),
    (KUBERAY, "---", "---\nkind: Service\nspec: {externalIPs: [10.0.0.1]}\n---", "world-open", "10.0.0.1"),
    (KUBERAY, "---", "---\nkind: Route\n---", "kinds", "but is Route"),
    (KUBERAY, "---", "---\nkind: ClusterRoleBinding\n---", "kinds", "but is ClusterRoleBinding"),
    (
        KUBERAY,
        "---",
        "---\nkind: NetworkPolicy\nspec: {podSelector: {}, ingress: [{}]}\n---",
        "network-policy",
        "spec.ingress[0]: must let in only",
    ),
    (
        KUBERAY,
        "  name: schedule-search\nspec:  # only",
        "  name: schedule-search\n  namespace: other\nspec:  # only",
        "network-policy",
        "in its namespace",
    ),
    (KUBERAY, "drop: [ALL]", "drop: [ALL], add: [SYS_ADMIN]", "least-privilege", "give up all privileges"),
    (
        KUBERAY,
        "Escalation: false",
        "Escalation: false\n              runAsUser: 0",
        "least-privilege",
        "privileges",
    ),
    (
        KUBERAY,
        "Escalation: false",
        "Escalation: false\n              runAsNonRoot: false",
        "least-privilege",
        "priv",
    ),
    (KUBERAY, "runAsUser: 1000", "runAsUser: 0", "least-privilege", "runAsNonRoot must be true"),
    (
        KUBERAY,
        "        containers:",
        "        hostPID: true\n        containers:",
        "least-privilege",
        "hostPID",
    ),
    (
        KUBERAY,
        "        containers:",
        "        volumes: [{name: a, hostPath: {path: /}}]\n        containers:",
        "least-privilege",
        "a folder of the machine",
    ),
    (
        KUBERAY,
        "        containers:",
        "        initContainers: [{name: a, securityContext: {privileged: true}}]\n        containers:",
        "least-privilege",
        "initContainers[0].securityContext: must give up all",
    ),
    (
        KUBERAY,
        "          - name: ray-head",
        "          - name: ray-head\n            args: [x]",
        "command",
        "args",
    ),
    (
        KUBERAY,
        "spec:\n  rayVersion",
        "  annotations: {ray.io/overwrite-container-cmd: 'true'}\nspec:\n  rayVersion",
        "command",
        "cannot be checked",
    ),
    (KUBERAY, "autoscalerOptions:", "autoscallerOptions:", "fields", "(did you mean autoscalerOptions?)"),
    (KUBERAY, "automountServiceAccountToken:", "automountToken:", "fields", "automountToken: is no field"),
    # The token's file.
    *(
        (AWS, "- chmod 600 ~/.ray/auth_token", f"- {line}", "token-file", said)
        for line, said in (
            ("chmod 600 ~/.ray/auth_token_old", "by its user only"),
            ("'true # chmod 600 ~/.ray/auth_token'", "by its user only"),
            ("false && chmod 600 ~/.ray/auth_token", "by its user only"),
            ("chmod 600 ~/.ray/auth_token; chmod 644 ~/.ray/auth_token", "leave the folder of"),
            ("chmod 600 ~/.ray/auth_token; chmod -R a+r ~/.ray", "leave the folder of"),
        )
    ),
    (
        AWS,
        "min_workers: 0",
        "min_workers: 0\n    worker_setup_commands: [date]",
        "token-file",
        "gpu.worker_setup_commands: must make",
    ),
]
SECRETS = [
    "export PGPASSWORD=hunter2",
    "export MYSQL_PWD=hunter2",
    "mysql --password=hunter2",
    "wandb login --token hunter2",
    "curl -H 'Authorization: Bearer hunter2hunter2' https://x",
    "curl -s -u me:hunter2 https://x",
    "export K=sk-hunter2hunter2hunter2",
    f"export K=AIza{'hunter2' * 5}",
    "export K=glpat-hunter2hunter2hunter2",
    "curl https://hooks.slack.com/services/T0/B0/hunter2",
    "export PRIVATE_KEY=hunter2",
    "export SSH_PASSPHRASE=hunter2",
    "export SECRET_KEY_BASE=hunter2",
    "psql 'postgresql://h/d?user=u&password=hunter2'",
    "psql postgresql://me:hun/ter2@h/d",
    "export AWS_SECRET_ACCESS_KEY=/JalrXUtnFEMI7K7MDENGbPxRfiCYEXAMhunter2",
    "echo hunter2 > ~/.ray/auth_token",
]


@pytest.mark.parametrize("line", SECRETS)
def test_a_secret_is_found_in_a_command_a_comment_and_a_key(line: str, tmp_path: Path) -> None:
    quoted = line.replace("'", "''")
    changed = tmp_path / "cluster.yaml"
    for text in (f"worker_setup_commands: ['{quoted}']", f"worker_setup_commands: []  # {line}"):
        changed.write_text(AWS.read_text().replace("worker_setup_commands: []", text))
        (found,) = (finding for finding in lint(changed) if finding.rule == "secret")
        assert "hunter2" not in str(found)
        assert text.split("\n")[0] == changed.read_text().splitlines()[found.line - 1]
    changed.write_text(f"{AWS.read_text()}\nmetadata: {{'{quoted}': 1}}\n")
    assert [finding.rule for finding in lint(changed) if finding.rule == "secret"] == ["secret"]


def test_a_line_that_was_commented_out_keeps_its_secret(tmp_path: Path) -> None:
    changed = tmp_path / "cluster.yaml"
    changed.write_text(f"#   redis_password: hunter2\n{AWS.read_text()}")
    assert [finding.line for finding in lint(changed) if finding.rule == "secret"] == [1]


@pytest.mark.parametrize(
    ("source", "is_private"),
    [
        *(
            (source, True)
            for source in ("~/.aws", "~/.ssh/id_ed25519", "~/.config/gcloud", "key.pem", ".git")
        ),
        *((source, True) for source in ("~", ".", "./", "..", "/home/me")),
        *((source, False) for source in ("searches", "~/data", "~/.ray/auth_token")),
    ],
)
def test_folders_that_hold_your_keys_are_not_copied(source: str, is_private: bool, tmp_path: Path) -> None:
    changed = tmp_path / "cluster.yaml"
    changed.write_text(AWS.read_text().replace("search/searches", "x").replace(": searches", f": '{source}'"))
    found = [finding.message for finding in lint(changed) if finding.rule == "secret"]
    assert any(f"must not copy {source} to" in message for message in found) is is_private


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
    lines = (
        "export RAY_AUTH_TOKEN_PATH=~/t API_KEY=$KEY MLFLOW_PASSWORD=/run/password; curl -u me:$PW http://h:80/@x; "
        "curl -H 'Authorization: Bearer '$T; psql postgresql://USER:PASSWORD@HOST/d; ulimit -n 65536;"
    )
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
