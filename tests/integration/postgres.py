"""PostgreSQL servers of our own: on this machine, or on a host."""

import contextlib
import glob
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from tests.integration.hosts import Host
from tests.integration.running import free_ports, until

_DATA = "/var/lib/postgresql/data"
_SERVER = f"listen_addresses=127.0.0.1 -c unix_socket_directories=/tmp -D {_DATA}"


class Postgres:
    """A server on this machine. PostgreSQL refuses to run as root: then it runs as nobody."""

    def __init__(self) -> None:
        self._programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="search-postgres-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as = {"user": 65534, "group": 65534, "extra_groups": []}
            os.chown(self._folder, 65534, 65534)
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.password = f"pg-{secrets.token_hex(12)}"
        file = self._folder / "password"
        file.write_text(self.password)
        file.chmod(0o644)
        command = [str(self._programs / "initdb"), "--pgdata=data", "--username=search"]
        command += ["--auth=scram-sha-256", f"--pwfile={file}"]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True, timeout=300, **self._as)
        self.url = f"postgresql+psycopg://search:{self.password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Returns when it answers."""
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories="]
        command = [str(self._programs / "postgres"), "-D", "data", *(f"-c{each}" for each in settings)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log, **self._as)
        until(self._answers, 60, "PostgreSQL answers", told=(self._folder / "log").read_text)

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.Error):
            return self.query("select 1") == [(1,)]
        return False

    def query(self, sql: str) -> list[Any]:
        """Rows, over a connection that is closed when this returns."""
        url = self.url.replace("+psycopg", "")
        with contextlib.closing(psycopg.connect(url, connect_timeout=5)) as connection:
            return connection.execute(sql.encode()).fetchall()

    def kill(self) -> None:
        """As after a crash: no checkpoint, every connection cut."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def remove(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self._folder)


class PostgresOnHost:
    """A server that is up, with a role and a database called `search`. url: for SQLAlchemy, on the host itself."""

    def __init__(self, host: Host):
        self._host = host
        self._programs = _programs()
        self.password = secrets.token_hex(16)
        self.url = f"postgresql+psycopg://search:{self.password}@127.0.0.1/search"
        host.run("install -d -o postgres -g postgres /var/lib/postgresql", user="root")
        host.run(
            f"{self._programs}/initdb -D {_DATA} --auth-local=peer --auth-host=scram-sha-256 -E UTF8",
            user="postgres",
        )
        self.start()
        for statement in (
            f"create role search login password '{self.password}'",
            "create database search owner search",
        ):
            host.run(f'{self._psql} -c "{statement}"', user="postgres")

    @property
    def _psql(self) -> str:
        return f"{self._programs}/psql -q -h /tmp postgres"

    def start(self) -> None:
        """Returns when it answers."""
        self._process: subprocess.Popen[bytes] = self._host.start(
            f"exec {self._programs}/postgres -c {_SERVER}",
            self._host.folder / "postgres.log",
            user="postgres",
        )
        until(self._answers, 60, "PostgreSQL answers", told=(self._host.folder / "postgres.log").read_text)

    def _answers(self) -> bool:
        done = self._host.run(f"{self._psql} -c 'select 1'", user="postgres", check=False)
        return done.returncode == 0

    def kill(self) -> None:
        """SIGKILL to all of it."""
        for words in (_SERVER, "postgres: "):
            self._host.kill(words)
        self._process.wait()


def _programs() -> Path:
    """The folder of PostgreSQL's programs: Debian has it beside the path."""
    found = shutil.which("initdb") or max(glob.glob("/usr/lib/postgresql/*/bin/initdb"), default=None)
    assert found, "PostgreSQL is needed: run `make host-tools` as root on Debian"
    return Path(found).resolve().parent
