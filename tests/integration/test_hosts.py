"""A cluster on separate hosts, and what is lost when parts of it fail: nothing."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.integration.cluster_on_hosts import Cluster, cluster_on_hosts
from tests.integration.hosts import HOME
from tests.integration.running import ROOT, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SECONDS = 400  # that a search may take on a busy machine
LONG = 32000  # steps of a trial in a search that outlasts the outage

# (steps, schedule, seed, step) -> objective, of every search here: a trial that was moved or taken up again trains as
# if nothing had happened.
known: dict[tuple[int, str, int, int], float] = {}


def search(steps: int = 2000) -> str:
    """A search file, but for its name. Trials of 2000 steps take five seconds on a core of their own."""
    return f"""
data: digits
network: {{name: film_mlp, width: 32, depth: 1}}
training: {{total_steps: {steps}, batch_size: 64}}
objective: {{num_samples: 200}}
space: {{noise: {{lognormal: , logsnr_laplace: }}, curriculum: {{constant: {{levels: {{low: 5, high: 40}}}}}}}}
presets: [ict_short]
noise_floor: {{seeds: 0}}
budget: {{max_trials: 6}}
confirm: {{top: 1, rounds: [2]}}
resources: {{max_concurrent: 3}}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_on_hosts() as found:
        yield found


