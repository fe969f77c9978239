"""Reading exports back: faithful, strict, one line for everything that is wrong, whatever was done to them."""

import copy
import dataclasses
import json
import math
import pickle
import random
import statistics
import string
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import referencing
import torch

import spaces
import spaces.document.strict_json
from search.evidence.leaderboard import leaderboard
from search.export_format import FORMATS
from search.winner.document import export_document, export_text
from spaces import LOSSES, PRESETS, WEIGHTS, LoadedSchedule, NoiseSchedule, export_json_schema, load_schedule
from spaces.adaptive_noise import AdaptiveNoise
from spaces.checks import MAX_TOTAL_STEPS
from spaces.curriculum import values_of
from spaces.document.writing import trial_document
from spaces.gaps.ect import ECTGap
from spaces.registry import name_of
from spaces.weights.tabulated import Tabulated
from tests.records import record, replicates
from trainable.training.config import TrainingConfig

PUBLISHED = Path(spaces.__file__).with_name("noise-schedule-export.schema.json")
TOTAL_STEPS = 40
HEADER: dict[str, Any] = {
    "search": {
        "training": {"total_steps": TOTAL_STEPS, "huber_c": 0.00054, "sigma_data": 0.5, "batch_size": 128},
        "objective": {"num_samples": 2000},
        "data": {"name": "digits"},
        "network": {"name": "film_mlp"},
        "budget": {"max_trials": 24},
    },
    "extractor_sha256": "e" * 64,
    "data_sha256": "d" * 64,
    "versions": {"torch": "2.13.0"},
    "git_commit": None,
}
MEASURED: dict[str, Any] = {
    "trial": 2,
    "objective": "fd_toy",
    "num_samples": 2000,
    "extractor_sha256": "e" * 64,
    "method": "by hand",
    "search_seed": 1,
    "held_out_seeds": [2, 3],
    "best": {
        "1": {"sigmas": [80.0], "distance": 12.0},
        "2": {"sigmas": [80.0, 0.9], "distance": 9.0},
    },
    "baselines": {"2": [{"name": "ict_published", "sigmas": [80.0, 0.821], "distance": 10.0}]},
}


def fixed(schedule: NoiseSchedule) -> NoiseSchedule:
    """What is exported of it: of an adaptive one what it has come to, here its start."""
    noise = schedule.noise
    if schedule.weight.LEARNED:
        return dataclasses.replace(schedule, weight=Tabulated(log_t=(-4.0, 3.0), log_weight=(9.0, -1.5)))
    if not isinstance(noise, AdaptiveNoise):
        return schedule
    return dataclasses.replace(schedule, noise=noise.found(noise.start(), schedule.grid.sigmas(21)))


def exported(schedule: NoiseSchedule, *, confirmed: bool = True, measured: bool = True) -> dict[str, Any]:
    """The document of a search that this schedule has won."""

    records = [record(0, (TOTAL_STEPS, 30.0), schedule=schedule)]
    if confirmed:
        records += replicates(0, (40.0, 43.0, 41.0), first=1, step=TOTAL_STEPS, schedule=schedule)
    document = export_document(
        leaderboard("toy", "fd_toy", records),
        HEADER,
        unconfirmed=not confirmed,
        measured=lambda row: MEASURED if measured else None,
        found=lambda row: fixed(schedule),
    )
    found: dict[str, Any] = json.loads(export_text(document))
    return found


ICT = exported(PRESETS["ict"].schedule)


def old_export(document: dict[str, Any]) -> dict[str, Any]:
    """As version 0.1.0 wrote it."""
    old = unchecked(document)
    del old["sampling"], old["training"]["function"], old["training"]["weighting"]
    return old


def unchecked(document: dict[str, Any]) -> dict[str, Any]:
    """Without its checksum, as version 0.2.0 wrote it."""
    found = copy.deepcopy(document)
    del found["provenance"]["document_sha256"]
    return found


def edited(place: str, value: Any) -> dict[str, Any]:
    """The iCT document with one value replaced, or removed where it is `...`."""
    document = copy.deepcopy(ICT)
    *path, last = place.split(".")
    target: Any = document
    for key in path:
        target = target[int(key) if isinstance(target, list) else key]
    key = int(last) if isinstance(target, list) else last
    if value is ...:
        del target[key]
    else:
        target[key] = value
    return document


def message_of(source: Any) -> str:
    with pytest.raises(ValueError) as caught:
        load_schedule(source)
    assert is_clean(caught.value)
    return str(caught.value)


