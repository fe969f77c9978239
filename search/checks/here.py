"""Whether this machine can run a search.

Libraries are imported inside the checks: one that is missing or broken is a finding, and the other checks go on.
"""

import importlib.metadata
import os
import platform
import resource
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from search.checks import needs
from search.checks.check import Check, guarded
from search.checks.rehearsal import check_rehearsal
from search.checks.stores import GIB, check_mlflow, check_server, check_sqlite, check_url, space_of
from search.machine import preflight
from search.machine.cache_folder import CACHE_VARIABLE, cache_folder
from search.machine.checkout import ROOT

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from search.file.spec import SearchSpec

MIN_FILES, GOOD_FILES = 1024, 4096  # open files: Ray uses some hundreds on a small machine
_TRIAL_GIB = 0.6  # a worker with torch imported and a small network
_MIN_SHARED_GIB = 0.6
_SETUP = "Run: make setup"


def findings(spec: "SearchSpec | None", *, quick: bool) -> Iterator[Check]:
    """All checks in order. One that breaks is itself a finding, never a traceback. quick: nothing is started."""
    folder = spec.folder if spec else Path("runs").absolute()
    yield from guarded("python", check_python())
    yield from guarded("packages", check_packages())
    yield from guarded("versions", check_versions())
    yield from guarded("cpu", check_cpu())
    if spec is None:
        yield from guarded("memory", check_memory())
    yield from guarded("gpu", check_gpu(spec))
    yield from guarded("slice", slice_found_before(spec))
    yield from guarded("disk", check_disk(folder))
    yield from guarded("limits", check_files())
    yield from guarded("stores", check_stores(spec, folder))
    yield from guarded("study", check_study(spec))
    if spec is not None:
        yield from needs.findings(spec, free_memory() / GIB)
    if not quick:
        yield from guarded("search", check_rehearsal())


def check_python() -> Iterator[Check]:
    """Whether this Python is new enough."""
    version = platform.python_version()
    if sys.version_info >= preflight.MINIMUM_PYTHON:
        yield Check("python", "ok", f"{version} in {sys.prefix}")
    else:
        yield Check("python", "fail", f"{version}, but 3.11 or later is needed", _SETUP)


def check_packages() -> Iterator[Check]:
    """Whether our packages are those of this checkout, and what they need is installed."""
    found = preflight.problems()
    for problem in found:
        yield Check("packages", "fail", problem)
    if not found:
        yield Check("packages", "ok", f"spaces, trainable and search come from {ROOT}")


def check_versions(root: Path = ROOT) -> Iterator[Check]:
    """Installed versions against pyproject.toml (fail) and constraints.txt (warn)."""
    pinned = _pinned(root / "constraints.txt")
    good, differing = [], []
    for requirement in _required(root / "pyproject.toml"):
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Check("versions", "fail", f"{requirement.name} is not installed", _SETUP)
            continue
        if not _allows(requirement, version):
            message = f"{requirement.name} {version} is installed, but {requirement.specifier} is needed"
            yield Check("versions", "fail", message, _SETUP)
            continue
        good.append(f"{requirement.name} {version}")
        pin = pinned.get(_plain_name(requirement.name))
        if pin is not None and not _allows(pin, version):
            differing.append(f"{requirement.name} {version} ({pin.specifier})")
    if good:
        yield Check("versions", "ok", ", ".join(good))
    if differing:
        yield Check("versions", "warn", f"not as tested in constraints.txt: {', '.join(differing)}", _SETUP)


def check_cpu() -> Iterator[Check]:
    """How many CPUs this process may use, and whether others use them too."""
    cpus, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    message = f"{cpus} for this process, load {load:.1f}"
    if load > cpus + 1:
        yield Check("cpu", "warn", message, "Others use this machine: the search takes longer than it says")
    else:
        yield Check("cpu", "ok", message)


def check_memory() -> Iterator[Check]:
    """Whether a trial on each CPU fits into what is free."""
    free = free_memory() / GIB
    message = f"{free:.1f} GiB free, about {_TRIAL_GIB:g} GiB for each trial on the CPU"
    if free < _TRIAL_GIB * (len(os.sched_getaffinity(0)) + 1):
        yield Check("memory", "warn", message, "Set resources.max_concurrent if workers are killed")
    else:
        yield Check("memory", "ok", message)


