"""A cluster as its users have it: `ray up` from a laptop, a head with its services, two workers; each its own host."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.integration.hosts import HOME, SHARED, Done, Host, Mount, hosts
from tests.integration.postgres import PostgresOnHost
from tests.integration.running import ROOT, until

WORKERS = ("worker1", "worker2")
ADDRESS = "http://127.0.0.1:8265"  # of the dashboard, on the head and through the tunnel on the laptop
_ENVIRONMENT = Path(sys.prefix).resolve()
_CHECKOUT = HOME / "schedule-search"  # on the cluster
_RUNS = "runs"  # in the shared folder


@dataclass
class Cluster:
    """A cluster that is up, with a tunnel from the laptop to its dashboard. file: its description, on the laptop."""

    hosts: dict[str, Host]
    database: PostgresOnHost
    file: Path

    @property
    def laptop(self) -> Host:
        return self.hosts["laptop"]

    @property
    def head(self) -> Host:
        return self.hosts["head"]

    @property
    def shared(self) -> Path:
        """The shared folder, as this machine has it."""
        return next(mount.path for mount in self.head.mounts if mount.place == SHARED)

    def num_nodes(self) -> int:
        """Machines that run Ray, as the head counts them."""
        status = self.head.run(
            f"{_CHECKOUT}/.venv/bin/ray status", environment={"RAY_AUTH_MODE": "token"}, check=False
        ).stdout
        active = re.search(r"^Active:\n((?: \d+ .*\n)*)", status, re.M)
        return sum(int(row.split()[0]) for row in active[1].splitlines()) if active else 0

    def search(self, arguments: str, **options: Any) -> Done:
        """`python -m search ARGUMENTS --address ...` on the laptop, in the checkout."""
        line = f"cd {ROOT} && {_ENVIRONMENT}/bin/python -m search {arguments} --address {ADDRESS}"
        return self.laptop.run(line, **options)

    def submit(self, name: str, text: str) -> None:
        """Start the search. text: of its file, but for its name."""
        (self.laptop.folder / "home" / f"{name}.yaml").write_text(f"name: {name}\n{text}")
        self.search(f"submit {HOME}/{name}.yaml", timeout=180)  # the head looks at the storage first

    def wait(self, name: str, seconds: float) -> str:
        """Until the latest driver of the search has ended; what it has printed."""
        return self.search(f"logs {name} -f", timeout=seconds).stdout

    def log(self, name: str) -> str:
        """What the drivers of the search, and the libraries in them, have logged."""
        file = self.shared / _RUNS / name / "search.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def acknowledged(self, name: str) -> set[tuple[int, float]]:
        """(trial, objective) that the driver has heard from its database to be kept."""
        found = re.findall(r": trial (\d+) \w+ \w+ ([\d.e+-]+);", self.log(name))
        return {(int(number), float(value)) for number, value in found}

    def jobs(self) -> str:
        """All that the cluster tells of its jobs."""
        line = f"{_ENVIRONMENT}/bin/ray job list --address {ADDRESS}"
        return self.laptop.run(line, environment={"RAY_AUTH_MODE": "token"}).stdout

    def stores(self, name: str) -> Any:
        """What the study and MLflow hold of the search, see stores.py."""
        line = f"cd {_CHECKOUT} && PYTHONPATH=. .venv/bin/python {SHARED}/stores.py {name}"
        return json.loads(self.head.run(line, timeout=120).stdout)


@contextmanager
def cluster_on_hosts() -> Iterator[Cluster]:
    """deploy/local.yaml, with our addresses and storage, brought up by `ray up` from a laptop with this checkout.

    One line of the file is left out: pip, which would install the packages on each machine. The environment that runs
    the tests stands there already, read-only.
    """
    installed = [Mount(_ENVIRONMENT, _CHECKOUT / ".venv")]
    given = {"head": installed, **dict.fromkeys(WORKERS, installed), "laptop": [Mount(ROOT, ROOT)]}
    with hosts(("head", *WORKERS, "laptop"), "laptop", given) as made:
        cluster = Cluster(made, PostgresOnHost(made["head"]), HOME / "cluster.yaml")
        (cluster.shared / "stores.py").write_text(Path(__file__).with_name("stores.py").read_text())
        cluster.head.run(
            f"umask 077; mkdir .schedule-search; echo '{cluster.database.url}' > .schedule-search/database-url"
        )
        (cluster.laptop.folder / "home" / cluster.file.name).write_text(_description(made))
        _up(cluster)
        yield cluster


def _up(cluster: Cluster) -> None:
    laptop, programs = cluster.laptop, _ENVIRONMENT / "bin"
    token_mode = {"RAY_AUTH_MODE": "token"}
    laptop.run(f"umask 077; {programs}/ray get-auth-token --generate", environment=token_mode)
    laptop.run(f"cd {ROOT} && {programs}/python -m deploy.lint {cluster.file}")
    up = laptop.run(f"cd {ROOT} && {programs}/ray up --yes {cluster.file}", check=False, timeout=400)
    assert up.returncode == 0, up.stdout[-3000:] + up.stderr[-3000:]
    (cluster.shared.parent / "up.log").write_text(up.stdout)
    tunnel = cluster.shared.parent / "tunnel.log"
    laptop.start(f"exec {programs}/ray dashboard {cluster.file}", tunnel)
    until(lambda: cluster.num_nodes() == 1 + len(WORKERS), 240, "the workers are up", pause=2)
    knock = ["bash", "-c", f"</dev/tcp/{ADDRESS.removeprefix('http://').replace(':', '/')}"]
    until(
        lambda: laptop.run(knock[-1], check=False).returncode == 0,
        60,
        "the tunnel is open",
        told=tunnel.read_text,
    )


def _description(made: dict[str, Host]) -> str:
    text = (ROOT / "deploy" / "local.yaml").read_text()
    text = text.replace("192.0.2.10", made["head"].address)
    for index, name in enumerate(WORKERS):
        text = text.replace(f"192.0.2.{11 + index}", made[name].address)
    text = text.replace("search serve --detach", f"search serve --detach --storage {SHARED}/{_RUNS}")
    description = yaml.safe_load(text)
    install = [line for line in description["setup_commands"] if "pip install" in line]
    assert len(install) == 1
    description["setup_commands"].remove(install[0])
    return yaml.safe_dump(description, sort_keys=False)
