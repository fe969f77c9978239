"""schedule_sampler.py, which the export writes: what it draws is what our training draws, and it needs torch alone."""

import ast
import copy
import dataclasses
import importlib.util
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from search.errors import InputError
from search.export_format import FORMATS, README
from search.exports import _schedule_sampler
from search.exports._schedule_sampler import ScheduleSampler
from spaces import GAPS, NOISE, PRESETS, WEIGHTS, KarrasGrid, NoiseSchedule
from spaces.adaptive_noise import AdaptiveNoise
from spaces.continuous import NUM_QUANTILES
from spaces.curricula.exponential import Exponential
from spaces.document.format import loss_and_weighting
from spaces.document.writing import stages_part, trial_document
from spaces.losses.squared_l2 import SquaredL2
from spaces.noise.lognormal import LogNormal
from spaces.weights.tabulated import Tabulated
from tests.search.test_export_formats import document
from trainable.network import NETWORKS
from trainable.training.config import TrainingConfig
from trainable.training.consistency import LevelTables
from trainable.training.step import Batch
from trainable.training.trainer import Trainer

SOURCE = Path(_schedule_sampler.__file__)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs/digits_winner.json"
DOCS = DOCUMENT.with_name("export.md")
TOTAL_STEPS = 400
SIGMA_DATA = 0.6


def fixed(schedule: NoiseSchedule) -> NoiseSchedule:
    """The schedule; of one that adapts in training, something that it may come to, as exports have it."""
    noise = schedule.noise
    if schedule.weight.LEARNED:
        weight = Tabulated(log_t=(-4.0, 0.0, 3.0), log_weight=(9.0, 2.0, -1.5))
        return dataclasses.replace(schedule, weight=weight)
    if not isinstance(noise, AdaptiveNoise):
        return schedule
    start = noise.start()
    found = noise.found(
        start + torch.linspace(0, 0.3, len(start), dtype=torch.float64), schedule.grid.sigmas(21)
    )
    return NoiseSchedule(grid=schedule.grid, noise=found, curriculum=schedule.curriculum)


def with_noise(name: str) -> NoiseSchedule:
    return NoiseSchedule(
        grid=KarrasGrid(), noise=NOISE[name](), curriculum=Exponential(s0=10, doublings=2), uniform_floor=0.02
    )


def with_weight(name: str) -> NoiseSchedule:
    return NoiseSchedule(
        grid=KarrasGrid(),
        noise=LogNormal(),
        curriculum=Exponential(s0=10, doublings=2),
        weight=WEIGHTS[name](),
    )


SCHEDULES: Mapping[str, Callable[[], NoiseSchedule]] = {
    **{f"preset-{name}": lambda name=name: PRESETS[name].schedule for name in PRESETS},
    **{f"noise-{name}": lambda name=name: with_noise(name) for name in NOISE},
    **{f"weight-{name}": lambda name=name: with_weight(name) for name in WEIGHTS},
    **{
        f"gap-{name}": lambda name=name: NoiseSchedule.continuous(LogNormal(), GAPS[name]())
        for name in GAPS
        if GAPS[name].CONTINUOUS
    },
}
CONTINUOUS = [name for name, made in SCHEDULES.items() if made().gap.CONTINUOUS]


def document_of(schedule: NoiseSchedule) -> dict[str, Any]:
    """The parts of an export that are read, through JSON."""
    document = trial_document(schedule, TOTAL_STEPS, "fid", seed=0)
    document["training"] |= {
        "weighting": loss_and_weighting(schedule)[1],
        **stages_part(schedule, TOTAL_STEPS, SIGMA_DATA),
    }
    read: dict[str, Any] = json.loads(json.dumps(document))
    return read


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=SCHEDULES)
def schedule(request: pytest.FixtureRequest) -> NoiseSchedule:
    return fixed(SCHEDULES[request.param]())


def steps_of(schedule: NoiseSchedule) -> list[int]:
    """First and last step of the first and last stages; not of all, of which some schedules have hundreds."""
    starts = [stage.start_step for stage in schedule.stages(TOTAL_STEPS)]
    return sorted({step for start in (*starts[:3], *starts[-2:]) for step in (start, max(start - 1, 0))})