def code_in_readme(name: str) -> str:
    """The file of "Add your own" that is called so."""
    (found,) = re.findall(rf"```python\n# \S+/{name}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return str(found)


def wait_until_mid_search(cluster: Cluster, name: str, values: int = 1) -> None:
    """Until trials have reached rungs and others are still to come."""
    until(
        lambda: len(cluster.acknowledged(name)) >= values,
        180,
        f"{name} trains",
        told=lambda: cluster.search(f"logs {name}", check=False).stdout + cluster.log(name)[-3000:],
    )


def check_whole(cluster: Cluster, name: str, steps: int = 2000) -> None:
    """The search has finished; no trial is lost, doubled or open, and both stores hold every value of every rung."""
    said = cluster.log(name)[-3000:]
    rungs = [steps // 2, steps * 3 // 4, steps]
    stores = cluster.stores(name)
    trials = stores["trials"]
    stages = Counter(trial["stage"] for trial in trials)
    confirmed = Counter(trial["schedule"] for trial in trials if trial["stage"] == "confirm")
    assert (stages["baseline"], stages["search"]) == (1, 5), said
    # Two fresh seeds for the leader and for the baseline, which may lead itself.
    assert set(confirmed.values()) == {2} and len(confirmed) <= 2, said
    assert {trial["schedule"] for trial in trials if trial["stage"] == "baseline"} <= set(confirmed), said
    assert [trial["number"] for trial in trials] == list(range(len(trials)))
    assert len({(trial["schedule"], trial["seed"]) for trial in trials}) == len(trials)
    for trial in trials:
        assert trial["state"] in ("complete", "stopped"), trial
        reached = [step for step, _ in trial["values"]]
        assert reached and reached == (rungs if trial["state"] == "complete" else rungs[: len(reached)])
        for step, value in trial["values"]:
            assert known.setdefault((steps, trial["schedule"], trial["seed"], step), value) == value
    kept = {(trial["number"], value) for trial in trials for _, value in trial["values"]}
    assert cluster.acknowledged(name) <= kept
    assert [(run["number"], run["values"]) for run in stores["runs"]] == [
        (trial["number"], trial["values"]) for trial in trials
    ]
    assert "RUNNING" not in {run["status"] for run in stores["runs"]}
    assert stores["parents"] == ["FINISHED"]


def test_only_the_token_opens_the_cluster(cluster: Cluster) -> None:
    for environment, answer in (
        ({"RAY_AUTH_TOKEN_PATH": "/dev/null"}, "wants its token (401)"),
        ({"RAY_AUTH_TOKEN": "f" * 64}, "(403)"),
    ):
        refused = cluster.search("status", environment=environment, check=False)
        assert refused.returncode == 1 and answer in refused.stderr, refused.stderr
    # The dashboard and MLflow are on the head's loopback only.
    for port in (8265, 5000):
        knock = f"</dev/tcp/{cluster.head.address}/{port}"
        assert cluster.laptop.run(knock, check=False).returncode != 0
        assert cluster.head.run(f"</dev/tcp/127.0.0.1/{port}").returncode == 0


def test_a_raylet_and_then_a_machine_are_lost(cluster: Cluster) -> None:
    cluster.submit("machines", search())
    wait_until_mid_search(cluster, "machines")
    assert cluster.hosts["worker1"].kill("/raylet/raylet ") == 1
    wait_until_mid_search(cluster, "machines", values=4)
    cluster.hosts["worker2"].cut_power()
    printed = cluster.wait("machines", SECONDS)
    check_whole(cluster, "machines")
    assert "(raylet)" not in printed and "RAY_" not in printed  # what Ray has to say is in the log
    cluster.hosts["worker2"].boot()


def test_the_databases_and_then_mlflow_are_lost(cluster: Cluster) -> None:
    cluster.submit("stores", search(steps=LONG))  # longer than the outage
    wait_until_mid_search(cluster, "stores")
    cluster.database.kill()
    until(lambda: "does not answer" in cluster.log("stores"), 120, "the driver misses its database")
    cluster.database.start()
    over = time.monotonic() + 60
    while time.monotonic() < over:
        cluster.head.kill("mlflow")  # its supervisor tries again and again
        time.sleep(0.5)
    cluster.wait("stores", SECONDS)
    check_whole(cluster, "stores", steps=LONG)
    assert "answers again" in cluster.log("stores")


OWN_NETWORK = """
import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(65, width), nn.SiLU(), nn.Linear(width, 64))

    def forward(self, x, c_noise):
        return self.layers(torch.cat([x.flatten(1), c_noise[:, None]], dim=1)).reshape(x.shape)
"""


def test_the_driver_is_lost_and_the_winner_exported(cluster: Cluster) -> None:
    """Of a search with a law and a network of the user's own, which are on the laptop alone."""
    home, steps = cluster.laptop.folder / "home", 1600
    (home / "mine" / "noise").mkdir(parents=True)
    (home / "mine" / "noise" / "weibull.py").write_text(code_in_readme("weibull.py"))
    (home / "my_net.py").write_text(OWN_NETWORK)
    text = search(steps).replace(
        "{name: film_mlp, width: 32, depth: 1}", "{file: my_net.py, class: Tiny, options: {width: 32}}"
    )
    text = (
        text.replace("noise: {lognormal: , logsnr_laplace: }", "noise: {weibull: }") + "plugins: [./mine]\n"
    )
    cluster.submit("driver", text)
    for gone in ("mine/noise/weibull.py", "my_net.py"):
        (home / gone).unlink()
    wait_until_mid_search(cluster, "driver", values=3)
    assert cluster.head.kill(" -m search run ") >= 1
    cluster.wait("driver", 60)
    cluster.search("resume driver")
    cluster.wait("driver", SECONDS)
    check_whole(cluster, "driver", steps)
    laws = {json.loads(trial["schedule"])["noise"]["name"] for trial in cluster.stores("driver")["trials"]}
    assert laws == {"lognormal", "weibull"}  # of the preset, of what was proposed
    (home / "mine" / "noise" / "weibull.py").write_text(code_in_readme("weibull.py"))
    cluster.search(f"export driver --plugin {HOME}/mine --output {HOME}/best.json", timeout=120)
    best = json.loads((home / "best.json").read_text())
    assert best["confirmed"] is True
    assert best["searched_at"]["network"] | {"sha256": ""} == {
        **{"name": "own", "file": "my_net.py", "class": "Tiny", "options": {"width": 32}, "takes": "c_noise"},
        "sha256": "",
    }
    assert best["provenance"]["plugins"].keys() == {"mine"}


def test_after_all_this_the_cluster_is_well(cluster: Cluster) -> None:
    until(lambda: cluster.num_nodes() == 3, 180, "the machines that were lost are back", pause=2)
    told = cluster.search("doctor --cluster", check=False, timeout=120)
    assert told.returncode == 0, told.stdout + told.stderr


def test_no_secret_is_shown(cluster: Cluster) -> None:
    service = json.loads((cluster.head.folder / "home/.schedule-search/service.json").read_text())
    secrets = {
        "token": (cluster.laptop.folder / "home/.ray/auth_token").read_text().strip(),
        "database": cluster.database.password,
        "MLflow": service["mlflow_password"],
    }
    shown = {"list of jobs": cluster.jobs().encode()}
    folders = [cluster.shared, *(host.folder / "tmp" for host in cluster.hosts.values())]
    for path in (path for folder in folders for path in folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            shown[str(path)] = path.read_bytes()
    for host in cluster.hosts.values():
        shown |= {f"process {pid} of {host.name}": command for pid, command in host.commands().items()}
    assert len(shown) > 100
    for host in cluster.hosts.values():
        assert (host.folder / "home/.ray/auth_token").stat().st_mode & 0o777 == 0o600, host.name
    for what, secret in secrets.items():
        assert [place for place, content in shown.items() if secret.encode() in content] == [], what
