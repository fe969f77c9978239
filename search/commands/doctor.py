"""Checks whether this machine can run a search, and says what to do where it cannot.

examples:
  python -m search doctor                          versions, CPU, GPU, disk, limits, default storage
  python -m search doctor searches/digits.yaml     the databases and the slices of that search too
  python -m search doctor --ray                    also start a local Ray for a moment (10 s)

Each line is ok, warn or fail. Exit code 1 if any is fail.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search import preflight
from search.errors import InputError, OperationFailed, UsageError

if TYPE_CHECKING:
    from search.spec import SearchSpec

HELP = "is this machine ready? versions, CPU and GPU slices, Ray, databases, MLflow, disk"

GIB = 2**30
MIN_FREE_GIB, GOOD_FREE_GIB = 0.5, 5.0
MIN_FILES, GOOD_FILES = 1024, 4096  # open files: Ray uses some hundreds on a small machine
_SHARED_FILESYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "lustre", "gpfs", "beegfs", "ceph")


@dataclass(frozen=True)
class Check:
    """One finding. level: ok, warn or fail. remedy: what to do, empty when ok."""

    name: str
    level: str
    message: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="search file whose storage is checked too")
    parser.add_argument("--ray", action="store_true", help="start a local Ray and run one task in it")
    parser.add_argument("--cluster", action="store_true", help="look at a cluster instead, from here")
    parser.add_argument("--address", metavar="URL", help="of its dashboard (http://127.0.0.1:8265)")
    parser.add_argument(
        "--head",
        action="store_true",
        help="what --cluster asks of the head, as JSON; exit code 0. With FILE: what `submit` asks, whether all nodes "
        "can use its storage; exit code 2 if not",
    )


def run(args: argparse.Namespace) -> int:
    if args.head:
        from search.commands import _head_checks

        if args.file is not None:
            from search.spec import load_spec

            print(json.dumps({"storage": _head_checks.check_storage_of(load_spec(args.file))}))
            return 0
        answer = {"versions": _head_checks.versions(), "checks": list(map(asdict, _head_checks.findings()))}
        print(json.dumps(answer))
        return 0
    if args.address is not None and not args.cluster:
        raise UsageError("--address would have no effect without --cluster. Give both, or neither")
    if args.cluster:
        if args.file is not None or args.ray:
            raise UsageError("--cluster looks at a cluster, not at this machine: leave out FILE and --ray")
        from search.commands import _cluster_checks

        return _report(_cluster_checks.findings(args.address or "http://127.0.0.1:8265"), args.json)
    spec = None
    if args.file is not None:
        from search.spec import load_spec

        spec = load_spec(args.file)
    return _report(findings(spec, with_ray=args.ray), args.json)


def _report(found: Iterator[Check], as_json: bool) -> int:
    """Show the checks as they come; the exit code."""
    checks = []
    for check in found:
        checks.append(check)
        if not as_json:
            print(text_of(check), flush=True)
    failed = sum(check.level == "fail" for check in checks)
    warned = sum(check.level == "warn" for check in checks)
    if as_json:
        print(json.dumps({"ok": failed == 0, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        print(f"{len(checks)} checks: {failed} failed, {warned} with a warning")
    return 1 if failed else 0


def text_of(check: Check) -> str:
    """`warn  disk      ...; remedy`."""
    remedy = f". {check.remedy}" if check.remedy else ""
    return f"{check.level:<5} {check.name:<10} {check.message}{remedy}"


def findings(spec: "SearchSpec | None", *, with_ray: bool) -> Iterator[Check]:
    """All checks in order. One that breaks is itself a finding, never a traceback."""
    folder = spec.folder if spec else Path("runs").absolute()
    yield from guarded("python", check_python())
    yield from guarded("packages", check_packages())
    yield from guarded("versions", check_versions())
    yield from guarded("cpu", check_cpu())
    yield from guarded("gpu", check_gpu(spec))
    yield from guarded("slice", check_slice(spec))
    yield from guarded("disk", check_disk(folder))
    yield from guarded("limits", check_files())
    yield from guarded("stores", check_stores(spec, folder))
    if with_ray:
        yield from guarded("ray", check_ray())


def guarded(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    """The checks; where making them raises, a finding called `name` in their place."""
    try:
        yield from checks
    except (OperationFailed, InputError) as error:
        yield Check(name, "fail", str(error))
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        yield Check(name, "fail", f"{type(error).__name__}: {first}")


def check_python() -> Iterator[Check]:
    version = platform.python_version()
    if sys.version_info >= preflight.MINIMUM_PYTHON:
        yield Check("python", "ok", f"{version} in {sys.prefix}")
    else:
        yield Check("python", "fail", f"{version}, but 3.11 or later is needed", "Run: make setup")


def check_packages() -> Iterator[Check]:
    found = preflight.problems()
    for problem in found:
        yield Check("packages", "fail", problem)
    if not found:
        yield Check("packages", "ok", f"spaces, trainable and search come from {preflight.ROOT}")


def check_versions(root: Path = preflight.ROOT) -> Iterator[Check]:
    """Installed versions against pyproject.toml (fail) and constraints.txt (warn)."""
    from packaging.requirements import Requirement

    with (root / "pyproject.toml").open("rb") as stream:
        wanted = [Requirement(text) for text in tomllib.load(stream)["project"]["dependencies"]]
    exact = {}
    constraints = root / "constraints.txt"
    if constraints.exists():
        for line in constraints.read_text(encoding="utf-8").splitlines():
            text = line.partition("#")[0].strip()
            if text and not text.startswith("-"):
                pinned = Requirement(text)
                exact[_plain_name(pinned.name)] = pinned
    good, differing = [], []
    for requirement in wanted:
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Check("versions", "fail", f"{requirement.name} is not installed", "Run: make setup")
            continue
        public = version.partition("+")[0]  # "2.13.0+cpu" is 2.13.0
        if not requirement.specifier.contains(public, prereleases=True):
            message = f"{requirement.name} {version} is installed, but {requirement.specifier} is needed"
            yield Check("versions", "fail", message, "Run: make setup")
            continue
        good.append(f"{requirement.name} {version}")
        pin = exact.get(_plain_name(requirement.name))
        if pin is not None and not pin.specifier.contains(public, prereleases=True):
            differing.append(f"{requirement.name} {version} ({pin.specifier})")
    if good:
        yield Check("versions", "ok", ", ".join(good))
    if differing:
        message = f"not as tested in constraints.txt: {', '.join(differing)}"
        yield Check("versions", "warn", message, "Run: make setup")


def _plain_name(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def check_cpu() -> Iterator[Check]:
    cpus = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    message = f"{cpus} for this process, load {load:.1f}"
    if load > cpus + 1:
        yield Check("cpu", "warn", message, "Others use this machine: the search takes longer than it says")
    else:
        yield Check("cpu", "ok", message)
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # Free pages leave out the cache, which the kernel gives back: /proc/meminfo knows better.
    for line in Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []:
        if line.startswith("MemAvailable:"):
            pages = int(line.split()[1]) * 1024
    per_trial = 0.6  # GiB: a worker with torch imported and a small network
    message = f"{pages / GIB:.1f} GiB free, about {per_trial:g} GiB for each trial on the CPU"
    if pages / GIB < per_trial * (cpus + 1):
        yield Check("memory", "warn", message, "Set resources.max_concurrent if workers are killed")
    else:
        yield Check("memory", "ok", message)


def check_gpu(spec: "SearchSpec | None") -> Iterator[Check]:
    import torch

    count = torch.cuda.device_count()
    wanted = spec.resources.gpu if spec else 0.0
    if count == 0:
        if wanted > 0:
            message = f"torch sees none, but resources.gpu is {wanted:g}"
            yield Check("gpu", "fail", message, "Set it to 0, or install a torch with CUDA")
        else:
            yield Check("gpu", "ok", "torch sees none: trials train on the CPU")
        return
    for index in range(count):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / GIB
        slices = ", ".join(f"1/{n}: {memory / n:.1f} GiB" for n in (2, 4, 8))
        yield Check("gpu", "ok", f"{index}: {properties.name}, {memory:.1f} GiB ({slices})")
        if 0 < wanted < 1:
            yield check_share(wanted, properties.total_memory)
    if wanted > count:
        message = f"resources.gpu is {wanted:g}, but torch sees {count}"
        yield Check("gpu", "fail", message, "Ask for fewer")


def check_share(share: float, total_bytes: int) -> Check:
    """What a share of one card leaves for tensors."""
    from trainable.gpu_slice import gib, usable_bytes

    try:
        return Check(
            "slice", "ok", f"{share:g} of it has {gib(usable_bytes(total_bytes, share))} for tensors"
        )
    except ValueError as error:
        return Check("slice", "fail", str(error))


def check_slice(spec: "SearchSpec | None") -> Iterator[Check]:
    """What the search has found of its slice when it was started, wherever its GPUs are."""
    if spec is None or spec.resources.gpu == 0:
        return
    if spec.resources.gpu > 1:
        message = f"resources.gpu is {spec.resources.gpu:g}, but a trial trains on one card"
        yield Check("slice", "warn", message, "Set it to 1, or the others stay empty")
    from search.slice_check import found_before
    from search.study import StudyStore

    store = StudyStore.open(spec.study_url_resolved, spec.name) if spec.folder.exists() else None
    found = found_before(store.header) if store is not None else None
    yield Check("slice", "ok", found or "a trial's memory is measured on a slice when the search is started")


def check_disk(folder: Path) -> Iterator[Check]:
    for what, place in (("results", folder), ("Ray's temporary files", Path(tempfile.gettempdir()))):
        yield from space_of(what, place)
    shared = Path("/dev/shm")
    if shared.exists():
        free = shutil.disk_usage(shared).free / GIB
        if free < 0.6:
            remedy = "Give the container more (docker run --shm-size=2g): Ray keeps shared data there"
            yield Check("disk", "warn", f"/dev/shm: {free:.2f} GiB free", remedy)


def space_of(what: str, place: Path) -> Iterator[Check]:
    """Whether `place` can be written to and has room. what: what lies there."""
    exists = _nearest_existing(place)
    if not os.access(exists, os.W_OK | os.X_OK):
        message = f"{what}: {exists} cannot be written to"
        yield Check("disk", "fail", message, "Change its owner, or set storage.path")
        return
    free = shutil.disk_usage(exists).free / GIB
    message = f"{what} in {place}: {free:.1f} GiB free"
    if free < MIN_FREE_GIB:
        yield Check("disk", "fail", message, f"Free at least {MIN_FREE_GIB:g} GiB")
    elif free < GOOD_FREE_GIB:
        yield Check("disk", "warn", message, "Checkpoints of a large search may not fit")
    else:
        yield Check("disk", "ok", message)


def _nearest_existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def check_files() -> Iterator[Check]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = "no limit" if hard == resource.RLIM_INFINITY else str(hard)
    message = f"{soft} open files at most (can be raised to: {most})"
    if soft != resource.RLIM_INFINITY and soft < MIN_FILES:
        yield Check("limits", "fail", message, "Run: ulimit -n 65536")
    elif soft != resource.RLIM_INFINITY and soft < GOOD_FILES:
        yield Check("limits", "warn", message, "For more than 50 trials at a time run: ulimit -n 65536")
    else:
        yield Check("limits", "ok", message)


def check_stores(spec: "SearchSpec | None", folder: Path) -> Iterator[Check]:
    """The study's database and the MLflow backend: the search's, or the default places."""
    if spec is None:
        yield from check_sqlite("study", folder / "NAME" / "study.db")
        yield from check_sqlite("mlflow", folder / "mlflow.db")
        return
    yield from check_url("study", spec.study_url_resolved)
    uri = spec.mlflow_uri_resolved
    if uri.startswith(("http://", "https://")):
        yield check_server(uri)
    else:
        yield from check_url("mlflow", uri)


def check_url(name: str, url: str) -> Iterator[Check]:
    """Whether the database answers. SQLite is looked at as a file, so that nothing is created."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from search.urls import shown_url

    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        yield from check_sqlite(name, Path(parsed.database or ""))
        return
    shown = shown_url(url)
    try:
        engine = create_engine(url, pool_pre_ping=False)
        start = time.monotonic()
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        engine.dispose()
    except ImportError as error:
        yield Check(name, "fail", f"{shown}: {error}", f"Install its driver: pip install {error.name}")
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        remedy = "Is the server running, are user and database right?"
        yield Check(name, "fail", f"{shown}: {reason}", remedy)
    else:
        yield Check(name, "ok", f"{shown} answers in {1000 * (time.monotonic() - start):.0f} ms")