def stage_at(schedule: NoiseSchedule, step: int) -> Any:
    return [stage for stage in schedule.stages(TOTAL_STEPS) if stage.start_step <= step][-1]


def test_levels_and_weights_are_those_of_our_training_draw_by_draw(schedule: NoiseSchedule) -> None:
    """The same u through `LevelTables`, which the trainer trains with: t, r and the rows to the bit."""
    sampler = ScheduleSampler(document_of(schedule))
    for step in steps_of(schedule):
        pairs = schedule.pairs(stage_at(schedule, step), SIGMA_DATA)
        ours = LevelTables.of_pairs(pairs, schedule.grid.sigma_min, SIGMA_DATA)
        u_B = torch.rand(2000, dtype=torch.float64, generator=generator(step))
        rows_BL = ours.table_ML[ours.draw(u_B)]
        t_B, r_B, weight_B = sampler.draw(2000, step, generator=generator(step))
        assert torch.equal(t_B, rows_BL[:, 0])
        assert torch.equal(r_B, rows_BL[:, 5])
        assert torch.allclose(weight_B, rows_BL[:, 10], rtol=2e-7, atol=0)
        assert (t_B.dtype, r_B.dtype, weight_B.dtype) == (torch.float32,) * 3


@pytest.mark.parametrize("name", ["ict", "gokmen_sinusoidal", "ect"])
def test_a_whole_training_of_ours_has_the_same_levels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer's own random numbers, step by step through its stages, give its own levels."""
    schedule, sampler = PRESETS[name].schedule, ScheduleSampler(document_of(PRESETS[name].schedule))
    seen = []

    def watched(network: Any, state: Any, batch: Batch, levels: LevelTables, *rest: Any) -> None:
        seen.append((batch.u_B.clone(), levels.table_ML[levels.draw(batch.u_B)]))

    monkeypatch.setattr("trainable.training.trainer.training_step", watched)
    config = TrainingConfig(total_steps=TOTAL_STEPS, batch_size=16, sigma_data=SIGMA_DATA)
    network = NETWORKS.build({"name": "film_mlp", "width": 8, "depth": 1})
    trainer = Trainer(network, torch.rand(20, 1, 4, 4, generator=generator()) * 2 - 1, config)
    trainer.begin(schedule, seed=1)
    trainer.train(TOTAL_STEPS)
    assert len(seen) == TOTAL_STEPS
    for step, (u_B, rows_BL) in enumerate(seen):
        monkeypatch.setattr(_schedule_sampler, "uniform", lambda *_, u_B=u_B: u_B)
        t_B, r_B, weight_B = sampler.draw(16, step)
        assert torch.equal(t_B, rows_BL[:, 0]) and torch.equal(r_B, rows_BL[:, 5])
        assert torch.allclose(weight_B, rows_BL[:, 10], rtol=2e-7, atol=0)


@pytest.mark.parametrize("stratified", [False, True])
def test_frequencies_are_the_probabilities(schedule: NoiseSchedule, stratified: bool) -> None:
    sampler, step, num = ScheduleSampler(document_of(schedule)), TOTAL_STEPS - 1, 40_000
    pairs = schedule.pairs(stage_at(schedule, step), SIGMA_DATA)
    t_B, *_ = sampler.draw(num, step, generator=generator(1), stratified=stratified)
    cell_M = (
        np.arange(len(pairs.t_M)) * 32 // len(pairs.t_M)
    )  # neighbours together, so that all are expected often
    expected = num * np.bincount(cell_M, pairs.probability_M)
    index_B = np.searchsorted(pairs.t_M.astype(np.float32), t_B.numpy())
    seen = np.bincount(cell_M[index_B], minlength=len(expected))
    often = expected >= 5
    assert not seen[expected == 0].any()
    if stratified:
        assert (abs(seen - expected) <= 2).all()
        return
    rest = num - expected[often].sum()
    seen_k, expected_k = [*seen[often], seen[~often].sum()], [*expected[often], rest]
    if rest < 5:
        seen_k, expected_k = seen[often], expected[often] * seen[often].sum() / expected[often].sum()
    if len(seen_k) > 1:
        # The seed is fixed: of the schedules here the least p was above this when written.
        assert stats.chisquare(seen_k, expected_k).pvalue > 1e-4


