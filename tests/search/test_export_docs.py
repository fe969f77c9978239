"""docs/export.md: its example trains and samples, its tables are those of the code."""

import ast
import dataclasses
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search.export_format import FORMATS
from search.exports._karras_index import KarrasIndex
from search.winner.sampling import sampling_part
from spaces import NOISE, KarrasGrid, NoiseSchedule, export_json_schema
from spaces.adaptive_noise import AdaptiveNoise
from spaces.curricula.exponential import Exponential
from spaces.document.format import FUNCTION, loss_and_weighting
from spaces.document.writing import stages_part
from spaces.schedule import USUAL
from trainable.training.consistency import LevelTables, consistency_function, consistency_loss, loss_tensors

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs/export.md").read_text()
EXAMPLE, SAMPLING, *_ = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
TOTAL_STEPS = 30
STEPS_OF_TEN = (80.0, 40.0, 20.0, 10.0, 5.0, 2.5, 1.2, 0.6, 0.3, 0.1)  # as text "10" comes before "2"


def as_exported(name: str) -> NoiseSchedule:
    """A schedule with this noise, weight or loss; of one that adapts in training, something that it may come to."""
    for part, (registry, _) in USUAL.items():
        if name in registry:
            if part == "gap":
                return NoiseSchedule.continuous(NOISE["lognormal"](), registry[name]())
            return dataclasses.replace(as_exported("loss_second_moment"), **{part: registry[name]()})
    grid, noise = KarrasGrid(), NOISE[name]()
    if isinstance(noise, AdaptiveNoise):
        found = noise.start() + torch.linspace(0, 0.3, len(noise.start()), dtype=torch.float64)
        noise = noise.found(found, grid.sigmas(21))
    return NoiseSchedule(grid=grid, noise=noise, curriculum=Exponential(s0=10, doublings=2))


# One of each weighting; the adaptive families weigh by importance.
@pytest.fixture(params=["lognormal", "loss_second_moment", "learned", "edm", "squared_l2", "ect"])
def schedule(request: pytest.FixtureRequest) -> NoiseSchedule:
    return as_exported(request.param)


