"""Gap, weight, loss and start in a search file: what has no meaning together is refused, in one line each."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from search.errors import InputError
from search.export_format import FORMATS
from search.file.identity import changed_fields
from search.file.spec import SearchSpec, load_spec, spec_of
from search.file.yaml12 import Document, SpecError
from search.running.cost import cost_of
from search.running.own_code import files_of, sha256_of_start
from search.simulator.table import check_recorded, read_table, table_path
from search.winner.sampling import sampling_part
from spaces import PRESETS, load_schedule
from spaces.document.writing import training_part, trial_document
from trainable.network import NETWORKS

DENOISING: dict[str, Any] = {"noise": {"lognormal": None}, "loss": {"denoising": {"heun_steps": 9}}}


def written(folder: Path, **sections: Any) -> Path:
    path = folder / "search.yaml"
    path.write_text(yaml.safe_dump({"name": "x", "data": "digits", **sections}))
    return path


def spec(folder: Path, **sections: Any) -> SearchSpec:
    return load_spec(written(folder, **sections))


def problems(folder: Path, **sections: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        spec(folder, **sections)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{folder}/search.yaml") for line in lines)
    return lines


def test_a_search_of_diffusion_models_has_its_own_defaults(tmp_path: Path) -> None:
    found = spec(tmp_path, space=DENOISING)
    assert found.presets == ["edm"]
    assert found.num_evaluations == 17
    assert found.measures.nfe == [17]
    assert [family.name for family in found.space.weight] == ["edm"]
    again = tmp_path / "again.yaml"
    again.write_text(found.to_yaml())
    assert load_spec(again).resolved() == found.resolved()
    usual = spec(tmp_path)
    assert (usual.presets, usual.num_evaluations, usual.measures.nfe) == (["ict"], 1, [1, 2])


WITHOUT_MEANING = {
    "a gap for the denoising loss": (
        {"space": DENOISING | {"gap": {"ect": None}}},
        r"space.gap: has no meaning with the loss denoising",
    ),
    "a weight of a gap for it": (
        {"space": DENOISING | {"weight": {"inverse_gap": None}}},
        "space.weight.inverse_gap: has no meaning with the loss denoising",
    ),
    "a grid for it": (
        {"space": DENOISING | {"grid": {"rho": 7}}},
        "space.grid.rho: would have no effect with",
    ),
    "a curriculum for it": (
        {"space": DENOISING | {"curriculum": {"constant": None}}},
        "space.curriculum: would have no effect with",
    ),
    "a law over the index for it": (
        {"space": DENOISING | {"noise": {"beta": None}}},
        "space.noise.beta: is no law over sigma",
    ),
    "it beside another loss": (
        {"space": {"loss": {"denoising": None, "squared_l2": None}}},
        "space.loss.denoising: is searched alone",
    ),
    "its sampler searched": (
        {"space": {"loss": {"denoising": {"heun_steps": {"low": 4, "high": 9}}}}},
        "space.loss.denoising.heun_steps: is by what all samples of a search are made",
    ),
    "a preset of other evaluations": (
        {"space": DENOISING, "presets": ["ict"]},
        "presets[0]: must be sampled as the schedules of the space are, in 17 network evaluations, but ict takes 1",
    ),
    "a diffusion model beside consistency models": (
        {"presets": ["ict", "edm"]},
        "presets[1]: must be sampled as the schedules of the space are, in 1 network evaluation, but edm takes 35",
    ),
    "sampling levels that are searched": (
        {"space": DENOISING, "presets": [], "sampling": {"nfe": [2]}},
        "sampling.nfe: has no meaning with the loss denoising",
    ),
    "an even number of evaluations": (
        {"space": DENOISING, "presets": [], "measures": {"nfe": [1, 2]}},
        "measures.nfe[1]: must be odd with the loss denoising",
    ),
    "a master grid with a continuous gap": (
        {"space": {"gap": {"ect": None}, "grid": {"karras_master": None}}},
        "space.grid.karras_master: would have no effect with a gap that is not adjacent",
    ),
    "a gap that float32 does not show": (
        {"space": {"gap": {"constant_ratio": {"q": 9e5}}, "grid": {"sigma_min": 1e-6}}},
        "space.gap.constant_ratio: the gap constant_ratio(q=9e+05) is too narrow",
    ),
    "no start in `start`": (
        {"start": {}},
        "start: must have one of `diffusion` with its `steps`, `checkpoint` with a file of weights",
    ),
    "two starts": (
        {"start": {"diffusion": {"steps": 9}, "checkpoint": "w.pt"}},
        "start: must have one of `diffusion` with its `steps`",
    ),
    "a diffusion model of no steps": (
        {"start": {"diffusion": {"steps": 0}}},
        "start.diffusion.steps: must be >= 1, but got 0",
    ),
    "a diffusion model that starts from one": (
        {"space": DENOISING, "start": {"diffusion": {"steps": 9}}},
        "start: has no meaning with the loss denoising",
    ),
    "weights that are not there": (
        {"start": {"checkpoint": "w.pt"}},
        "w.pt cannot be read: No such file or directory",
    ),
    "a teacher that is not below its student": (
        {"space": {"gap": {"constant_ratio": {"q": 1.0}}}},
        "space.gap.constant_ratio.q: `1.1 <= q <= 1.04858e+06` must hold",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sections", "message"), WITHOUT_MEANING.values(), ids=WITHOUT_MEANING)
def test_a_combination_without_meaning_is_one_line(
    sections: dict[str, Any], message: str, tmp_path: Path
) -> None:
    lines = problems(tmp_path, **sections)
    assert len(lines) == 1 and message in lines[0], lines


def test_every_format_takes_a_diffusion_model_or_says_that_it_does_not() -> None:
    schedule = PRESETS["edm"].schedule
    document = trial_document(schedule, 100, "own", 0) | {
        "training": training_part(schedule, 100, 0.00054, 0.5)
    }
    taken = set()
    for name, cls in FORMATS.items():
        if cls.DENOISES:
            rendered = cls().render(document)
            taken.add(name)
            assert set(rendered.used) == {35}
        else:
            with pytest.raises(InputError, match=r"samples from a consistency model, .*Take one of edm, .*"):
                cls().render(document)
    assert taken >= {"json", "torch", "edm", "k_diffusion", "flow_training"}
    assert "--steps 18 --sigma_min 0.002 --sigma_max 80.0" in FORMATS["edm"]().render(document).calls[35]


# --- start -------------------------------------------------------------------------------------------------


def weights(folder: Path, network: Any) -> Path:
    module = NETWORKS.build(network).build((1, 8, 8))
    torch.save(dict(module.state_dict()), folder / "w.pt")
    return folder / "w.pt"


def test_a_start_is_part_of_what_a_search_is(tmp_path: Path) -> None:
    plain, started = spec(tmp_path), spec(tmp_path, start={"diffusion": {"steps": 200}})
    assert "start" not in plain.resolved()
    assert started.resolved()["start"] == {"diffusion": {"steps": 200}}
    assert changed_fields(plain.fingerprint_fields(), started.fingerprint_fields()) == ["start"]
    longer = spec(tmp_path, start={"diffusion": {"steps": 400}})
    changed = changed_fields(longer.fingerprint_fields(), started.fingerprint_fields())
    assert changed == ["start.diffusion.steps"]
    again = tmp_path / "again.yaml"
    again.write_text(started.to_yaml())
    assert load_spec(again).resolved() == started.resolved()


def test_a_file_of_weights_goes_with_the_search_by_its_checksum(tmp_path: Path) -> None:
    path = weights(tmp_path, "film_mlp")
    one = spec(tmp_path, network="film_mlp", start={"checkpoint": "w.pt"})
    assert one.start is not None and one.start.checkpoint == str(path)
    (tmp_path / "elsewhere").mkdir()
    path.rename(tmp_path / "elsewhere" / "w.pt")
    other = spec(tmp_path, network="film_mlp", start={"checkpoint": "elsewhere/w.pt"})
    assert one.fingerprint_fields() == other.fingerprint_fields()  # where it lies is free
    assert files_of(other) == {"w.pt": (tmp_path / "elsewhere" / "w.pt").read_bytes()}
    assert sha256_of_start(other) == hashlib.sha256(files_of(other)["w.pt"]).hexdigest()
    # The copy that a search has kept is taken where the file is gone.
    (tmp_path / "code").mkdir()
    (tmp_path / "elsewhere" / "w.pt").rename(tmp_path / "code" / "w.pt")
    assert spec(tmp_path, network="film_mlp", start={"checkpoint": "elsewhere/w.pt"}).start is not None


def test_weights_of_another_network_are_refused_when_the_file_is_read(tmp_path: Path) -> None:
    weights(tmp_path, "mlp")
    (line,) = problems(tmp_path, network="film_mlp", start={"checkpoint": "w.pt"})
    assert "start.checkpoint: is of another network than film_mlp: it has no " in line
    weights(tmp_path, "film_mlp")
    (line,) = problems(
        tmp_path,
        network="film_mlp",
        start={"checkpoint": "w.pt"},
        holds_at=[{"network": "mlp"}],
    )
    assert "start.checkpoint: with mlp: is of another network than mlp: layers.0.weight has the shape" in line
    assert problems(tmp_path, network="film_mlp", start={"checkpoint": "w.pt", "steps": 3})


def test_a_script_has_its_own_start(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    command = ["{python}", "train.py", "{schedule}", "{seed}", "{folder}"]
    path = tmp_path / "search.yaml"
    trainer = {"name": "command", "command": command, "folder": str(tmp_path / "code"), "objective": "fid"}
    path.write_text(yaml.safe_dump({"name": "x", "trainer": trainer, "start": {"diffusion": {"steps": 3}}}))
    with pytest.raises(SpecError, match=r"start: has no meaning where a script trains"):
        load_spec(path)


# --- where sampling starts ---------------------------------------------------------------------------------

BEYOND: dict[str, Any] = {"grid": {"sigma_max": 800.0}}


def test_where_sampling_starts_is_part_of_what_a_search_is(tmp_path: Path) -> None:
    plain = spec(tmp_path, space=BEYOND, presets=[])
    started = spec(tmp_path, space=BEYOND, presets=[], sampling={"sigma_start": 80.0})
    assert changed_fields(plain.fingerprint_fields(), started.fingerprint_fields()) == ["sampling"]
    more = spec(tmp_path, space=BEYOND, presets=[], sampling={"sigma_start": 80.0, "nfe": [2]})
    assert more.fingerprint_fields() == started.fingerprint_fields()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"sampling": {"sigma_start": 81.0}},
            "must be a level that is trained, but got 81, and the space has 0.002",
        ),
        ({"space": BEYOND, "sampling": {"sigma_start": 100}}, "but got 100, and ict has 0.002 to 80"),
        ({"sampling": {"sigma_start": 0.002}}, "must be a level that is trained, but got 0.002"),
        ({"sampling": {"sigma_start": 0}}, "sampling.sigma_start: must be > 0, but got 0"),
    ],
)
def test_sampling_starts_at_a_level_that_is_trained(
    sections: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (line,) = problems(tmp_path, **sections)
    assert "sampling.sigma_start: " in line and message in line


def test_an_export_and_its_targets_start_where_sampling_does() -> None:
    schedule = PRESETS["ict"].schedule
    document = trial_document(schedule, 100, "own", 0) | {
        "training": training_part(schedule, 100, 0.00054, 0.5),
        "sampling": sampling_part(schedule, None, 20.0),
    }
    loaded = load_schedule(document)
    assert loaded.sampling is not None and loaded.sampling.steps == {1: (20.0,)}
    for name, cls in FORMATS.items():
        if name not in ("edm", "diffusers_pipeline"):  # two levels at least; a model
            assert cls().render(document).used[1] == pytest.approx((20.0,), rel=1e-5)


def test_what_it_costs_counts_a_diffusion_model_for_each_seed(tmp_path: Path) -> None:
    options = {"confirm": {"rounds": [2, 4]}, "noise_floor": {"seeds": 3}, "network": "film_mlp"}
    plain = cost_of(spec(tmp_path, **options))
    started = cost_of(spec(tmp_path, start={"diffusion": {"steps": 100}}, **options))
    assert (plain.start_steps, started.start_steps) == (0, (1 + 3 + 4) * 100)
    assert "diffusion models to start from: at most 800 steps, one model for each seed" in started.lines()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"start": {"diffusion": {"steps": 9}}}, "start"),
        ({"sampling": {"sigma_start": 20.0}}, "sampling.sigma_start"),
    ],
)
def test_what_was_recorded_from_random_weights_stands_for_no_other_search(
    changed: dict[str, Any], field: str
) -> None:
    file = Path(__file__).parents[2] / "searches" / "digits.yaml"
    given = yaml.safe_load(file.read_text()) | changed
    found = spec_of(Document("x", given, {}), file.parent)
    with pytest.raises(InputError, match=field):
        check_recorded(read_table(table_path(found)), found, found.stopping.steps(2000))