def test_one_level_follows_the_law_evenly_in_ln_sigma_between_its_levels(schedule: NoiseSchedule) -> None:
    sampler, step = ScheduleSampler(document_of(schedule)), TOTAL_STEPS - 1
    stage = stage_at(schedule, step)
    sigma_B = sampler.draw_sigma(20_000, step, generator=generator(2), stratified=True).double().sort().values
    low, high = schedule.grid.sigma_min, schedule.grid.sigma_max
    assert low * (1 - 1e-6) <= sigma_B[0] and sigma_B[-1] <= high * (1 + 1e-6)
    edges = np.linspace(math.log(low), math.log(high), 41)
    share = np.histogram(sigma_B.log().numpy(), edges)[0] / len(sigma_B)
    # At an edge two draws may be the other way; the rest is float32's rounding at an edge with a spike of the law.
    if schedule.gap.CONTINUOUS:
        assert share == pytest.approx(stage.mass(edges), abs=1e-3)
        return
    assert share == pytest.approx(stage.mass(edges), abs=2e-4)


def test_quantiles_are_the_inverse_of_what_is_drawn(schedule: NoiseSchedule) -> None:
    sampler, step, num = ScheduleSampler(document_of(schedule)), TOTAL_STEPS // 2, 1000
    table = sampler.quantiles(step, num)
    assert table.shape == (num,) and table.dtype == torch.float64
    assert bool((table.diff() >= 0).all()) and bool((table > 0).all())
    drawn = sampler.draw_sigma(num, step, generator=generator(3), stratified=True).double().sort().values
    outer = torch.cat([table[:1] * 0, table, table[-1:] * math.inf])
    # Stratum j is between quantiles j - 1 and j + 1.
    assert bool((drawn >= outer[:-2] * (1 - 1e-6)).all()) and bool((drawn <= outer[2:] * (1 + 1e-6)).all())


@pytest.mark.parametrize("name", CONTINUOUS)
def test_the_quantiles_of_a_continuous_law_are_the_levels_that_were_trained(name: str) -> None:
    schedule = SCHEDULES[name]()
    sampler = ScheduleSampler(document_of(schedule))
    t_M = schedule.pairs(schedule.stages(TOTAL_STEPS)[0], SIGMA_DATA).t_M
    assert sampler.quantiles(0, NUM_QUANTILES).numpy() == pytest.approx(t_M, rel=1e-12)


def test_a_lognormals_quantiles_are_those_of_the_normal() -> None:
    """A known answer: between the ends, exp(mean + std * ndtri), of a law that has all its mass there."""
    schedule = NoiseSchedule.continuous(LogNormal(p_mean=-1.0, p_std=0.8), GAPS["ect"]())
    table = ScheduleSampler(document_of(schedule)).quantiles(0, 200)
    expected = np.exp(-1.0 + 0.8 * stats.norm.ppf((np.arange(200) + 0.5) / 200))
    assert table.numpy() == pytest.approx(expected, rel=3e-4)  # the law is known at 4,096 quantiles


def test_the_stages_follow_one_another_at_their_steps(schedule: NoiseSchedule) -> None:
    sampler = ScheduleSampler(document_of(schedule))
    for step in steps_of(schedule):
        levels = np.unique(schedule.pairs(stage_at(schedule, step), SIGMA_DATA).t_M.astype(np.float32))
        assert np.isin(sampler.draw(50, step)[0].numpy(), levels).all()


