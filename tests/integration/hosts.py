"""Machines of our own on one machine: Linux namespaces with an sshd each, on a network that nobody else sees.

Each has its own network, processes, host name, home, /tmp, /dev/shm and /run, one CPU as Ray counts them, and sees of
this machine only its programs (/usr, the Python that runs the tests) and the folders that it is given. The cable is
a bridge in a network namespace that belongs to it: nothing of it is in the network of this machine, so any number of
them may be up at a time. All of it ends with the process that made it, killed or not. Needs root.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.running import until

USER = "ubuntu"  # has an account on each host
HOME = Path("/home", USER)
KEY = HOME / ".ssh" / "schedule-search"
SHARED = Path("/mnt/search")  # the same folder on all hosts, as a network file system is
CPUS = 1  # of each host, as Ray counts them

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TOOLS = ("sshd", "ssh", "ssh-keygen", "rsync", "ip", "unshare", "nsenter", "setpriv")
_NETWORK = "10.77.0"
_UID = 1000
# What programs want of /etc; the rest is made, or stays away because it is this machine's own business.
_ETC = (
    "alternatives",
    "bash.bashrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "nsswitch.conf",
)
_ETC += ("os-release", "passwd", "group", "profile", "protocols", "services")

# Becomes the first process of a host: builds its root folder, then is its sshd. Arguments: name, address, CPUs, the
# folder to build in, sshd, then triples of rw or ro, a folder of this machine, its place there.
_BOOT = """
set -eu
read -r _  # until the network cable is in
name=$1 address=$2 cpus=$3 sshd=$5
mount -t tmpfs -o mode=755 tmpfs "$4"
cd "$4"
shift 5
mkdir -p proc sys dev run/sshd var/log var/tmp
touch var/log/lastlog
chmod 1777 var/tmp
for link in /bin /sbin /lib*; do
    [ ! -L "$link" ] || cp -a "$link" .
