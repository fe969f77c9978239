"""What stands in an exported schedule, `noise-schedule/1` or `/2`: keys, types, meaning.

One frozen dataclass for each object of the document. Attributes are its keys; what a key means is its
description, which the JSON Schema repeats and docs/export.md lists. Read by `load.py`.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from spaces.checks import MAX_EVALUATIONS, MAX_TOTAL_STEPS, SIGMA_DATA_BOUNDS
from spaces.continuous import LEVELS_RULE
from spaces.losses.pseudo_huber import HUBER_C_BOUNDS
from spaces.registry import STRICT, name_of
from spaces.schedule import NoiseSchedule

# /1 holds what it always held, and is written for that, so that all who read it go on doing so. A schedule with a part
# that came later (`spaces.schedule.USUAL`) is /2: its stages are pairs of levels with their weights.
Format = Literal["noise-schedule/1"]
PairsFormat = Literal["noise-schedule/2"]
Loss = Literal[
    "pseudo-Huber of the per-image L2 norm, weight 1 / (sigma[i+1] - sigma[i])",
    "pseudo-Huber of the per-image L2 norm, weight 1 / ((sigma[i+1] - sigma[i]) M p[i])",
]
PairsLoss = Annotated[str, Field(pattern="^.+, weight .+$")]
Function = Literal[
    "f(x, s) = c_skip x + c_out F(c_in x, ln(s)/4), c_skip = sigma_data^2 / ((s - sigma_min)^2 + sigma_data^2), "
    "c_out = sigma_data (s - sigma_min) / sqrt(s^2 + sigma_data^2), c_in = 1 / sqrt(s^2 + sigma_data^2)"
]
Denoiser = Literal[
    "D(x, s) = c_skip x + c_out F(c_in x, ln(s)/4), c_skip = sigma_data^2 / (s^2 + sigma_data^2), "
    "c_out = s sigma_data / sqrt(s^2 + sigma_data^2), c_in = 1 / sqrt(s^2 + sigma_data^2)"
]
Weight = Literal["1 / (sigma[i+1] - sigma[i])", "1 / ((sigma[i+1] - sigma[i]) M p[i])"]
WeightName = Literal["inverse_gap", "inverse_gap_importance"]
Verdict = Literal["better", "tied", "worse"]
Sampler = Literal[
    "x = f(s[0] z, s[0]); for each further level s: x = f(x + sqrt(s^2 - sigma_min^2) z, s), z ~ N(0, I) anew"
]
Heun = Literal[
    "x = s[0] z; for each level s and the next one q, 0 after the last: d = (x - D(x, s))/s; y = x + (q - s) d; x = y "
    "where q = 0, else x + (q - s) (d + (y - D(y, q))/q)/2"
]
FORMATS: tuple[str, str] = (*get_args(Format), *get_args(PairsFormat))
FUNCTION: str = get_args(Function)[0]
SAMPLER: str = get_args(Sampler)[0]
DENOISER: str = get_args(Denoiser)[0]
HEUN: str = get_args(Heun)[0]

PAIRS = ("t", "r", "probabilities", "weights")  # of version 2, in the order of `spaces.schedule.Pairs`

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Level = Annotated[float, Field(gt=0)]
Levels = Annotated[list[Level], Field(min_length=1, max_length=MAX_EVALUATIONS)]
Evaluations = Annotated[str, Field(pattern="^[1-9][0-9]?$")]  # keys of a JSON object are text


def function_of(schedule: NoiseSchedule) -> str:
    """The document's words for what a network F is a part of."""
    return DENOISER if schedule.loss.DENOISES else FUNCTION


def sampler_of(schedule: NoiseSchedule) -> str:
    """The document's words for what is done at its sampling levels."""
    return HEUN if schedule.loss.DENOISES else SAMPLER


def format_of(schedule: NoiseSchedule) -> str:
    """The version that the schedule's document has."""
    return FORMATS[bool(schedule.unusual)]


def rules_of(schedule: NoiseSchedule) -> dict[str, str]:
    """The document's words for how pairs of levels are made."""
    continuous = schedule.gap.CONTINUOUS
    return {"t": LEVELS_RULE if continuous else "levels of the grid above sigma_min", "r": schedule.gap.RULE}