def is_clean(error: ValueError) -> bool:
    """A plain ValueError of one short line."""
    return type(error) is ValueError and str(error).isprintable() and 10 < len(str(error)) <= 300


@pytest.mark.parametrize(
    "name", [name for name, preset in PRESETS.items() if not preset.schedule.loss.DENOISES]
)
@pytest.mark.parametrize("confirmed", [True, False])
def test_every_export_reads_back_as_what_was_exported(name: str, confirmed: bool, tmp_path: Path) -> None:
    schedule = fixed(PRESETS[name].schedule)
    document = exported(PRESETS[name].schedule, confirmed=confirmed)
    path = tmp_path / "best_schedule.json"
    path.write_text(export_text(document))
    for source in (document, path, str(path)):
        loaded = load_schedule(source)
        assert loaded.schedule == schedule
        assert loaded.confirmed is confirmed
        assert loaded.training is not None and loaded.sampling is not None
        assert loaded.training.total_steps == TOTAL_STEPS
        assert loaded.training.stages == schedule.stages(TOTAL_STEPS)
        huber_c = schedule.loss.huber_c_of(0.00054)
        assert (loaded.training.huber_c, loaded.training.sigma_data) == (huber_c, 0.5)
        weighted = schedule.noise.loss_weights(torch.ones(1)) is not None
        name = name_of(schedule.weight)
        assert loaded.training.weighting == (f"{name}_importance" if weighted else name)
        assert loaded.sampling.steps == {1: (80.0,), 2: (80.0, 0.9)}
        assert loaded.sampling.distances == {1: 12.0, 2: 9.0}
        assert (loaded.objective, loaded.evidence, loaded.provenance) == (
            document["objective"],
            document["evidence"],
            document["provenance"],
        )
    assert pickle.loads(pickle.dumps(loaded)).schedule == schedule


WHOLE = dataclasses.replace(
    PRESETS["ict"].schedule, weight=WEIGHTS["edm"](), loss=LOSSES["pseudo_huber"](huber_c=1e-3)
)


def test_weight_and_loss_are_exported_as_version_2_and_read_back() -> None:
    document = exported(WHOLE)
    assert document["format"] == "noise-schedule/2"
    validator().validate(document)
    loaded = load_schedule(document)
    assert loaded.schedule == WHOLE and loaded.checked
    assert loaded.training is not None and loaded.training.weighting == "edm"
    assert loaded.training.huber_c == 1e-3
    stage = document["training"]["stages"][0]
    t_M, r_M = np.array(stage["t"]), np.array(stage["r"])
    np.testing.assert_allclose(t_M, WHOLE.grid.sigmas(11)[1:])
    np.testing.assert_allclose(r_M, WHOLE.grid.sigmas(11)[:-1])
    np.testing.assert_allclose(stage["weights"], 1 / t_M**2 + 4)
    squared = exported(dataclasses.replace(WHOLE, loss=LOSSES["squared_l2"]()))
    assert squared["training"]["huber_c_over_sqrt_d"] is None
    assert load_schedule(squared).training.huber_c is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("weights", r"training.stages\[1\].weights must be the schedule's, but differs from it"),
        ("r", r"training.stages\[1\].r must be the schedule's, but differs from it"),
        ("huber", "those of the schedule"),
        ("rules", "training.rules must be the schedule's, but differs from it"),
        ("weighting", "training.weighting must be the schedule's, 'edm', but differs from it"),
    ],
)
def test_what_a_document_of_version_2_says_twice_must_agree(key: str, message: str) -> None:
    document = unchecked(exported(WHOLE))
    training = document["training"]
    match key:
        case "huber":
            training["huber_c_over_sqrt_d"] = 2e-3
        case "rules":
            training["rules"]["r"] = "max(sigma_min, t (1 - 1 / q))"
        case "weighting":
            training["weighting"]["name"] = "uniform"
        case _:
            training["stages"][1][key][3] *= 1 + 1e-6
    with pytest.raises(ValueError, match=message):
        load_schedule(document)


def test_a_gap_is_exported_with_its_rules_and_its_quantiles() -> None:
    document = exported(PRESETS["ect"].schedule)
    validator().validate(document)
    training = document["training"]
    assert training["rules"] == {
        "t": "quantile (j + .5) / 4096 of the law between sigma_min and sigma_max, j = 0, 1, ...",
        "r": ECTGap.RULE,
    }
    assert [stage["start_step"] for stage in training["stages"]] == [
        stage.start_step for stage in PRESETS["ect"].schedule.stages(TOTAL_STEPS)
    ]
    for s, stage in enumerate(training["stages"]):
        t_Q = np.array(stage["t"])
        share_Q = (1 + 8 / (1 + np.exp(t_Q))) / 2 ** (s + 1)
        np.testing.assert_allclose(stage["r"], np.maximum(0.002, t_Q * (1 - share_Q)))
        assert set(stage["probabilities"]) == {1 / 4096}