def test_a_training_that_goes_on_draws_what_it_would_have_drawn() -> None:
    document = document_of(PRESETS["ict"].schedule)

    def drawn(sampler: ScheduleSampler, g: torch.Generator, steps: range) -> list[torch.Tensor]:
        return [
            part
            for step in steps
            for part in (
                *sampler.draw(8, step, generator=g),
                sampler.draw_sigma(8, step, generator=g, stratified=True),
            )
        ]

    g = generator()
    first, whole = ScheduleSampler(document), drawn(ScheduleSampler(document), g, range(TOTAL_STEPS))
    h = generator()
    half = drawn(first, h, range(150))
    state = h.get_state()
    later = torch.Generator()
    later.set_state(state)
    rest = drawn(ScheduleSampler(copy.deepcopy(document)), later, range(150, TOTAL_STEPS))
    assert all(torch.equal(a, b) for a, b in zip(whole, [*half, *rest], strict=True))


def test_a_stratified_batch_has_one_draw_in_each_share_in_random_order() -> None:
    sampler = ScheduleSampler.load(DOCUMENT)
    u = _schedule_sampler.uniform(64, generator(), torch.device("cpu"), True)
    assert torch.equal((u * 64).floor().sort().values, torch.arange(64, dtype=torch.float64))
    assert not torch.equal(u, u.sort().values)
    even = sampler.draw_sigma(64, 0, generator=generator(), stratified=True).log().mean()
    truth = sampler.quantiles(0, 4096).log().mean()
    assert abs(even - truth) < 0.05


def test_rounding_draws_no_level_of_probability_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of many shares may round to u = 1."""
    stage = {"start_step": 0, "sigmas": [0.002, 0.1, 5.0, 80.0], "interval_probabilities": [0.3, 0.7, 0.0]}
    sampler = ScheduleSampler(changed("training.stages", [stage], ONE))
    monkeypatch.setattr(_schedule_sampler, "uniform", lambda *_: torch.tensor([0.0, 1.0]).double())
    t_B, r_B, _ = sampler.draw(2, 0)
    assert t_B.tolist() == pytest.approx([0.1, 5.0])
    assert r_B.tolist() == pytest.approx([0.002, 0.1])
    assert sampler.draw_sigma(2, 0).tolist() == pytest.approx([0.002, 5.0])


# Nothing waits for the device.


class Watched(TorchDispatchMode):
    """The operators that run, and the devices of what they return."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.name().partition(".")[0])
        return func(*args, **(kwargs or {}))


# What reads a value from a device, or whose shape depends on one.
WAITS = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "unique",
    "is_nonzero",
    "equal",
    "item",
    "_unique2",
}


@pytest.mark.parametrize("name", ["preset-ict", "preset-cmt", "weight-edm"])
def test_a_draw_needs_no_value_of_a_tensor(name: str) -> None:
    """On the device "meta" tensors have no values: reading one, or branching on it, raises."""
    sampler = ScheduleSampler(document_of(SCHEDULES[name]()))
    for step in (0, TOTAL_STEPS - 1, 3):
        for stratified in (False, True):
            drawn = [*sampler.draw(16, step, device="meta", stratified=stratified)]
            drawn.append(sampler.draw_sigma(16, step, device="meta", stratified=stratified))
            assert all(part.shape == (16,) and part.device.type == "meta" for part in drawn)
    with Watched() as watched:
        sampler.draw(16, 5, generator=generator(), stratified=True)
        sampler.draw_sigma(16, 5, generator=generator(), stratified=True)
    assert not {op.rpartition("::")[2] for op in watched.names} & WAITS
    assert "aten::searchsorted" in watched.names