def loss_and_weighting(schedule: NoiseSchedule) -> tuple[str, dict[str, str]]:
    """The document's words for the loss and its weighting.

    Importance weights, M intervals of probability p, make the expected loss that of uniform draws.
    """
    kind = int(schedule.noise.weighs_loss)
    if not schedule.unusual:
        return get_args(Loss)[kind], {"name": get_args(WeightName)[kind], "formula": get_args(Weight)[kind]}
    formula = schedule.weight.FORMULA + (" / (M p)" if kind else "")
    name = name_of(schedule.weight) + ("_importance" if kind else "")
    return f"{schedule.loss.TEXT}, weight {formula}", {"name": name, "formula": formula}


def _about(text: str, **limits: Any) -> Any:
    return Field(description=text, **limits)


def _between(low: float, high: float) -> dict[str, float]:
    return {"ge": low, "le": high}


@dataclass(frozen=True, kw_only=True)
class StagePart:
    """A run of steps with the same noise levels; N levels have N - 1 intervals."""

    __pydantic_config__ = STRICT

    start_step: Annotated[int, _about("first optimiser step of the stage, counted from 0", ge=0)]
    sigmas: Annotated[list[Level], _about("noise levels, strictly increasing", min_length=2)]
    interval_probabilities: Annotated[
        list[Annotated[float, Field(ge=0, le=1)]],
        _about("of training the pair (sigmas[i], sigmas[i+1]); their sum is 1", min_length=1),
    ]