def test_a_bare_schedule_and_an_export_of_the_first_version_read_back_too() -> None:
    schedule = PRESETS["ict"].schedule
    assert load_schedule(schedule.to_dict()) == LoadedSchedule(schedule=schedule)
    old = load_schedule(old_export(ICT))
    assert old.schedule == schedule and old.sampling is None
    assert old.training is not None and old.training.weighting == "inverse_gap"


def test_without_measurement_there_is_one_step_from_sigma_max() -> None:
    sampling = load_schedule(exported(PRESETS["ict"].schedule, measured=False)).sampling
    assert sampling is not None
    assert (sampling.steps, sampling.distances, sampling.measured) == ({1: (80.0,)}, {}, None)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("format", ..., "`format` must be 'noise-schedule/1' or 'noise-schedule/2', but got None"),
        ("format", "noise-schedule/3", "but got 'noise-schedule/3'"),
        ("format", "noise-schedule/2", "training.stages.0.t is missing"),
        ("schedule.weight", {"name": "uniform"}, "`format` must be 'noise-schedule/2' for this schedule"),
        ("schedule.weight", {"name": "unifrom"}, "schedule.weight: Unknown weight 'unifrom'"),
        ("format", ["noise-schedule/1"], "`format` must be"),
        ("extra", 1, "extra: unknown option"),
        ("confirmed", False, "`confirmed` must say whether evidence.mean is there"),
        ("confirmed", 1, "confirmed: input should be a valid boolean"),
        ("schedule", ..., "schedule: schedule is missing"),
        ("schedule.noise.p_mean", -1.0, "training.stages[0].interval_probabilities must be the schedule's"),
        ("schedule.noise.p_mean", "-1.1", "schedule.noise.p_mean: input should be a valid number"),
        ("schedule.noise.name", "lognorml", "schedule.noise: Unknown noise family 'lognorml'"),
        ("schedule.uniform_floor", 2.0, "schedule: `0 <= uniform_floor < 1` must hold, but got uniform_f"),
        (
            "schedule.grid",
            {"sigma_min": 1e5, "sigma_max": 1e6},
            "training.stages[0].sigmas must be the schedule",
        ),
        (
            "schedule.noise",
            {"name": "tabulated", "weights": [1.0], "sigmas": [1e3, 1e4]},
            "schedule: tabulated(bins=1, median_sigma=3162) has no mass between sigma=0.002 and sigma=80",
        ),
        ("schedule.grid.rho", 6.9, "training.stages[0].sigmas must be the schedule's"),
        (
            "schedule.curriculum.doublings",
            6,
            "training.stages must be those of the schedule, 7, but there are 8",
        ),
        (
            "describe",
            "ict",
            "`describe` must be the schedule's, 'lognormal(p_mean=-1.1, p_std=2) rho=7 expon",
        ),
        ("training.total_steps", 48, "training.stages[1].start_step must be the schedule's"),
        ("training.total_steps", 0, "training.total_steps: input should be greater than or equal to 1"),
        (
            "training.total_steps",
            10**9,
            "training.total_steps: input should be less than or equal to 10000000",
        ),
        ("training.total_steps", 40.0, "training.total_steps: input should be a valid integer"),
        ("training.total_steps", 400_000, "training.stages[1].start_step must be the schedule's"),
        ("training.loss", "L2", "training.loss: input should be 'pseudo-Huber"),
        ("training.weighting.formula", "1", "training.weighting.formula: input should be '1 / (sigma[i+1]"),
        ("training.sigma_data", 0, "training.sigma_data: input should be greater than or equal to 0.001"),
        ("training.huber_c_over_sqrt_d", math.nan, "numbers must be finite, but got nan"),
        ("training.stages", [], "training.stages: list should have at least 1 item"),
        ("training.stages.7", ..., "training.stages must be those of the schedule, but it has more"),
        ("training.stages.0.sigmas.3", 1.0, "training.stages[0].sigmas must be the schedule's"),
        ("training.stages.0.sigmas.3", ..., "training.stages must be those of the schedule, but it has more"),
        (
            "training.stages.0.interval_probabilities.3",
            0.1,
            "training.stages[0].interval_probabilities must be",
        ),
        ("training.stages.2.start_step", 11, "training.stages[2].start_step must be the schedule's"),
        ("sampling.sampler", "ddim", "sampling.sampler: input should be 'x = f("),
        (
            "sampling.sigma_max",
            81.0,
            "sampling.sigma_max must be the schedule's, 80, or a level below it, but got 81",
        ),
        ("sampling.sigma_min", 0.003, "sampling.sigma_min must be the schedule's, 0.002, but got 0.003"),
        ("sampling.steps", {}, "sampling.steps: dictionary should have at least 1 item"),
        (
            "sampling.steps.2",
            [80.0],
            "sampling.steps.2 must have as many levels as network evaluations, but has 1",
        ),
        ("sampling.steps.2", [80.0, 80.0], "sampling.steps.2 must decrease"),
        ("sampling.steps.2", [80.0, 0.002], "sampling.steps.2 must decrease and stay above sigma_min"),
        ("sampling.steps.2", [79.0, 0.9], "sampling.steps.2 must start at sigma_max, 80, but got 79"),
        ("sampling.steps.02", [80.0, 0.9], "sampling.steps.02.[key]: string should match pattern"),
        ("sampling.measured.distances.3", 5.0, "sampling.measured.distances must belong to sampling.steps"),
        (
            "sampling.measured.objective",
            "fid",
            "sampling.measured.objective must be the objective's, 'fd_toy', but got 'fid'",
        ),
        (
            "sampling.measured.extractor_sha256",
            "f" * 64,
            "sampling.measured.extractor_sha256 must be the objective's, 'eeee",
        ),
        (
            "objective.extractor_sha256",
            "f" * 64,
            "sampling.measured.extractor_sha256 must be the objective's",
        ),
        ("sampling.measured.held_out_seeds", [1], "must not have search_seed among them"),
        ("sampling.measured.baselines.0.sigmas", [80.0, 90.0], "baselines[0].sigmas must decrease"),
        ("training.sigma_data", 1e308, "training.sigma_data: input should be less than or equal to 1000"),
        (
            "training.sigma_data",
            5e-324,
            "training.sigma_data: input should be greater than or equal to 0.001",
        ),
        (
            "training.huber_c_over_sqrt_d",
            1e-10,
            "training.huber_c_over_sqrt_d: input should be greater than or",
        ),
        ("objective.extractor_sha256", "e" * 63, "objective.extractor_sha256: string should match pattern"),
        ("evidence.mean", 39.0, "evidence.mean must be the geometric mean of evidence.values, but is 39.0"),
        ("evidence.mean", None, "`confirmed` must say whether evidence.mean is there, but is True"),
        ("evidence.values", {}, "evidence.values must have the number of each seed"),
        ("evidence.values.1", 20.0, "evidence.mean must be the geometric mean of evidence.values"),
        (
            "evidence.values",
            {"1": 1e308, "2": 1e308},
            "evidence.mean must be the geometric mean of evidence.values",
        ),
        ("provenance", [], "provenance: input should be an object"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(place: str, value: Any, message: str) -> None:
    assert message in message_of(edited(place, value))


def test_a_message_is_one_line_whatever_it_quotes() -> None:
    for junk in ("a\nb", "\x1b[31m", "\u2028", "\ud800", "x" * 10_000, "\0"):
        message_of({"format": junk})
        message_of({**ICT, junk[:150]: 1})
        message_of(edited("schedule.noise.name", junk))
        message_of({junk[:150]: 1})
        message_of(junk)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON: Expecting value, line 1 column 1"),
        ("[" * 100_000, "nested"),
        ('{"a":' * 100_000, "nested"),
        ("[" * 500 + "]" * 500, "must be nested at most 16 deep"),
        ("[]", "an object is needed, but got []"),
        ("null", "an object is needed, but got None"),
        ('{"format": NaN}', "numbers must be finite, but got NaN"),
        ('{"format": -Infinity}', "numbers must be finite, but got -Infinity"),
        ('{"format": 1e999}', "numbers must be finite, but got inf"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice in one object"),
        ('{"a": ' + "9" * 5000 + "}", "integers must have at most 63 bits, but one has 5000 digits"),
        ('{"a": 99999999999999999999}', "integers must have at most 63 bits"),
        ('{"a": 0.' + "1" * 5000 + "}", "numbers must have at most 400 characters"),
        ('{"a": "' + "x" * 200_000 + '"}', "texts must have at most 100000 characters"),
        ('{"' + "x" * 1000 + '": 1}', "keys must be texts of at most 200 characters"),
        ('{"format": "noise-schedule/1"} x', "not JSON: Extra data"),
        ("\ufeff{}", "not JSON"),
        ("{'format': 1}", "not JSON"),
    ],
)
def test_text_that_is_no_json_of_ours_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    found = message_of(path)
    assert message in found
    assert "x.json: " in found