@pytest.fixture
def here(schedule: NoiseSchedule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an export: the parts of it that the example reads."""
    loss, weighting = loss_and_weighting(schedule)
    training = {
        "total_steps": TOTAL_STEPS,
        "loss": loss,
        "function": FUNCTION,
        "weighting": weighting,
        "huber_c_over_sqrt_d": schedule.loss.huber_c_of(0.00054),
        "sigma_data": 0.5,
        **stages_part(schedule, TOTAL_STEPS, 0.5),
    }
    sampling = sampling_part(schedule, None)
    sampling["steps"] |= {"2": [80.0, 0.821], "10": list(STEPS_OF_TEN)}
    (tmp_path / "best_schedule.json").write_text(json.dumps({"training": training, "sampling": sampling}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_is_short_and_needs_torch_alone() -> None:
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 25
    tree = ast.parse(EXAMPLE + SAMPLING)
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert imported == ["json", "pathlib", "torch"]
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))


def test_the_example_runs_without_this_package(here: Path) -> None:
    shown = "step, loss.item(), round(s[0].item(), 4), tuple(x.shape), bool(x.isfinite().all())"
    code = f"{EXAMPLE}\n{SAMPLING}\nprint({shown})"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=here, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    step, loss, last_level, *rest = done.stdout.split(maxsplit=3)
    assert int(step) == TOTAL_STEPS - 1
    assert math.isfinite(float(loss))
    assert float(last_level) == STEPS_OF_TEN[-1]
    assert rest == ["(16, 64) True\n"]


def test_the_examples_function_and_loss_are_ours(
    schedule: NoiseSchedule, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The network stays as it was when the last loss was computed.
    monkeypatch.setattr(torch.optim.RAdam, "step", lambda self: None)
    found: dict[str, Any] = {}
    with torch.random.fork_rng():
        exec(compile(EXAMPLE, "docs/export.md", "exec"), found)
    net, x, z, t = (found[name] for name in ("net", "x", "z", "t"))

    def network(x_BCHW: torch.Tensor, c_noise_B: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = net(torch.cat([x_BCHW.flatten(1), c_noise_B[:, None]], 1))
        return out.view_as(x_BCHW)

    def image(x_BD: torch.Tensor) -> torch.Tensor:
        return x_BD.view(-1, 1, 8, 8)

    with torch.no_grad():
        ours = consistency_function(network, image(x + t * z), t[:, 0].double(), 0.002, 0.5)
        assert torch.allclose(found["f"](x + t * z, t), ours.flatten(1), atol=1e-4)
        stage = schedule.stages(TOTAL_STEPS)[-1]
        table = LevelTables.of_pairs(schedule.pairs(stage, 0.5), 0.002, 0.5).table_ML
        rows = table[torch.isclose(table[:, 0], t, rtol=1e-6, atol=0).float().argmax(1)]
        loss_3 = loss_tensors(schedule.loss.constants(64, 0.00054))
        loss = consistency_loss(network, image(x), image(z), rows, loss_3).mean()
    assert found["loss"].item() == pytest.approx(loss.item(), rel=1e-3)
    assert found["step"] == TOTAL_STEPS - 1
    stages = schedule.stages(TOTAL_STEPS)
    assert len(found["levels"]) == len(schedule.pairs(stages[-1], 0.5).t_M)


def fields(node: dict[str, Any], path: str, definitions: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(path, description) of every key of the JSON Schema."""
    for choice in node.get("anyOf", []):
        yield from fields(choice, path, definitions)
    if node.get("$ref", "").startswith("#/$defs/"):
        yield from fields(definitions[node["$ref"].removeprefix("#/$defs/")], path, definitions)
    for key, value in node.get("properties", {}).items():
        place = f"{path}.{key}" if path else key
        yield place, value["description"]
        yield from fields(value, place, definitions)
    if "items" in node:
        yield from fields(node["items"], f"{path}[]", definitions)


def field_table() -> list[str]:
    schema = export_json_schema()
    rows = (f"| `{place}` | {about} |" for place, about in fields(schema, "", schema["$defs"]))
    return list(dict.fromkeys(rows))  # two kinds of stages have their first step


def test_every_field_of_the_document_is_described_as_in_its_schema() -> None:
    table = "\n".join(field_table())
    assert table in DOCS, f"The table of fields should be:\n{table}"


def test_every_format_is_in_the_table_of_formats() -> None:
    (listed,) = re.findall(r"\| format \| writes .*?\n\n", DOCS, re.DOTALL)
    assert set(re.findall(r"^\| `([a-z-]+)` \|", listed, re.MULTILINE)) == {
        name.replace("_", "-") for name in FORMATS
    }


@pytest.mark.parametrize(
    ("grid_points", "lowest", "stated"),
    [(2**20, 0.05, "within 7.5e-6"), (1001, 0.05, ".79 %"), (40, 0.05, "22 %"), (2**20, 0.0021, "1.2e-5")],
)
def test_the_stated_accuracy_of_positions_is_that_of_the_worst_level(
    grid_points: int, lowest: float, stated: str
) -> None:
    (formats,) = re.findall(r"\| format \| writes .*?Traps that shape", DOCS, re.DOTALL)
    assert stated in formats
    index = KarrasIndex(0.002, 80.0, grid_points)
    levels = np.geomspace(lowest, 79.99, 5000).tolist() + np.geomspace(lowest, 1.1 * lowest, 5000).tolist()
    off = max(abs(index.sigma(*index.indices([level])) / level - 1) for level in levels)
    bound = float(stated.removeprefix("within ").removesuffix(" %")) / (100 if "%" in stated else 1)
    assert off == pytest.approx(bound, rel=0.03)
    assert off < 1.005 * bound  # to the digits that are stated


@pytest.mark.parametrize(("sigma_min", "sigma_max"), [(0.002, 80.0), (0.002, 1e4), (1e-6, 80.0), (1e-6, 1e6)])
def test_no_level_is_further_off_than_the_bound_says_and_some_are_nearly_as_far(
    sigma_min: float, sigma_max: float
) -> None:
    index = KarrasIndex(sigma_min, sigma_max, 2**20)
    near, all_over = (
        np.geomspace(1.0005 * sigma_min, top, 4000) for top in (1.1 * sigma_min, 0.999 * sigma_max)
    )
    levels = [*near.tolist(), *all_over.tolist()]
    off = max(abs(index.sigma(*index.indices([level])) / level - 1) for level in levels)
    assert 0.9 * index.worst_error < off <= index.worst_error


def checks() -> set[tuple[str, str]]:
    """(target, check) of every conformance test, read from the source: the packages need not be there."""
    found = set()
    for path in sorted((ROOT / "tests/conformance").glob("test_*.py")):
        tree = ast.parse(path.read_text())
        names = {
            node.targets[0].id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.conformance":
                target, check = (
                    names[argument.id] if isinstance(argument, ast.Name) else ast.literal_eval(argument)
                    for argument in node.args
                )
                found.add((target, check))
    return found


def test_the_conformance_table_has_every_check_that_there_is_and_all_hold() -> None:
    (listed,) = re.findall(r"\| target \| check .*?\n\n", DOCS, re.DOTALL)
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (\d+) of (\d+) \|", listed, re.MULTILINE)
    assert {(target, check) for target, check, *_ in rows} == checks()
    assert all(passed == of for *_, passed, of in rows)
