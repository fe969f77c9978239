"""GPUs that Ray does not find by itself: MIG devices and MPS, from the listing to the worker's start line."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from search.gpu_node import devices, start_text
from search.machine.gpus import mig_devices_in

ROOT = Path(__file__).parents[2]
WHOLE = """\
GPU 0: NVIDIA L4 (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000000)
GPU 1: NVIDIA L4 (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000000)
"""
MIG = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-33333333-aaaa-bbbb-cccc-000000000000)
  MIG 3g.20gb     Device  0: (UUID: MIG-44444444-aaaa-bbbb-cccc-000000000000)
  MIG 3g.20gb     Device  1: (UUID: MIG-55555555-aaaa-bbbb-cccc-000000000000)
"""
OLD_DRIVER = """\
GPU 0: A100-SXM4-40GB (UUID: GPU-3)
  MIG 1g.5gb Device 0: (UUID: MIG-GPU-3/7/0)
"""


def text_of(
    listing: str | None, mps: bool | None = None, **environ: str
) -> tuple[str, list[str], list[list[str]]]:
    """The shell text, the warnings and the commands run. mps: whether the daemon starts, None: not asked for."""
    commands: list[list[str]] = []
    warnings: list[str] = []

    def run(command: Sequence[str]) -> str | None:
        commands.append(list(command))
        return listing if command[0] == "nvidia-smi" else "" if mps else None

    if mps is not None:
        environ["SCHEDULE_SEARCH_MPS"] = "1"
    return start_text(environ, run, warnings.append), warnings, commands


@pytest.mark.parametrize("listing", [None, "", "No devices found.", WHOLE])
def test_whole_cards_and_no_cards_are_left_to_ray(listing: str | None) -> None:
    assert text_of(listing)[:2] == ("", [])


def test_each_mig_device_is_a_gpu_of_its_own() -> None:
    text, warnings, _ = text_of(MIG)
    assert text == (
        "export CUDA_VISIBLE_DEVICES=MIG-44444444-aaaa-bbbb-cccc-000000000000,"
        "MIG-55555555-aaaa-bbbb-cccc-000000000000; RAY_GPUS=--num-gpus=2"
    )
    assert warnings == []
    assert devices(OLD_DRIVER) == (["MIG-GPU-3/7/0"], {"1g.5gb"})


def test_devices_of_several_sizes_are_used_and_said_to_differ() -> None:
    text, warnings, _ = text_of(WHOLE + MIG.replace("GPU 0", "GPU 2"))
    assert text.endswith("--num-gpus=4")
    assert "GPU-33333333" not in text
    assert len(warnings) == 1
    assert len(text_of(MIG + OLD_DRIVER)[1]) == 1


def test_devices_that_somebody_has_chosen_stay() -> None:
    assert text_of(MIG, CUDA_VISIBLE_DEVICES="0,1")[0] == ""
    assert text_of(MIG, CUDA_VISIBLE_DEVICES="MIG-a,MIG-b,MIG-c")[0] == "RAY_GPUS=--num-gpus=3"


@pytest.mark.parametrize(("visible", "count"), [(None, 0), ("", 0), ("0,1", 0), ("MIG-a, MIG-b", 2)])
def test_a_machine_has_as_many_gpus_as_mig_devices_are_named(visible: str | None, count: int) -> None:
    assert mig_devices_in(visible) == count


def test_mps_is_started_where_it_is_asked_for_and_found_by_all_processes() -> None:
    text, warnings, commands = text_of(WHOLE, mps=True)
    folders = "CUDA_MPS_PIPE_DIRECTORY=/tmp/nvidia-mps CUDA_MPS_LOG_DIRECTORY=/tmp/nvidia-log"
    assert text == f"export {folders}"
    assert commands[-1] == ["env", *folders.split(), "nvidia-cuda-mps-control", "-d"]
    assert warnings == []
    assert len(text_of(WHOLE)[2]) == 1  # not asked for
    assert text_of(WHOLE, mps=True, CUDA_MPS_PIPE_DIRECTORY="/run/mps")[0].startswith(
        "export CUDA_MPS_PIPE_DIRECTORY=/run/mps "
    )


def test_mps_that_does_not_start_is_a_warning() -> None:
    assert len(text_of(WHOLE, mps=False)[1]) == 1


def test_mps_is_not_started_for_mig_devices() -> None:
    text, warnings, commands = text_of(MIG, mps=True)
    assert "MPS" not in text
    assert "has no effect with MIG" in warnings[0]
    assert commands == [["nvidia-smi", "-L"]]


def executable(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("file", "field", "options"),
    [
        ("cluster.yaml", "worker_start_ray_commands", "start --address=192.0.2.10:6379"),
        ("deploy/local.yaml", "head_start_ray_commands", "--node-ip-address=192.0.2.10"),
    ],
)
@pytest.mark.parametrize(
    ("listing", "started"),
    [
        (WHOLE, " visible="),
        (
            MIG,
            " --num-gpus=2 visible=MIG-44444444-aaaa-bbbb-cccc-000000000000,"
            "MIG-55555555-aaaa-bbbb-cccc-000000000000",
        ),
    ],
)
def test_the_start_line_of_machines_with_trials_as_a_shell_runs_it(
    tmp_path: Path, file: str, field: str, options: str, listing: str, started: str
) -> None:
    """With a made-up nvidia-smi, MPS daemon and ray. The daemon holds on to its output, as daemons may."""
    checkout, tools = tmp_path / "schedule-search", tmp_path / "tools"
    (checkout / ".venv" / "bin").mkdir(parents=True)
    tools.mkdir()
    (checkout / "search").symlink_to(ROOT / "search")
    executable(checkout / ".venv/bin/python", f'exec {sys.executable} "$@"\n')
    executable(
        checkout / ".venv/bin/ray", 'echo "$@" "visible=$CUDA_VISIBLE_DEVICES" "$CUDA_MPS_PIPE_DIRECTORY"\n'
    )
    executable(tools / "nvidia-smi", f"cat <<'END'\n{listing}END\n")
    executable(tools / "nvidia-cuda-mps-control", f"touch {tmp_path}/mps; sleep 20 & \n")
    line = yaml.safe_load((ROOT / file).read_text())[field][1]
    environment = {"HOME": str(tmp_path), "PATH": f"{tools}:/usr/bin:/bin", "RAY_HEAD_IP": "192.0.2.10"}
    for mps in ("0", "1"):
        done = subprocess.run(
            ["bash", "-c", line],
            env={**environment, "SCHEDULE_SEARCH_MPS": mps},
            capture_output=True,
            text=True,
            timeout=15,
        )
        with_mps = mps == "1" and listing == WHOLE
        assert done.stdout.strip().endswith(f"{options}{started}{' /tmp/nvidia-mps' if with_mps else ''}")
        assert (tmp_path / "mps").exists() == with_mps
        assert done.returncode == 0