def test_files_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xe9"}')
    assert "must be UTF-8 text, but has the byte 0xe9" in message_of(tmp_path / "latin.json")
    assert "No such file" in message_of(tmp_path / "missing.json")
    assert "Is a directory" in message_of(tmp_path)
    assert "cannot be read" in message_of("a\0b")
    assert "File name too long" in message_of("x" * 5000)
    monkeypatch.setattr(spaces.document.strict_json, "MAX_BYTES", 1000)
    (tmp_path / "large.json").write_text(export_text(ICT))
    assert "must have at most 1000 bytes" in message_of(tmp_path / "large.json")


def test_what_is_no_plain_data_is_refused_and_nothing_in_it_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Bomb:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was asked for")

        def __repr__(self) -> str:
            raise AssertionError("repr was called")

    endless: dict[str, Any] = {}
    endless["schedule"] = endless
    for source in (
        *(Bomb(), {"schedule": Bomb()}, {1: 2}, {Bomb(): 1}, endless, {"a": b"x"}, {"a": {1, 2}}),
        *(3, 3.5, True, None, [], b"x.json", {"a": np.arange(3)}, {"a": torch.ones(2)}, {"a": 2**63}),
    ):
        message_of(source)
    monkeypatch.setattr(spaces.document.strict_json, "MAX_VALUES", 1000)
    assert "must have at most 1000 values" in message_of(ICT)