@dataclass(frozen=True, kw_only=True)
class PairsPart:
    """A run of steps in which the same pairs of noise levels are trained: what a stage is in version 2."""

    __pydantic_config__ = STRICT

    start_step: Annotated[int, _about("first optimiser step of the stage, counted from 0", ge=0)]
    t: Annotated[list[Level], _about("version 2: the student's noise level in each pair", min_length=1)]
    r: Annotated[
        list[Annotated[float, Field(ge=0)]],
        _about("version 2: the teacher's, below t; 0 where the target is the image", min_length=1),
    ]
    probabilities: Annotated[
        list[Annotated[float, Field(ge=0, le=1)]],
        _about("version 2: of training the pair; their sum is 1", min_length=1),
    ]
    weights: Annotated[
        list[Annotated[float, Field(gt=0)]],
        _about(
            "version 2: factor of the loss of an image; sigma_data in it is .5 where it is null", min_length=1
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class WeightingPart:
    """How the loss of a pair of levels is weighted."""

    __pydantic_config__ = STRICT

    name: Annotated[WeightName, _about("name of the weighting")]
    formula: Annotated[Weight, _about("weight of interval i of M, p its probability")]


@dataclass(frozen=True, kw_only=True)
class PairsWeightingPart:
    """The same in version 2."""

    __pydantic_config__ = STRICT

    name: Annotated[str, _about("name of the weighting")]
    formula: Annotated[str, _about("version 2: weight of one of M pairs (t, r), p its probability")]


@dataclass(frozen=True, kw_only=True)
class TrainingPart:
    """All that a training loop needs, as plain numbers."""

    __pydantic_config__ = STRICT

    total_steps: Annotated[
        int, _about("the budget K in optimiser steps that the stages belong to", ge=1, le=MAX_TOTAL_STEPS)
    ]
    loss: Annotated[Loss | None, _about("the loss of one image, in words; null: that of a script of its own")]
    function: Annotated[
        Function | None,
        _about("what the network F is a part of; absent in exports of version 0.1.0"),
    ] = None
    weighting: Annotated[
        WeightingPart | None, _about("weight of each interval; absent in exports of version 0.1.0")
    ] = None
    huber_c_over_sqrt_d: Annotated[
        Annotated[float, Field(**_between(*HUBER_C_BOUNDS))] | None,
        _about(
            "pseudo-Huber constant c = this * sqrt(number of values of an image); null: a loss without it, or none"
        ),
    ]
    sigma_data: Annotated[
        Annotated[float, Field(**_between(*SIGMA_DATA_BOUNDS))] | None,
        _about("standard deviation of the data that the scalings assume; null where `loss` is"),
    ]
    stages: Annotated[list[StagePart], _about("in order; the first starts at step 0", min_length=1)]


@dataclass(frozen=True, kw_only=True)
class RulesPart:
    """How the pairs of levels are made: what their numbers follow from."""

    __pydantic_config__ = STRICT

    t: Annotated[str, _about("version 2: what the levels of the student are")]
    r: Annotated[
        str, _about("version 2: the teacher's level for a student's t, in the options of `schedule.gap`")
    ]


@dataclass(frozen=True, kw_only=True)
class PairsTrainingPart(TrainingPart):
    """The same in version 2."""

    loss: Annotated[  # type: ignore[assignment]
        PairsLoss | None, _about("the loss of one image, in words; null: that of a script of its own")
    ]
    weighting: Annotated[
        PairsWeightingPart | None, _about("weight of each interval; absent in exports of version 0.1.0")
    ] = None  # type: ignore[assignment]
    function: Annotated[
        Literal[Function, Denoiser] | None,
        _about("what the network F is a part of; absent in exports of version 0.1.0"),
    ] = None  # type: ignore[assignment]
    rules: Annotated[RulesPart, _about("version 2: how the pairs of levels are made")]
    stages: Annotated[  # type: ignore[assignment]
        list[PairsPart], _about("in order; the first starts at step 0", min_length=1)
    ]


@dataclass(frozen=True, kw_only=True)
class BaselinePart:
    """Levels that were not optimised, on the same held-out noise."""

    __pydantic_config__ = STRICT

    name: Annotated[str, _about("how the levels were chosen")]
    network_evaluations: Annotated[int, _about("number of levels", ge=1, le=MAX_EVALUATIONS)]
    sigmas: Annotated[Levels, _about("the levels, like those in `steps`")]
    distance: Annotated[float, _about("mean distance over the held-out noise", ge=0)]


@dataclass(frozen=True, kw_only=True)
class MeasuredPart:
    """What the levels were optimised on, and their distances."""

    __pydantic_config__ = STRICT

    method: Annotated[str, _about("how the levels were found, for people")]
    objective: Annotated[str, _about("name of the distance")]
    num_samples: Annotated[int, _about("images per distance", ge=2)]
    extractor_sha256: Annotated[Sha256, _about("checksum of the feature network")]
    trial: Annotated[int, _about("number of the trial whose model was sampled", ge=0)]
    search_seed: Annotated[int, _about("seed of the noise that the levels were optimised on", ge=0)]
    held_out_seeds: Annotated[
        list[int],
        _about("seeds of the noise that distances are means over; never optimised on", min_length=1),
    ]
    distances: Annotated[
        dict[Evaluations, Annotated[float, Field(ge=0)]],
        _about("mean distance over the held-out noise, by number of network evaluations"),
    ]
    baselines: Annotated[list[BaselinePart], _about("other levels on the same noise")]


@dataclass(frozen=True, kw_only=True)
class SamplingPart:
    """Noise levels to sample at, by number of network evaluations."""

    __pydantic_config__ = STRICT

    sampler: Annotated[Literal[Sampler, Heun], _about("what is done at the levels")]
    sigma_min: Annotated[Level, _about("lowest training level, where f is the identity")]
    sigma_max: Annotated[
        Level, _about("level of the initial noise: the highest training level, or one below it")
    ]
    steps: Annotated[
        dict[Evaluations, Levels],
        _about(
            "levels s for 1, 2, ... network evaluations: strictly decreasing from sigma_max, above sigma_min; of a "
            "diffusion model those of n steps for 2 n - 1, down to sigma_min",
            min_length=1,
        ),
    ]
    measured: Annotated[
        MeasuredPart | None, _about("how levels and distances were found; null if nothing was measured")
    ] = None


@dataclass(frozen=True, kw_only=True)
class ObjectivePart:
    """What was minimised, and what its values belong to."""

    __pydantic_config__ = STRICT

    name: Annotated[
        str, _about("`fid` with Inception features, else `fd_<network>`; of a script, what it reports")
    ]
    num_samples: Annotated[
        Annotated[int, Field(ge=2)] | None,
        _about("images per distance; null, as all that follows, where a script measured"),
    ]
    network_evaluations: Annotated[
        Annotated[int, Field(ge=1)] | None, _about("network evaluations per image")
    ]
    extractor_sha256: Annotated[Sha256 | None, _about("checksum of the feature network")]
    data: Annotated[str | None, _about("name of the data set")]
    data_sha256: Annotated[Sha256 | None, _about("checksum of its images")]


@dataclass(frozen=True, kw_only=True)
class SearchedAtPart:
    """In what the schedule was searched: what `evidence` is about."""

    __pydantic_config__ = STRICT

    network: Annotated[
        dict[str, Any] | None, _about("name and options of the network; null: that of a script of its own")
    ]
    training: Annotated[dict[str, Any], _about("options of the training, total_steps included")]
    data: Annotated[str | None, _about("name of the data set; null: that of a script of its own")]
    trainer: Annotated[dict[str, Any] | None, _about("the script of its own; null: our training")] = None
    start: Annotated[
        dict[str, Any] | None,
        _about("the weights that trials started from, as a search file has them; null: random ones"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class HoldsAtPart:
    """What was found in another setting, on fresh seeds that both schedules were trained on."""

    __pydantic_config__ = STRICT

    setting: Annotated[str, _about("its name")]
    network: Annotated[dict[str, Any] | None, _about("its network; null: as searched")] = None
    training: Annotated[
        dict[str, Any] | None, _about("the options of the training that differ; null: none")
    ] = None
    data: Annotated[dict[str, Any] | None, _about("its data set; null: as searched")] = None
    command: Annotated[
        dict[str, Any] | None, _about("what is appended to the command of a script; null: as searched")
    ] = None
    baseline: Annotated[
        str | None, _about("the baseline that is best there; null, as earlier: evidence.baseline")
    ] = None
    verdict: Annotated[
        Verdict, _about("`better` or `worse` than the baseline where that is shown, else `tied`")
    ]
    ratio: Annotated[float, _about("geometric mean of the ratios to the baseline, seed by seed", ge=0)]
    interval: Annotated[
        list[Annotated[float, Field(ge=0)]] | None,
        _about(
            "of the ratio, 95 % for all comparisons in other settings together; null: on one seed",
            min_length=2,
            max_length=2,
        ),
    ] = None
    values: Annotated[dict[str, float], _about("the distance by training seed", min_length=1)]
    baseline_values: Annotated[
        dict[str, float], _about("those of the baseline on the same seeds", min_length=1)
    ]


@dataclass(frozen=True, kw_only=True)
class MeasurePart:
    """What another measure than the objective says of samples of the confirmed models, and of the baseline's."""

    __pydantic_config__ = STRICT

    name: Annotated[str, _about("of the metric on its feature network, as `fd_pixels`")]
    metric: Annotated[dict[str, Any], _about("name and options of the metric")]
    extractor: Annotated[dict[str, Any], _about("name and options of the feature network")]
    network_evaluations: Annotated[int, _about("network evaluations per image", ge=1, le=MAX_EVALUATIONS)]
    larger_is_better: Annotated[bool, _about("which way is up")]
    verdict: Annotated[
        Verdict, _about("`better` or `worse` than the baseline where that is shown, else `tied`")
    ]
    ratio: Annotated[
        Annotated[float, Field(ge=0)] | None,
        _about(
            "geometric mean of the ratios to the baseline, seed by seed; null: it is compared by difference"
        ),
    ] = None
    difference: Annotated[
        float | None,
        _about("mean of the differences from the baseline, seed by seed; null: it is compared by ratio"),
    ] = None
    interval: Annotated[
        list[float] | None,
        _about(
            "of ratio or difference, 95 % for all measures together; null: on one seed",
            min_length=2,
            max_length=2,
        ),
    ] = None
    values: Annotated[dict[str, float], _about("the value by training seed", min_length=1)]
    baseline_values: Annotated[
        dict[str, float], _about("those of evidence.baseline on the same seeds", min_length=1)
    ]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A noise schedule for consistency training, found by a search, with its evidence."""

    __pydantic_config__ = STRICT

    format: Annotated[Format, _about("name and version of this format")]
    confirmed: Annotated[
        bool, _about("whether evidence.mean is of fresh seeds; without, the value is partly luck")
    ]
    schedule: Annotated[
        dict[str, Any], _about("the schedule as options: grid, noise distribution, curriculum, ...")
    ]
    describe: Annotated[str, _about("the schedule in one line, for people")]
    training: Annotated[TrainingPart, _about("the schedule as plain numbers, and the loss")]
    sampling: Annotated[
        SamplingPart | None, _about("levels to sample at; absent in exports of version 0.1.0")
    ] = None
    objective: Annotated[ObjectivePart, _about("what was minimised")]
    searched_at: Annotated[
        SearchedAtPart | None, _about("in what it was searched; absent in exports of version 0.2.0")
    ] = None
    holds_at: Annotated[
        list[HoldsAtPart],
        _about("what was found in other settings: empty where none was tried, or it is the baseline itself"),
    ] = field(default_factory=list)
    measures: Annotated[
        list[MeasurePart],
        _about("what other measures say: empty where none was taken, or it is the baseline itself"),
    ] = field(default_factory=list)
    evidence: Annotated[
        dict[str, Any], _about("why it is believed: `values` by seed, their `mean`, and more, for people")
    ]
    provenance: Annotated[dict[str, Any], _about("where it comes from, for people")]


@dataclass(frozen=True, kw_only=True)
class PairsDocument(Document):
    """The same in version 2."""

    format: Annotated[PairsFormat, _about("name and version of this format")]  # type: ignore[assignment]
    training: Annotated[PairsTrainingPart, _about("the schedule as plain numbers, and the loss")]
