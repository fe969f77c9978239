"""A search file that was written from a search reads back to the same search, whatever its sections hold."""

import dataclasses
import typing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.algorithm import ALGORITHMS
from search.file.spec import SearchSpec, SpecError, spec_of
from search.file.yaml12 import Document, parse_document
from search.stopping_rule import STOPPING
from spaces import CURRICULA, GRIDS, LOSSES, NOISE, PRESETS, WEIGHTS, SearchSpace
from spaces.registry import Registry, option_name, validated
from trainable.dataset import DATASETS
from trainable.extractor import EXTRACTORS
from trainable.network import NETWORKS
from trainable.optimizer_strategy import OPTIMIZER_STRATEGIES
from trainable.training.config import TrainingConfig

# As the cases had it: no preset, so there is nothing on which the noise floor is measured.
NO_PRESETS = """\
name: no_presets
data: digits
presets: []
training: {total_steps: 100}
budget: {max_trials: 4}
"""

Draw = st.DrawFn
PATHS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=120)
FOLDERS = PATHS.filter(lambda path: path.strip() and not set(path) & set("?#%~") and "://" not in path)


def accepts(cls: type, options: dict[str, Any]) -> bool:
    try:
        validated(cls, options)
    except ValueError:
        return False
    return True


def value_of(cls: Any, field: str, hint: Any) -> st.SearchStrategy[Any]:
    """Values for one option of a choice; the class may refuse some."""
    low, high = getattr(cls, "BOUNDS", {}).get(field, (1, 100))
    if typing.get_origin(hint) is typing.Literal:
        return st.sampled_from(typing.get_args(hint))
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(int(low), int(high))
    if hint is float:
        return st.floats(low, high) | st.floats(0, 1)
    if typing.Literal in map(typing.get_origin, typing.get_args(hint)):
        return st.none() | st.sampled_from(
            next(text for text in map(typing.get_args, typing.get_args(hint)) if text)
        )
    if hint == int | None:
        return st.none() | st.integers(int(low), int(high))
    if tuple[float, float] in (hint, *typing.get_args(hint)):
        pair = st.lists(st.integers(-9, 9), min_size=2, max_size=2)
        return pair if hint == tuple[float, float] else st.none() | pair
    if hint == tuple[float, ...]:
        return st.lists(st.integers(1, 99), max_size=3, unique=True).map(
            lambda numbers: [number / 100 for number in sorted(numbers)]
        )
    if hint == tuple[int, ...]:
        return st.lists(st.integers(1, 64), min_size=1, max_size=4)
    if hint == str | None:
        return st.none() | PATHS
    if hint == dict[str, Any]:
        return st.dictionaries(
            st.sampled_from(["width", "größe"]), st.integers() | st.text() | st.just([1, None])
        )
    if hint == str | dict[str, Any]:  # a feature network in another one
        return st.sampled_from(["small_cnn", "pixels", {"name": "small_cnn", "width": 4}, "resnet56"])
    if field == "class_":
        return st.just("MyNet")
    assert hint is str, f"{cls.__name__}.{field}: {hint}"
    return PATHS


def options_of(cls: Any, left_out: tuple[str, ...] = ()) -> st.SearchStrategy[dict[str, Any]]:
    hints = typing.get_type_hints(cls)
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in dataclasses.fields(cls):
        if field.name not in left_out:
            has_default = field.default is not dataclasses.MISSING
            option = option_name(field.name)
            (optional if has_default else required)[option] = value_of(cls, field.name, hints[field.name])
    return st.fixed_dictionaries(required, optional=optional).filter(lambda options: accepts(cls, options))


@st.composite
def choices(draw: Draw, registry: Registry[Any], *names: str) -> Any:
    """A choice as its name, or as a mapping with some of its options."""
    name = draw(st.sampled_from(names or tuple(registry)))
    options = draw(options_of(registry[name]))
    return {"name": name, **options} if options or draw(st.booleans()) else name


def values_in(distribution: Any) -> st.SearchStrategy[Any]:
    match distribution:
        case CategoricalDistribution():
            return st.sampled_from(distribution.choices)
        case IntDistribution():
            return st.integers(distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    return st.floats(distribution.low, distribution.high)


@st.composite
def searched(draw: Draw, distribution: Any) -> Any:
    """One option of a space: a value, a range, a range in steps, choices."""
    values = draw(st.lists(values_in(distribution), min_size=2, max_size=3, unique=True))
    low, high = min(values), max(values)
    shapes: list[Any] = [values[0], {"choices": values}]
    if not isinstance(distribution, CategoricalDistribution):
        shapes += [{"low": low, "high": high}, {"low": low, "high": high, "log": low > 0}]
        shapes += [{"low": low, "high": high, "step": 1}] if isinstance(low, int) else []
    return draw(st.sampled_from(shapes))


@st.composite
def families(draw: Draw, registry: Registry[Any]) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(list(registry)), min_size=1, max_size=2, unique=True))
    found: dict[str, Any] = {}
    for name in names:
        options = {option: searched(range_) for option, range_ in registry[name].SPACE.items()}
        found[name] = draw(st.none() | st.fixed_dictionaries({}, optional=options))
    return found