def num_values(data: Any) -> int:
    """Numbers, texts, lists and objects, as the reader counts them."""
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list | tuple) else ()
    return 1 + sum(map(num_values, inner))


def test_whatever_may_be_trained_can_be_written_and_read_back() -> None:
    """`values_of`, by which searches are refused, counts what an export takes, and the reader has room for it."""
    for name in ("ct", "ict", "kim_clusters"):
        curriculum = PRESETS[name].schedule.curriculum
        stages = exported(PRESETS[name].schedule)["training"]["stages"]
        levels = sum(len(stage["sigmas"]) for stage in stages)
        values = num_values(stages)
        assert values == values_of(len(stages), levels) + 1  # the list itself
        assert values <= curriculum.most_values(TOTAL_STEPS) + 1
    for schedule in SMALL:
        document = exported(schedule)
        assert len(export_text(document)) <= 32 * num_values(document)
    assert TrainingConfig.BOUNDS["total_steps"] == (1, MAX_TOTAL_STEPS)


def test_a_file_of_too_many_values_is_refused_before_anything_is_made_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **options: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(spaces.document.strict_json, "MAX_VALUES", 1000)
    monkeypatch.setattr(json, "loads", never)
    for text in ("[" + "[]," * 600 + "[]]", "1," * 1001, '{"a":' * 600 + "[" * 600):
        (tmp_path / "many.json").write_text(text)
        assert "must have at most 1000 values" in message_of(tmp_path / "many.json")


def test_a_few_bytes_do_not_ask_for_gigabytes() -> None:
    """Options of three million stages of 8,000 levels each, in a document with one."""
    wild = {"name": "sinusoidal", "s0": 2, "s1": 16_384, "period": 0.01, "delta": 0.0}
    document = edited("schedule.curriculum", wild)
    document["training"]["total_steps"] = 1_000_000
    assert "but it has more stages or more levels" in message_of(document)


def test_another_machines_last_digits_are_accepted_and_more_is_not() -> None:
    for factor, accepted in ((1 + 1e-12, True), (1 + 1e-7, False)):
        document = unchecked(ICT)
        for stage in document["training"]["stages"]:
            stage["sigmas"] = [sigma * factor for sigma in stage["sigmas"]]
        if accepted:
            assert load_schedule(document).schedule == PRESETS["ict"].schedule
        else:
            assert "training.stages[0].sigmas" in message_of(document)


# A thousand inputs that nobody foresaw. Accepted wrongly would be: a document whose parts contradict each
# other, or a result that says something else than the document does.

JUNK: list[Any] = [None, True, False, -1, 0, 1, 2, 40, 0.5, -0.0, 1e308, 1e-308, "", "x", [], {}, [1.0]]
NUMBERS = [1e308, -1e308, 5e-324, 2**62, 0, 0.0]
JUNK += [10**400, math.inf, math.nan, "\ud800", [[[[]]]], {"name": "ict"}, "noise-schedule/1", {"1": [80.0]}]