def check_gpu(spec: "SearchSpec | None") -> Iterator[Check]:
    """The GPUs that torch sees, and whether they are those that the search wants."""
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
    from trainable.gpu.gpu_slice import gib, usable_bytes

    try:
        usable = gib(usable_bytes(total_bytes, share))
    except ValueError as error:
        return Check("slice", "fail", str(error))
    return Check("slice", "ok", f"{share:g} of it has {usable} for tensors")


def slice_found_before(spec: "SearchSpec | None") -> Iterator[Check]:
    """What the search has found of its slice when it was started, wherever its GPUs are."""
    if spec is None or spec.resources.gpu == 0 or spec.script is not None:
        return  # what a script needs, only running it tells
    if spec.resources.gpu > 1:
        message = f"resources.gpu is {spec.resources.gpu:g}, but a trial trains on one card"
        yield Check("slice", "warn", message, "Set it to 1, or the others stay empty")
    from search.engine.slice_check import found_before
    from search.study.store import StudyStore

    store = StudyStore.open(spec.study_url_resolved, spec.name) if spec.folder.exists() else None
    found = found_before(store.header) if store is not None else None
    yield Check("slice", "ok", found or "a trial's memory is measured on a slice when the search is started")


def check_disk(folder: Path) -> Iterator[Check]:
    """Whether results, cached data, Ray's temporary files and shared memory have room."""
    from search.engine.ray_here import root_for_sockets

    yield from space_of("results", folder)
    yield from space_of("cached data and feature networks", cache_folder(), f"set {CACHE_VARIABLE}")
    yield from space_of("Ray's temporary files", root_for_sockets(), "set TMPDIR")
    shared = Path("/dev/shm")
    if shared.exists():
        free = shutil.disk_usage(shared).free / GIB
        if free < _MIN_SHARED_GIB:
            remedy = "Give the container more (docker run --shm-size=2g): Ray keeps shared data there"
            yield Check("disk", "warn", f"/dev/shm: {free:.2f} GiB free", remedy)


def check_files() -> Iterator[Check]:
    """How many files a process may have open."""
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
    """The study's database and the MLflow backend: those of the search, or where they are by default."""
    if spec is None:
        yield from check_sqlite("study", folder / "NAME" / "study.db")
        yield from check_mlflow(folder / "mlflow.db")
        return
    yield from check_url("study", spec.study_url_resolved)
    uri = spec.mlflow_uri_resolved
    if uri.startswith(("http://", "https://")):
        yield check_server(uri)
    else:
        yield from check_url("mlflow", uri)


def check_study(spec: "SearchSpec | None") -> Iterator[Check]:
    """Whether all trials of a search that was started are there, as they were written."""
    from search.running.search import Search

    if spec is not None and (search := Search(spec)).is_started:
        yield Check(
            "study", "ok", f"{len(search.records())} trials of {spec.name!r} are there as they were written"
        )


def _required(pyproject: Path) -> "list[Requirement]":
    from packaging.requirements import Requirement

    with pyproject.open("rb") as stream:
        return [Requirement(text) for text in tomllib.load(stream)["project"]["dependencies"]]


def _pinned(constraints: Path) -> "Mapping[str, Requirement]":
    """Plain name of a package -> its line in the file; {} if there is no file."""
    from packaging.requirements import Requirement

    if not constraints.exists():
        return {}
    texts = (line.partition("#")[0].strip() for line in constraints.read_text(encoding="utf-8").splitlines())
    pins = [Requirement(text) for text in texts if text and not text.startswith("-")]
    return {_plain_name(pin.name): pin for pin in pins}


def _allows(requirement: "Requirement", version: str) -> bool:
    public = version.partition("+")[0]  # "2.13.0+cpu" is 2.13.0
    return requirement.specifier.contains(public, prereleases=True)


def _plain_name(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def free_memory() -> int:
    """Bytes. Free pages leave out the cache, which the kernel gives back: /proc/meminfo knows better."""
    meminfo = Path("/proc/meminfo")
    for line in meminfo.read_text().splitlines() if meminfo.exists() else []:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