def is_a_space(mapping: dict[str, Any]) -> bool:
    try:
        SearchSpace.from_mapping(mapping)
    except ValueError:
        return False
    return True


FLOORS = st.sampled_from([0.0, 0.05, {"low": 0, "high": 0.2}, {"choices": [0, 0.05]}])
SPACES = st.fixed_dictionaries(
    {"noise": families(NOISE), "curriculum": families(CURRICULA)},
    optional={
        "grid": families(GRIDS) | st.just({"rho": {"low": 5, "high": 9}, "sigma_max": 40}),
        "uniform_floor": FLOORS,
        "weight": families(WEIGHTS),
        "loss": families(LOSSES),
    },
).filter(is_a_space)
FEW_NEEDED = ["frechet_distance"]  # metrics for any number of samples
SHARES = st.sampled_from([1, 2, 0.5, "1/3", 0.25]) | st.integers(2, 48).map(lambda n: f"1/{n}")
HOURS = st.floats(0.001, 1e6)


@st.composite
def confirms(draw: Draw, max_trials: int) -> dict[str, Any]:
    top = draw(st.integers(0, min(max_trials, 100)))
    baselines = draw(st.none() | st.integers(0, 100))
    confirm = {"top": top} if baselines is None else {"top": top, "baselines": baselines}
    num_finalists = top + ((2 if top else 0) if baselines is None else baselines)
    if num_finalists and draw(st.booleans()):
        rounds = sorted(draw(st.sets(st.integers(2, 1000), min_size=1, max_size=4)))
        confirm["rounds"] = rounds
        confirm["max_trials"] = draw(st.none() | st.integers(num_finalists * rounds[0], 1_000_000))
    return confirm


@st.composite
def preset_lists(draw: Draw) -> list[Any]:
    """Schedules of the literature by name, and some of one's own."""
    names = draw(st.lists(st.sampled_from(list(PRESETS)), max_size=3, unique=True))
    own = draw(st.lists(st.sampled_from(["mine", "of_2026"]), max_size=2, unique=True))
    return [*names, *({"name": name, "schedule": PRESETS["ict"].schedule.to_dict()} for name in own)]


@st.composite
def measured_by(draw: Draw, suiting: list[str]) -> Any:
    """The section `measures`: missing below the key, a list of judges, or all of it."""
    names = draw(st.lists(st.sampled_from(suiting), max_size=2, unique=True))
    judges = [
        {"extractor": draw(choices(EXTRACTORS, name)), **draw(st.sampled_from([{}, {"metrics": FEW_NEEDED}]))}
        for name in names
    ]
    evaluations = st.lists(st.integers(1, 10), min_size=1, max_size=3, unique=True)
    return draw(
        st.none()
        | st.just(judges)
        | st.fixed_dictionaries({"judges": st.just(judges)}, optional={"nfe": evaluations})
    )


@st.composite
def held_at(draw: Draw) -> Any:
    """The section `holds_at` of a search that has what is compared: a list of settings, or all of it."""
    # Longer than any search here, each another length, so that no setting is that of the search or another one.
    longer = draw(st.lists(st.integers(30_000, 40_000), min_size=1, max_size=2, unique=True))
    other = st.fixed_dictionaries(
        {}, optional={"network": choices(NETWORKS), "data": choices(DATASETS, "digits")}
    )
    steps = [draw(st.sampled_from([number, f"{number / 1000:g}x"])) for number in longer]
    settings = [{"training": {"total_steps": number}, **draw(other)} for number in steps]
    options = {
        "top": st.integers(1, 100),
        "rounds": st.sets(st.integers(2, 1000), min_size=1, max_size=3).map(sorted),
        "spread": st.integers(0, 1000),
        "shortlist": st.sampled_from([0, 1000]),
    }
    whole = st.fixed_dictionaries({"settings": st.just(settings)}, optional=options)
    return draw(st.just(settings) | whole)