# One of each kind of law and curriculum, with few levels.
SMALL = [
    NoiseSchedule.from_dict({"grid": {"rho": rho}, "noise": {"name": noise}, "curriculum": curriculum})
    for rho, noise, curriculum in [
        (7.0, "lognormal", {"name": "exponential", "s0": 4, "doublings": 2}),
        (5.0, "polynomial", {"name": "constant", "levels": 8}),
        (3.0, "logsnr_laplace", {"name": "sinusoidal", "s0": 4, "s1": 9}),
    ]
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every value in the document; of long lists only the first, one in the middle and the last."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for i in sorted({0, len(value) // 2, len(value) - 1} & set(range(len(value)))):
            yield from places(value[i], (*path, i))


def changed(value: Any, rng: random.Random) -> Any:
    kind = rng.randrange(4)
    if kind <= 1 and type(value) is bool:
        return not value
    if kind <= 1 and type(value) is float:
        return value * rng.choice([0.5, 0.999, 1.001, 2])
    if kind <= 1 and type(value) is int:
        return value + rng.choice([-1, 1])
    if kind <= 1 and isinstance(value, list | str):
        return rng.choice([value + value, value[::-1]])
    return rng.choice(JUNK)


def at(document: Any, path: Iterable[Any]) -> Any:
    for step in path:
        document = document[step]
    return document


def all_numbers(value: Any, number: float) -> Any:
    """With every number in it replaced: what each alone passes for may be too much for a sum."""
    if isinstance(value, dict):
        return {key: all_numbers(item, number) for key, item in value.items()}
    if isinstance(value, list):
        return [all_numbers(item, number) for item in value]
    return number if type(value) in (int, float) else value


def mutated(document: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    document = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        all_places = [path for path in places(document) if path]
        if not all_places:
            break
        kind = rng.randrange(9)
        inner = [path for path in all_places if isinstance(at(document, path), dict | list)]
        *path, key = rng.choice(inner if kind in (2, 3) and inner else all_places)
        target = at(document, path)
        if kind == 0:
            del target[key]
        elif kind == 1 and isinstance(target, dict):
            target["".join(rng.choices(string.printable, k=5))] = target[key]
        elif kind in (2, 3):
            target[key] = all_numbers(target[key], rng.choice(NUMBERS))
        else:
            target[key] = changed(target[key], rng)
    return document


def means(values: list[float]) -> list[float]:
    """The geometric mean, and the arithmetic, which version 0.1.0 wrote."""
    geometric = [statistics.geometric_mean(values)] if min(values) > 0 else []
    return [*geometric, sum(values) / len(values)]  # inf beyond the floats


def contradictions(document: dict[str, Any], loaded: LoadedSchedule) -> Iterator[str]:
    """What is wrong with a document that was accepted."""
    if loaded.schedule != NoiseSchedule.from_dict(document["schedule"]):
        yield "another schedule"
    assert loaded.training is not None
    claimed = document["training"]
    if (loaded.training.total_steps, loaded.training.sigma_data, loaded.training.huber_c) != (
        claimed["total_steps"],
        claimed["sigma_data"],
        claimed["huber_c_over_sqrt_d"],
    ):
        yield "another budget or another loss"
    stages = loaded.schedule.stages(claimed["total_steps"])
    for stage, claim in zip(stages, claimed["stages"], strict=True):
        if stage.start_step != claim["start_step"]:
            yield "another start"
        if not np.allclose(stage.sigma_N, claim["sigmas"], rtol=1e-8, atol=0):
            yield "other levels"
        if not np.allclose(stage.probability_M, claim["interval_probabilities"], rtol=0, atol=1e-8):
            yield "other probabilities"
    if loaded.confirmed is not document["confirmed"]:
        yield "confirmed or not"
    mean, values = (document["evidence"].get(key) for key in ("mean", "values"))
    if loaded.confirmed != (type(mean) in (int, float)):
        yield "confirmed without a value"
    if loaded.confirmed and not any(mean == pytest.approx(found) for found in means(list(values.values()))):
        yield "another mean than that of the values"
    steps = (document.get("sampling") or {}).get("steps")
    if (
        None if loaded.sampling is None else {str(n): list(s) for n, s in loaded.sampling.steps.items()}
    ) != steps:
        yield "other sampling levels"
    for n, levels in (steps or {}).items():
        if len(levels) != int(n) or sorted(set(levels), reverse=True) != levels:
            yield "impossible sampling levels"
    if document["describe"] != loaded.schedule.describe() or loaded.schedule.noise.ADAPTIVE:
        yield "another description, or probabilities that training would change"
    measured = (document.get("sampling") or {}).get("measured")
    if measured and measured["objective"] != document["objective"]["name"]:
        yield "distances of two names"
    for part in ("objective", "evidence", "provenance"):
        if getattr(loaded, part) != document[part]:
            yield f"another {part}"


def validator() -> jsonschema.Draft202012Validator:
    inner = referencing.Resource.from_contents(spaces.schedule_json_schema())
    registry = referencing.Registry().with_resource("noise-schedule.schema.json", inner)
    return jsonschema.Draft202012Validator(export_json_schema(), registry=registry)


def test_a_thousand_mutated_documents_are_refused_in_one_line_or_mean_what_they_say() -> None:
    rng = random.Random(0)
    bases = [exported(schedule, confirmed=rng.random() < 0.8) for schedule in SMALL]
    bases = [*map(unchecked, [*bases, exported(SMALL[1], measured=False)]), old_export(bases[0])]
    schema = validator()
    refused, accepted = 0, 0
    for _ in range(1000):
        document = mutated(rng.choice(bases), rng)
        try:
            loaded = load_schedule(document)
        except ValueError as error:
            refused += is_clean(error)
            continue
        accepted += 1
        assert list(contradictions(document, loaded)) == []
        assert schema.is_valid(document)
    # Mostly refused; what is accepted is a change of words, of provenance, or one that is told (sigma_data).
    assert refused + accepted == 1000
    assert refused > 600
    assert accepted > 50


def test_a_thousand_damaged_files_are_refused_in_one_line_or_mean_what_they_say(tmp_path: Path) -> None:
    rng = random.Random(1)
    base = export_text(exported(SMALL[0])).encode()
    path = tmp_path / "damaged.json"
    refused, accepted = 0, 0
    for _ in range(1000):
        content = bytearray(base)
        for _ in range(rng.choice([1, 1, 2, 20])):
            at = rng.randrange(len(content))
            kind = rng.randrange(4)
            if kind == 0:
                content[at] = rng.randrange(256)
            elif kind == 1:
                del content[at : at + rng.randrange(1, 50)]
            elif kind in (2, 3):
                content[at:at] = rng.choice(
                    [b'"', b"{", b"[", b",", b"1", b"e", b"-", b"NaN", b"\x00", b"\xff"]
                )
            else:
                content = content[:at] if rng.random() < 0.2 else content
            if not content:
                break
        path.write_bytes(content)
        try:
            loaded = load_schedule(path)
        except ValueError as error:
            refused += is_clean(error)
            continue
        accepted += 1
        assert list(contradictions(json.loads(content), loaded)) == []
    assert refused + accepted == 1000
    assert refused > 700


def test_a_thousand_random_texts_are_refused(tmp_path: Path) -> None:
    rng = random.Random(2)
    path = tmp_path / "random.json"
    pieces = [
        '{"',
        '"',
        ":",
        ",",
        "}",
        "[",
        "]",
        "1e9",
        "-",
        "null",
        "format",
        "noise-schedule/1",
        "\\u",
        "é",
    ]
    for _ in range(1000):
        path.write_text("".join(rng.choices(pieces, k=rng.randrange(30))))
        assert message_of(path)


def test_the_published_schema_is_current_and_valid() -> None:
    schema = json.loads(PUBLISHED.read_text())
    assert schema == export_json_schema(), (
        "Write it anew: python -c \"import json, spaces; open('spaces/noise-schedule-export.schema.json', 'w')"
        ".write(json.dumps(spaces.export_json_schema(), indent=2) + '\\n')\""
    )
    jsonschema.Draft202012Validator.check_schema(schema)


def test_an_adaptive_winner_is_exported_as_what_it_came_to_and_says_so() -> None:
    adaptive = PRESETS["second_moment"].schedule
    document = exported(adaptive)
    assert document["schedule"]["noise"]["name"] == "tabulated"
    assert NoiseSchedule.from_dict(document["provenance"]["adapted_from"]) == adaptive
    assert document["training"]["loss"].endswith("M p[i])")
    as_it_started = {**document, "schedule": adaptive.to_dict(), "describe": adaptive.describe()}
    assert "schedule.noise must have fixed probabilities, but loss_second_moment" in message_of(as_it_started)
    document["training"]["weighting"] = ICT["training"]["weighting"]
    assert "training.weighting must be the schedule's" in message_of(document)


def test_a_winner_whose_weight_was_learned_is_exported_with_what_it_came_to_and_says_so() -> None:
    learned = dataclasses.replace(PRESETS["ect"].schedule, weight=WEIGHTS["learned_uncertainty"]())
    document = exported(learned)
    validator().validate(document)
    assert document["format"] == "noise-schedule/2"
    assert NoiseSchedule.from_dict(document["provenance"]["adapted_from"]) == learned
    assert document["training"]["weighting"] == {
        "name": "tabulated",
        "formula": "exp(interp(log(t), log_t, log_weight))",
    }
    stage = document["training"]["stages"][0]
    expected = [math.exp(np.interp(math.log(t), (-4, 3), (9, -1.5))) for t in stage["t"]]
    assert stage["weights"] == pytest.approx(expected, rel=1e-12)
    assert load_schedule(document).schedule == fixed(learned)
    as_it_started = {**document, "schedule": learned.to_dict(), "describe": learned.describe()}
    assert "schedule.weight must be fixed, but learned_uncertainty is learned" in message_of(as_it_started)


def test_the_schema_accepts_what_is_exported_and_the_loader_refuses_what_it_refuses() -> None:
    schema = validator()
    for name in PRESETS:
        document = exported(PRESETS[name].schedule)
        schema.validate(document)
        schema.validate(old_export(document))
    for place, value in [
        ("extra", 1),
        ("confirmed", "yes"),
        ("schedule.noise.std", 2.0),
        ("schedule.grid.rho", 0.0),
        ("training.loss", "L2"),
        ("training.stages.0.extra", 1),
        ("training.stages.0.sigmas", []),
        ("sampling.steps.x", [80.0]),
        ("objective.num_samples", 1),
    ]:
        document = edited(place, value)
        assert not schema.is_valid(document), place
        message_of(document)


# --- one checksum over all of it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("sampling.measured.distances.2", 1.0),
        ("sampling.measured.baselines.0.distance", 90.0),
        ("sampling.measured.num_samples", 50_000),
        ("sampling.measured.method", "by magic"),
        ("sampling.steps.2.1", 0.91),
        ("training.huber_c_over_sqrt_d", 0.0006),
        ("training.sigma_data", 0.6),
        ("objective.num_samples", 50_000),
        ("evidence.finding", "trial 0 is better than all."),
        ("evidence.search_value", 1.0),
        ("provenance.trial", 7),
        ("provenance.git_commit", "f" * 40),
        ("provenance.more", 1),
    ],
)
def test_what_stands_there_only_once_is_under_a_checksum(place: str, value: Any) -> None:
    assert load_schedule(ICT).checked
    changed = edited(place, value)
    with pytest.raises(ValueError, match="the document was changed after it was written") as refused:
        load_schedule(changed)
    assert is_clean(refused.value)
    assert not load_schedule(unchecked(changed)).checked  # as before: but said