done
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
echo "$((cpus * 100000)) 100000" >sys/fs/cgroup/cpu.max
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs dev/shm
while [ $# -gt 0 ]; do
    mkdir -p ".$3"
    mount --bind "$2" ".$3"
    [ "$1" = rw ] || mount -o remount,bind,ro ".$3"
    shift 3
done
hostname "$name"
exec chroot . "$sshd" -D -e -f /dev/null -o ListenAddress="$address" -o HostKey=/etc/ssh/host_key -o PidFile=none \
    -o AuthorizedKeysFile=/etc/ssh/authorized -o UsePAM=no -o StrictModes=no -o PasswordAuthentication=no \
    -o MaxStartups=100
"""


Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Mount:
    """A folder of this machine and its place in a host."""

    path: Path
    place: Path
    writable: bool = False


@dataclass
class Host:
    """One machine. `run` and `start` are its console: they need no network."""

    name: str
    address: str
    folder: Path  # its disk, and what its console says
    switch: int  # process that holds the bridge's network
    mounts: Sequence[Mount]
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _first: int = field(default=0, init=False)  # its first process, as this machine counts
    _started: "list[subprocess.Popen[bytes]]" = field(default_factory=list, init=False)

    def boot(self) -> None:
        """Switch it on; its disk is as it was. Returns when sshd answers."""
        assert self._process is None, f"{self.name} is up"
        root = self.folder / "root"
        root.mkdir(exist_ok=True)
        words = [self.name, self.address, str(CPUS), str(root), _tool("sshd")]
        for mount in self.mounts:
            words += ["rw" if mount.writable else "ro", str(mount.path), str(mount.place)]
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--uts", "--ipc"]
        command += ["--fork", "--kill-child", "--mount-proc", "bash", "-c", _BOOT, "boot", *words]
        with (self.folder / "console").open("ab") as console:
            self._process = subprocess.Popen(
                command, env={"PATH": _PATH}, stdin=subprocess.PIPE, stdout=console, stderr=console
            )
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        until(lambda: children.read_text().strip() != "", 20, f"{self.name} starts")
        self._first = int(children.read_text())
        self._plug_in()
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.close()
        until(self._sshd_answers, 20, f"sshd of {self.name} answers")

    @property
    def _in_switch(self) -> list[str]:
        return ["nsenter", f"--target={self.switch}", "--net", "ip", "link"]

    @property
    def _number(self) -> int:
        return int(self.address.rpartition(".")[2])

    @property
    def _port(self) -> str:
        return f"port{self._number}"

    def _plug_in(self) -> None:
        _do(*self._in_switch, "add", self._port, "type", "veth", "peer", "eth0", "netns", str(self._first))
        _do(*self._in_switch, "set", self._port, "master", "bridge", "up")
        inside = ["nsenter", f"--target={self._first}", "--net", "ip"]
        # A machine that comes back has the network card that it had.
        _do(*inside, "link", "set", "eth0", "address", f"02:00:00:00:00:{self._number:02x}")
        _do(*inside, "addr", "add", f"{self.address}/24", "dev", "eth0")
        _do(*inside, "link", "set", "eth0", "up")
        _do(*inside, "link", "set", "lo", "up")

    def _sshd_answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "console").read_text()
        knock = ["nsenter", f"--target={self._first}", "--net", "bash", "-c", f"</dev/tcp/{self.address}/22"]
        return subprocess.run(knock, capture_output=True).returncode == 0

    def cut_power(self) -> None:
        """End every process of it at once, and its network; nobody is told. Nothing, if it is off."""
        if self._process is None:
            return
        # The cable first, with both its ends: processes that are killed would still say goodbye.
        subprocess.run([*self._in_switch, "del", self._port], capture_output=True)
        self._process.kill()  # with it goes its child, the first process there, and with that all others
        for process in (self._process, *self._started):
            process.wait()
        self._started.clear()
        until(lambda: not Path(f"/proc/{self._first}").exists(), 20, f"{self.name} ends")
        self._process = None

    def commands(self) -> dict[int, bytes]:
        """Its processes, as this machine counts them, and their command lines, a space between words."""
        namespace = os.readlink(f"/proc/{self._first}/ns/pid")
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended
                if os.readlink(folder / "ns" / "pid") == namespace:
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
        return found

    def kill(self, words: str) -> int:
        """SIGKILL to its processes whose command line holds `words`; how many there were."""
        found = [process for process, command in self.commands().items() if words.encode() in command]
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return len(found)

    def command(self, line: str, user: str = USER, environment: Mapping[str, str] | None = None) -> list[str]:
        """The command of this machine that runs a line of bash there."""
        settings = {"HOME": str(HOME), "PATH": _PATH, "LANG": "C.UTF-8", "USER": user, **(environment or {})}
        inside = [
            "nsenter",
            f"--target={self._first}",
            "--net",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--root",
        ]
        inside += ["--wd", "setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "env"]
        inside += ["--ignore-environment", *(f"{name}={value}" for name, value in settings.items())]
        return [*inside, "bash", "-c", f"cd; {line}"]

    def run(self, line: str, *, check: bool = True, timeout: float = 300, **options: Any) -> Done:
        """A line of bash there, run to its end. check: that it ends well. timeout: seconds. options: of `command`."""
        done = subprocess.run(
            self.command(line, **options),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"{self.name}: {line}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, line: str, output: Path, **options: Any) -> "subprocess.Popen[bytes]":
        """A line of bash there that goes on; `output` gets what it says. It ends with the host at the latest."""
        with output.open("ab") as file:
            process = subprocess.Popen(
                self.command(line, **options), stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        self._started.append(process)
        return process


@contextmanager
def hosts(
    names: Sequence[str], client: str, given: Mapping[str, Sequence[Mount]]
) -> Iterator[dict[str, Host]]:
    """Machines called `names`, all up.

    client: the one that has the KEY for the ssh of all of them. given: what of this machine a host sees besides.
    """
    _check_tools()
    folder = Path(tempfile.mkdtemp(prefix="hosts-"))
    folder.chmod(0o755)  # others than root work there
    switch = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"], env={"PATH": _PATH}
    )
    made: dict[str, Host] = {}
    try:
        _make_bridge(switch.pid)
        addresses = {name: f"{_NETWORK}.{11 + index}" for index, name in enumerate(names)}
        _make_etc(folder / "etc", addresses)
        _folder(folder / "shared", _UID)
        python = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve()}
        for name in names:
            disk = folder / name
            for place in (KEY, *(mount.place for mount in given.get(name, ()))):
                for parent in place.parents:
                    if parent.is_relative_to(HOME):
                        _folder(disk / "home" / parent.relative_to(HOME), _UID)
            _folder(disk / "var")
            _folder(disk / "tmp").chmod(0o1777)
            (disk / "home" / ".bashrc").touch()
            mounts = [
                Mount(Path("/usr"), Path("/usr")),
                Mount(folder / "etc", Path("/etc")),
                Mount(disk / "home", HOME, writable=True),
                Mount(disk / "tmp", Path("/tmp"), writable=True),
                Mount(disk / "var", Path("/var/lib"), writable=True),
                Mount(folder / "shared", SHARED, writable=True),
                *(Mount(path, path) for path in sorted(python) if not path.is_relative_to("/usr")),
                *given.get(name, ()),
            ]
            made[name] = Host(name, addresses[name], disk, switch.pid, mounts)
            made[name].boot()
        key = folder / client / "home" / KEY.relative_to(HOME)
        shutil.copy(folder / "id", key)
        os.chown(key, _UID, _UID)
        yield made
    finally:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Host.cut_power, made.values()))
        switch.kill()
        switch.wait()
        shutil.rmtree(folder)


def _check_tools() -> None:
    missing = [name for name in _TOOLS if shutil.which(name, path=_PATH) is None]
    assert not missing, f"separate hosts need {', '.join(missing)}: run `make host-tools` as root on Debian"
    assert os.geteuid() == 0, "separate hosts are made of Linux namespaces: run these tests as root"


def _tool(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    assert found is not None
    return found


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def _make_bridge(switch: int) -> None:
    ours = os.readlink("/proc/self/ns/net")
    until(lambda: os.readlink(f"/proc/{switch}/ns/net") != ours, 20, "the switch has a network of its own")
    in_switch = ["nsenter", f"--target={switch}", "--net", "ip", "link"]
    _do(*in_switch, "add", "bridge", "type", "bridge")
    _do(*in_switch, "set", "bridge", "up")


def _folder(path: Path, owner: int = 0) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, owner, owner)
    return path


def _make_etc(etc: Path, addresses: Mapping[str, str]) -> None:
    """What all hosts have in /etc, and beside it the private key that opens them."""
    (etc / "ssh").mkdir(parents=True)
    for name in _ETC:
        if Path("/etc", name).exists():
            _do("cp", "-a", f"/etc/{name}", str(etc))
    for file, entry in (
        ("passwd", f"{USER}:x:{_UID}:{_UID}::{HOME}:/bin/bash"),
        ("group", f"{USER}:x:{_UID}:"),
    ):
        lines = (etc / file).read_text().splitlines()
        others = [line for line in lines if line.split(":")[0] != USER and line.split(":")[2] != str(_UID)]
        (etc / file).write_text("\n".join([*others, entry]) + "\n")
    names = [line.split(":")[0] for line in (etc / "passwd").read_text().splitlines()]
    (etc / "shadow").write_text("".join(f"{name}:*:19000:0:99999:7:::\n" for name in names))
    (etc / "shadow").chmod(0o600)
    (etc / "hosts").write_text(
        "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items())
    )
    for path in (etc.with_name("id"), etc / "ssh" / "host_key"):
        _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path))
    shutil.copy(etc.with_name("id.pub"), etc / "ssh" / "authorized")