@st.composite
def searches(draw: Draw) -> dict[str, Any]:
    """A valid search file; every section may be missing, empty or full."""
    data = draw(choices(DATASETS))
    data_name = data if isinstance(data, str) else data["name"]
    suiting = [name for name, extractor in EXTRACTORS.items() if extractor.DATA in (None, data_name)]
    objective = {"extractor": choices(EXTRACTORS, *suiting), "num_samples": st.integers(2, 10**6)}
    presets = draw(preset_lists())
    seeds = draw(st.sampled_from([0, 3]) if not presets else st.integers(0, 1000))
    rules = [name for name in STOPPING if (presets and seeds) or not STOPPING[name].USES_NOISE]
    max_trials = draw(st.none() | st.integers(5, 1_000_000))
    confirm = draw(st.none() | confirms(max_trials or 100))
    is_compared = presets and (confirm is None or (confirm["top"] and confirm.get("baselines") != 0))
    resources = draw(
        st.sampled_from([{}, {"cpu": 0, "gpu": 1}])
        | st.fixed_dictionaries({"cpu": SHARES, "gpu": SHARES | st.just(0)})
    )
    batch_size = draw(st.integers(1, 100).map(lambda half: 2 * half))
    training = draw(options_of(TrainingConfig, ("total_steps", "batch_size", "optimizer_strategy")))
    has_gpu, has_cpu = bool(resources.get("gpu")), resources.get("cpu", 1) != 0
    hours = {"max_hours": HOURS}
    hours |= {"max_gpu_hours": HOURS} if has_gpu else {}
    hours |= {"max_cpu_hours": HOURS} if has_cpu else {}
    budget = draw(st.fixed_dictionaries({}, optional=hours))
    optional = {
        "seed": st.integers(0, 2**31 - 1),
        "network": choices(NETWORKS),
        "objective": st.none() | st.fixed_dictionaries({}, optional=objective),
        "algorithm": choices(ALGORITHMS),
        "audit": st.floats(0, 1),
        "equal_schedules": st.sampled_from(["ask_again", "replicate", "train"]),
        "measures": measured_by(suiting),
        "sampling": st.none() | st.fixed_dictionaries({"nfe": st.lists(st.integers(2, 10), unique=True)}),
        "storage": st.none()
        | st.fixed_dictionaries(
            {"path": FOLDERS | st.sampled_from(["runs", "s3://bucket/a", "gs://bucket"])},
            optional={
                "study_url": st.sampled_from(["service", "sqlite:///a.db", "postgresql+psycopg://u@h/d"]),
                "mlflow_uri": st.sampled_from(["service", "sqlite:///b.db", "http://127.0.0.1:5000"]),
            },
        ),
    }
    return {
        "confirm": confirm,
        "holds_at": draw(held_at()) if is_compared and draw(st.booleans()) else None,
        "name": draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True)),
        "data": data,
        "space": draw(SPACES),
        "presets": presets,
        "noise_floor": draw(
            st.just({"seeds": seeds}) if seeds != 3 else st.sampled_from([None, {"seeds": 3}])
        ),
        "stopping": draw(choices(STOPPING, *rules)),
        "training": {
            **training,
            "total_steps": draw(st.integers(1000, 20_000)),
            "batch_size": batch_size,
            "optimizer_strategy": draw(choices(OPTIMIZER_STRATEGIES)),
        },
        "budget": budget | ({"max_hours": 1.0} if max_trials is None else {}) | {"max_trials": max_trials},
        "resources": resources
        | draw(st.sampled_from([{}, {"micro_batch": batch_size}, {"max_concurrent": 2}])),
        **draw(st.fixed_dictionaries({}, optional=optional)),
        **({} if DATASETS[data_name].EXTRACTOR else {"objective": draw(st.fixed_dictionaries(objective))}),
    }


def read_back(spec: SearchSpec) -> SearchSpec:
    return spec_of(parse_document(spec.to_yaml(), "search.yaml"))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@given(searches())
def test_what_is_written_reads_back_to_the_same_search(data: dict[str, Any]) -> None:
    spec = spec_of(Document("generated", data, {}))
    again = read_back(spec)
    assert again == spec
    assert again.resolved() == spec.resolved()
    assert again.fingerprint_fields() == spec.fingerprint_fields()


WORDS = st.lists(PATHS.filter(lambda word: not set(word) & set("{}")), max_size=3)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(
    st.fixed_dictionaries(
        {
            "name": st.just("command"),
            "command": WORDS.map(
                lambda words: ["{python}", *words, "{schedule}", "{seed}", "--out={folder}"]
            ),
            "folder": FOLDERS,
            "objective": st.sampled_from(["fid", "bits per dim"]),
        },
        optional={
            "rungs_by": st.sampled_from(["step", "kimg"]),
            "resumes": st.booleans(),
            "patience": st.floats(1, 1e6),
        },
    )
)
def test_what_is_written_of_a_search_that_a_script_trains_reads_back(trainer: dict[str, Any]) -> None:
    data = {"name": "s", "trainer": trainer, "training": {"total_steps": 900}, "budget": {"max_trials": 9}}
    spec = spec_of(Document("generated", data, {}))
    again = read_back(spec)
    assert again == spec
    assert again.fingerprint_fields() == spec.fingerprint_fields()


@pytest.mark.parametrize(
    "text",
    [
        NO_PRESETS,
        NO_PRESETS + "noise_floor: {seeds: 0}\n",
        NO_PRESETS + "confirm: {top: 0}\n",
        NO_PRESETS + "confirm: {top: 0, baselines: 2}\n",
        "name: a\ndata: digits\nbudget: {max_trials: null, max_hours: 1}\n",
    ],
)
def test_a_section_that_has_no_effect_is_written_so_that_it_reads_back(text: str) -> None:
    spec = spec_of(parse_document(text))
    assert read_back(spec) == spec


def test_seeds_that_would_have_no_effect_are_still_refused() -> None:
    with pytest.raises(SpecError, match=r"noise_floor\.seeds: would have no effect without presets"):
        spec_of(parse_document(NO_PRESETS + "noise_floor: {seeds: 5}\n"))