@pytest.mark.parametrize("name", ["preset-ict", "preset-ect", "noise-uniform"])
def test_a_recorded_draw_takes_the_levels_of_the_step_that_was_entered(name: str) -> None:
    """As a CUDA graph does: the operators once recorded run again, on the same memory."""
    schedule = SCHEDULES[name]()
    sampler = ScheduleSampler(document_of(schedule))
    steps = [stage.start_step for stage in schedule.stages(TOTAL_STEPS)]
    sampler.enter(steps[0])
    recorded = make_fx(
        lambda: (*sampler.draw(200, steps[0]), sampler.draw_sigma(200, steps[0], stratified=True))
    )()
    for step in (steps[-1], steps[0], steps[1]):
        sampler.enter(step)
        with torch.random.fork_rng():
            torch.manual_seed(step)
            replayed = recorded()
            torch.manual_seed(step)
            expected = (*sampler.draw(200, step), sampler.draw_sigma(200, step, stratified=True))
        assert all(torch.equal(a, b) for a, b in zip(replayed, expected, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
        sampler.draw(4, steps[1])  # the stage is in place
        with pytest.raises(ValueError, match=r"call enter\(step, device\) before the capture"):
            sampler.draw(4, steps[-1])


def test_inference_mode_spoils_no_later_draw() -> None:
    sampler = ScheduleSampler(document_of(PRESETS["ict"].schedule))
    with torch.inference_mode():
        sampler.draw(4, 0)
    sampler.draw(4, TOTAL_STEPS - 1)


# The document and the file.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the export writes, and nothing else."""
    rendered = FORMATS.build("torch").render(json.loads(DOCUMENT.read_text()))
    for name, text in rendered.files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_export_runs_without_this_package(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "schedule_sampler.py",
        "best_schedule.json",
        "README.txt",
    }
    assert json.loads((folder / "best_schedule.json").read_text()) == json.loads(DOCUMENT.read_text())
    code = (
        "import sys; sys.path.insert(0, '.'); from schedule_sampler import ScheduleSampler; import torch; "
        "s = ScheduleSampler.load('best_schedule.json'); g = torch.Generator().manual_seed(7); "
        "t, r, weight = s.draw(4, 10, generator=g, device='cpu'); sigma = s.draw_sigma(4, 10); "
        "print([t.tolist(), s.sampling_levels[1], [n for n in ('spaces', 'search', 'trainable') if n in sys.modules]])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    t, levels, ours = ast.literal_eval(done.stdout)
    assert t == ScheduleSampler.load(DOCUMENT).draw(4, 10, generator=generator(7))[0].tolist()
    assert (levels, ours) == ((80.0,), [])


def test_the_example_of_the_documentation_runs(folder: Path) -> None:
    (example,) = re.findall(r"```python\n(from schedule_sampler .*?)```", DOCS.read_text(), re.DOTALL)
    code = f"import sys; sys.path.insert(0, '.')\n{example}\nprint(tuple(t.shape), bool((r < t).all()), len(sigmas))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "(128,) True 1000\n"), done.stderr


def test_the_file_imports_torch_and_the_standard_library_alone(folder: Path) -> None:
    text = (folder / "schedule_sampler.py").read_text()
    assert text == SOURCE.read_text()
    tops = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            tops |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            tops.add(str(node.module).partition(".")[0])
    assert tops - set(sys.stdlib_module_names) == {"torch"}
    spec = importlib.util.spec_from_file_location("schedule_sampler", folder / "schedule_sampler.py")
    assert spec is not None and spec.loader is not None


def test_the_readme_says_the_loss_and_misses_nothing() -> None:
    torch_format = FORMATS.build("torch")
    readme = torch_format.render(document(loss=SquaredL2(), weight=WEIGHTS["edm"]())).files[README]
    assert "is weight times squared L2 norm of an image\n" in readme
    assert "Not in these files" not in readme
    huber = torch_format.render(document()).files[README]
    assert "weight times pseudo-Huber of the per-image L2 norm, c = 0.00054 sqrt(values of an image)" in huber
    script = trial_document(PRESETS["ict"].schedule, 100, "fid", seed=0)
    assert "is that of the script which was searched with" in torch_format.render(script).files[README]
    with pytest.raises(InputError, match="needs the stages of an export"):
        torch_format.render(PRESETS["ict"].schedule.to_dict())


def test_the_file_reads_what_a_script_of_ones_own_is_given() -> None:
    """Without a weighting, of a search whose trials a script trains, the law says whether it weighs."""
    schedule = fixed(with_noise("loss_second_moment"))
    document = json.loads(json.dumps(trial_document(schedule, TOTAL_STEPS, "fid", seed=0)))
    sampler, same = ScheduleSampler(document), ScheduleSampler(document_of(schedule))
    assert document["training"]["weighting"] is None
    ours, theirs = sampler.draw(50, 0, generator=generator()), same.draw(50, 0, generator=generator())
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert sampler.sampling_levels == {1: (80.0,)}


def changed(path: str, value: Any, source: Mapping[str, Any]) -> dict[str, Any]:
    document = copy.deepcopy(dict(source))
    *parents, last = path.split(".")
    part: Any = document
    for key in parents:
        part = part[int(key) if key.isdigit() else key]
    if value is ...:
        del part[last]
    else:
        part[int(last) if last.isdigit() else last] = value
    return document


ONE = document_of(PRESETS["ict"].schedule)
TWO = document_of(PRESETS["ect"].schedule)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "a schedule with the format noise-schedule/1 or noise-schedule/2 is needed"),
        (changed("format", "noise-schedule/3", ONE), "a schedule with the format"),
        (changed("training", ..., ONE), "has no such part, or one of another kind: 'training'"),
        (changed("training.total_steps", "many", ONE), "has no such part, or one of another kind"),
        (changed("training.stages", None, ONE), "has no such part, or one of another kind"),
        (changed("training.stages", [], ONE), "must begin at step 0"),
        (changed("training.stages.1.start_step", 0, ONE), "in the order of their start_step"),
        (changed("schedule.grid.sigma_min", 90.0, ONE), "schedule.grid must have 0 < sigma_min < sigma_max"),
        (changed("schedule.grid.sigma_max", math.inf, TWO), "schedule.grid must have 0 < sigma_min"),
        (
            changed("training.stages.1.sigmas", ..., ONE),
            "training.stages[1].sigmas must be a list of numbers",
        ),
        (changed("training.stages.0.sigmas", "abc", ONE), "sigmas must be a list of numbers"),
        (changed("training.stages.0.sigmas.1", None, ONE), "sigmas must be a list of numbers"),
        (changed("training.stages.0.sigmas.1", math.nan, ONE), "sigmas must be a list of numbers"),
        (changed("training.stages.0.sigmas.1", 10**400, ONE), "sigmas must be a list of numbers"),
        (changed("training.stages.0.sigmas.1", 1e-9, ONE), "increasing levels, 0 < r < t"),
        (changed("training.stages.0.sigmas", [1.0, 2.0], ONE), "a probability and a weight of each pair"),
        (changed("training.stages.0.interval_probabilities.0", 0.5, ONE), "probabilities whose sum is 1"),
        (changed("training.stages.0.interval_probabilities.0", -0.5, ONE), "probabilities whose sum is 1"),
        (changed("training.stages.0.r.0", 100.0, TWO), "training.stages[0] must have increasing levels"),
        (changed("training.stages.0.weights.0", 0.0, TWO), "weights above 0"),
    ],
)
def test_what_is_no_schedule_is_one_line(document: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as caught:
        ScheduleSampler(document)
    assert message in str(caught.value)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError) as caught:
        ScheduleSampler.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, None])
def test_a_file_that_cannot_be_read_is_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        ScheduleSampler.load(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"step": TOTAL_STEPS}, "`0 <= step < 400` must hold, but got step=400. In a training of K steps"),
        ({"step": -1}, "`0 <= step < 400` must hold, but got step=-1"),
        ({"step": torch.tensor(3)}, "`step` must be an int of Python, but is of type Tensor"),
        ({"step": 3.0}, "`step` must be an int of Python, but is of type float"),
        ({"batch_size": 0}, "`batch_size` must be an int of at least 1, but got 0"),
        ({"batch_size": 2.0}, "`batch_size` must be an int of at least 1, but got 2.0"),
        ({"device": "meta", "generator": generator()}, "`generator` must be one of meta"),
        ({"device": "mps"}, "the tables are float64, which mps has not"),
    ],
)
def test_a_wrong_call_is_one_line(wrong: dict[str, Any], message: str) -> None:
    sampler = ScheduleSampler(ONE)
    given = {"batch_size": 4, "step": 0, **wrong}
    for draw in (sampler.draw, sampler.draw_sigma):
        with pytest.raises(ValueError) as caught:
            draw(**given)
        assert message in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="`num` must be an int of at least 1"):
        sampler.quantiles(0, 0)