def test_other_software_may_write_the_file_anew() -> None:
    """Another order of keys, another indent, 80 for 80.0."""
    text = json.dumps(ICT, sort_keys=True).replace("80.0", "80")
    assert load_schedule(json.loads(text)).checked


def test_what_is_made_of_an_unchecked_document_says_so() -> None:
    target, said = FORMATS["k_diffusion"](), "The document has no checksum"
    assert said not in target.render(ICT).files["README.txt"]
    assert said in target.render(unchecked(ICT)).files["README.txt"]


def test_a_script_s_export_has_neither_loss_nor_distance_of_ours() -> None:
    document = trial_document(PRESETS["ict"].schedule, TOTAL_STEPS, "fid", 7)
    loaded = load_schedule(document)
    assert loaded.schedule == PRESETS["ict"].schedule
    assert loaded.training is not None
    assert (loaded.training.loss, loaded.training.weighting, loaded.training.huber_c) == (None, None, None)
    assert (loaded.sigma_data, loaded.confirmed, loaded.sampling) == (0.5, False, None)
    schema = json.loads(PUBLISHED.read_text())
    schema["properties"].pop("schedule")
    schema["properties"]["schedule"] = {}
    jsonschema.Draft202012Validator(schema).validate(document)
    for key, value in (("sigma_data", 0.5), ("huber_c_over_sqrt_d", 0.1)):
        with pytest.raises(ValueError, match=r"training\.loss must not be null beside numbers of our loss"):
            load_schedule({**document, "training": {**document["training"], key: value}})