def check_sqlite(name: str, path: Path) -> Iterator[Check]:
    place = _nearest_existing(path.absolute())
    kind = filesystem_of(place)
    if kind in _SHARED_FILESYSTEMS:
        remedy = (
            "SQLite loses data on shared folders. Set storage.path to a local one, or give a server's URL"
        )
        yield Check(name, "fail", f"{path} lies on {kind}", remedy)
        return
    if not path.exists():
        if os.access(place, os.W_OK | os.X_OK):
            yield Check(name, "ok", f"{path} will be made")
        else:
            yield Check(name, "fail", f"{path} cannot be made in {place}", "Set storage.path")
        return
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        yield Check(name, "fail", f"{path} cannot be written to", "Change the owner of it and its folder")
        return
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=5)
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        finally:
            connection.close()
    except sqlite3.Error as error:
        remedy = "Is a search running? Otherwise restore it from a copy"
        yield Check(name, "warn" if "locked" in str(error) else "fail", f"{path}: {error}", remedy)
        return
    if verdict == "ok":
        yield Check(name, "ok", f"{path} can be read and written")
    else:
        yield Check(name, "fail", f"{path} is damaged: {verdict}", "Restore it from a copy")


def filesystem_of(path: Path) -> str:
    """Type of the file system that holds `path`, "" if unknown."""
    best, kind = "", ""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in mounts:
        _, mounted, this, *_ = line.split(" ")
        mounted = mounted.replace("\\040", " ")
        if path.resolve().is_relative_to(mounted) and len(mounted) >= len(best):
            best, kind = mounted, this
    return kind


def check_server(uri: str) -> Check:
    """Whether an MLflow server answers at `uri`."""
    from search.urls import shown_url

    address = f"{uri.rstrip('/')}/health"
    shown = shown_url(uri)
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            body = answer.read(64).decode("utf-8", "replace").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        remedy = "Start it, or leave storage.mlflow_uri out. A search survives its absence"
        return Check("mlflow", "fail", f"{shown} does not answer: {reason}", remedy)
    if body != "OK":
        return Check("mlflow", "warn", f"{shown} answers {body!r}", "Is it an MLflow server?")
    return Check("mlflow", "ok", f"{shown} answers")


def check_ray() -> Iterator[Check]:
    """Start a private Ray, run one task, stop it."""
    from search.local_ray import local_ray

    start = time.monotonic()
    with local_ray(num_cpus=1, num_gpus=0):
        import ray

        ray.get(ray.remote(_task).remote(), timeout=60)
    yield Check(
        "ray", "ok", f"a local Ray started, ran a task and stopped in {time.monotonic() - start:.0f} s"
    )


def _task() -> int:
    return os.getpid()
