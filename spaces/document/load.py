"""Reads an exported schedule back: strictly, without executing anything.

The one file of `spaces` that reads a file. What may stand in it: export_document.py and docs/export.md.
"""

import itertools
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from pydantic import ValidationError

from spaces.document.format import (
    FORMAT,
    Document,
    SamplingPart,
    StagePart,
    TrainingPart,
    loss_and_weighting,
)
from spaces.document.strict_json import Copy, parsed_json, read_bytes
from spaces.registry import adapter, name_of, one_line
from spaces.schedule import NoiseSchedule, Stage

_MAX_MESSAGE = 300

# Another machine's pow and erf differ in the last digits; numbers that differ by more are another schedule's.
TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Training:
    """What to train with. stages: those of the schedule for a budget of total_steps.

    loss, weighting: the document's words for them. huber_c: pseudo-Huber constant per square root of the
    number of values of an image. sigma_data: standard deviation that the scalings assume.
    """

    total_steps: int
    stages: tuple[Stage, ...]
    loss: str
    weighting: str
    huber_c: float
    sigma_data: float


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Noise levels to sample at. steps: number of network evaluations -> levels, decreasing from sigma_max.

    distances: mean distance on held-out noise by number of network evaluations; empty if none was measured.
    measured: how, as it stands in the document.
    """

    sigma_min: float
    sigma_max: float
    steps: Mapping[int, tuple[float, ...]]
    distances: Mapping[int, float] = field(default_factory=dict)
    measured: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class LoadedSchedule:
    """A schedule and what its document says of it; of a bare schedule, the schedule and nothing else.

    confirmed: whether its value was confirmed on fresh seeds. sampling: None in exports of version 0.1.0.
    objective, evidence, provenance: as they stand in the document. Evidence and provenance are facts for
    people: other keys may come, and only `mean` and `values` are checked.
    """

    schedule: NoiseSchedule
    confirmed: bool | None = None
    training: Training | None = None
    sampling: Sampling | None = None
    objective: Mapping[str, Any] | None = None
    evidence: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] | None = None


def load_schedule(source: str | os.PathLike[str] | Mapping[str, Any]) -> LoadedSchedule:
    """The schedule of an export: of the JSON file at a path, of its content, or of a bare `to_dict()`.

    Raises ValueError in one line for a file that cannot be read, for anything unknown, missing, of the
    wrong type or out of bounds, and where the plain numbers are not those of the schedule.
    """
    from_file = isinstance(source, str | os.PathLike)
    try:
        data = Copy().of(parsed_json(read_bytes(source)) if from_file else source)
        if not isinstance(data, dict):
            raise ValueError(f"an object is needed, but got {data!r:.60}")
        if "format" in data or "training" in data:
            return _from_document(data)
        return LoadedSchedule(schedule=NoiseSchedule.from_dict(data))
    except ValidationError as error:
        message = _first_problem(error)
    except ValueError as error:
        message = str(error)
    raise ValueError(_printable(f"{str(source)[-100:] if from_file else 'schedule'}: {message}"))


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "missing":
        return f"{'.'.join(map(str, first['loc']))} is missing"
    return one_line(error, "").lstrip(".: ")


def _printable(message: str) -> str:
    """One line, whatever was quoted in it."""
    line = "".join(letter if letter.isprintable() else " " for letter in message)
    return line if len(line) <= _MAX_MESSAGE else f"{line[: _MAX_MESSAGE - 3]}..."


def _from_document(data: dict[str, Any]) -> LoadedSchedule:
    if data.get("format") != FORMAT:
        raise ValueError(f"`format` must be {FORMAT!r}, but got {data.get('format')!r:.60}")
    # Through JSON, where a strict dataclass may be written as an object.
    document: Document = adapter(Document).validate_json(json.dumps(data))
    try:
        schedule = NoiseSchedule.from_dict(document.schedule)
    except ValueError as error:
        part = re.match(r"(grid|noise|curriculum|uniform_floor)[.:]", str(error))
        raise ValueError(f"schedule{'.' if part else ': '}{error}") from None
    if schedule.noise.ADAPTIVE:
        raise ValueError(
            f"schedule.noise must have fixed probabilities, but {name_of(schedule.noise)} adapts in training: "
            "an export has what it came to"
        )
    training = document.training
    stages = _checked_stages(schedule, training)
    _check_weighting(schedule, training)
    if document.describe != schedule.describe():
        raise ValueError(
            f"`describe` must be the schedule's, {schedule.describe()!r:.120}, but got {document.describe!r:.60}"
        )
    _check_evidence(document.confirmed, document.evidence)
    return LoadedSchedule(
        schedule=schedule,
        confirmed=document.confirmed,
        training=Training(
            total_steps=training.total_steps,
            stages=stages,
            loss=training.loss,
            weighting=loss_and_weighting(schedule.noise)[1]["name"],
            huber_c=training.huber_c_over_sqrt_d,
            sigma_data=training.sigma_data,
        ),
        sampling=None if document.sampling is None else _checked_sampling(document, stages, data),
        objective=data["objective"],
        evidence=document.evidence,
        provenance=document.provenance,
    )


def _checked_stages(schedule: NoiseSchedule, training: TrainingPart) -> tuple[Stage, ...]:
    """The schedule's stages, if the plain numbers are the same."""
    total_steps, claimed = training.total_steps, training.stages
    # Counted first: a few bytes of options may ask for gigabytes of stages.
    levels_K = schedule.curriculum.num_levels(np.arange(total_steps, dtype=np.int64), total_steps)
    levels = levels_K[np.flatnonzero(np.diff(levels_K, prepend=-1))]
    if len(levels) > len(claimed) or levels.sum() > sum(len(stage.sigmas) for stage in claimed):
        raise ValueError(
            "training.stages must be those of the schedule, but it has more stages or more levels"
        )
    stages = schedule.stages(total_steps)
    if len(stages) != len(claimed):
        raise ValueError(
            f"training.stages must be those of the schedule, {len(stages)}, but there are {len(claimed)}"
        )
    for i, (stage, claim) in enumerate(zip(stages, claimed, strict=True)):
        for what, agrees in _agreements(stage, claim):
            if not agrees:
                raise ValueError(f"training.stages[{i}].{what} must be the schedule's, but differs from it")
    return stages


def _check_weighting(schedule: NoiseSchedule, training: TrainingPart) -> None:
    """Both say how the schedule's noise distribution is trained."""
    loss, weighting = loss_and_weighting(schedule.noise)
    if training.loss != loss:
        raise ValueError(f"training.loss must be the schedule's, {loss!r}, but got {training.loss!r}")
    if training.weighting is not None and asdict(training.weighting) != weighting:
        raise ValueError(
            f"training.weighting must be the schedule's, {weighting['name']!r}, but differs from it"
        )


def _agreements(stage: Stage, claim: StagePart) -> Iterator[tuple[str, bool]]:
    yield "start_step", stage.start_step == claim.start_step
    sigma_N, claimed_N = stage.sigma_N.numpy(), np.array(claim.sigmas)
    same_size = sigma_N.shape == claimed_N.shape
    yield "sigmas", same_size and bool((abs(claimed_N - sigma_N) <= TOLERANCE * sigma_N).all())
    probability_M, claimed_M = stage.probability_M.numpy(), np.array(claim.interval_probabilities)
    same_size = probability_M.shape == claimed_M.shape
    total_variation = abs(claimed_M - probability_M).sum() / 2 if same_size else 1.0
    yield "interval_probabilities", bool(total_variation <= TOLERANCE)


def _check_evidence(confirmed: bool, evidence: Mapping[str, Any]) -> None:
    """`confirmed` says that there is a mean over fresh seeds, and that is the geometric mean of the values."""
    mean, values = evidence.get("mean"), evidence.get("values")
    if confirmed != (mean is not None):
        raise ValueError(f"`confirmed` must say whether evidence.mean is there, but is {confirmed}")
    if mean is None:
        return
    numbers = list(values.values()) if isinstance(values, dict) else []
    if not numbers or not all(type(value) in (int, float) for value in (mean, *numbers)):
        raise ValueError("evidence.values must have the number of each seed that evidence.mean is over")
    geometric = math.exp(math.fsum(math.log(max(number, 1e-12)) for number in numbers) / len(numbers))
    arithmetic = sum(numbers) / len(numbers)  # as version 0.1.0 has it; inf and no mean beyond the floats
    if not any(math.isclose(mean, expected, rel_tol=1e-6) for expected in (geometric, arithmetic)):
        raise ValueError(f"evidence.mean must be the geometric mean of evidence.values, but is {mean!r}")


def _checked_sampling(document: Document, stages: tuple[Stage, ...], data: dict[str, Any]) -> Sampling:
    part = document.sampling
    assert part is not None
    low, high = stages[-1].sigma_N[[0, -1]].tolist()
    for name, given, expected in (("sigma_min", part.sigma_min, low), ("sigma_max", part.sigma_max, high)):
        if not math.isclose(given, expected, rel_tol=TOLERANCE):
            raise ValueError(f"sampling.{name} must be the schedule's, {expected:g}, but got {given:g}")
    for evaluations, levels in part.steps.items():
        _check_levels(f"sampling.steps.{evaluations}", levels, int(evaluations), part)
    measured = part.measured
    if measured is not None:
        if not measured.distances.keys() <= part.steps.keys():
            raise ValueError("sampling.measured.distances must belong to sampling.steps, but one does not")
        for what, theirs, ours in (
            ("objective", measured.objective, document.objective.name),
            ("extractor_sha256", measured.extractor_sha256, document.objective.extractor_sha256),
        ):
            if theirs != ours:
                raise ValueError(
                    f"sampling.measured.{what} must be the objective's, {ours!r:.70}, but got {theirs!r:.70}"
                )
        if measured.search_seed in measured.held_out_seeds:
            raise ValueError("sampling.measured.held_out_seeds must not have search_seed among them")
        for i, row in enumerate(measured.baselines):
            where = f"sampling.measured.baselines[{i}].sigmas"
            _check_levels(where, row.sigmas, row.network_evaluations, part)
    return Sampling(
        sigma_min=part.sigma_min,
        sigma_max=part.sigma_max,
        steps={int(key): tuple(levels) for key, levels in part.steps.items()},
        distances={int(key): value for key, value in measured.distances.items()} if measured else {},
        measured=data["sampling"].get("measured"),
    )


def _check_levels(where: str, levels: list[float], evaluations: int, part: SamplingPart) -> None:
    if len(levels) != evaluations:
        raise ValueError(f"{where} must have as many levels as network evaluations, but has {len(levels)}")
    if levels[0] != part.sigma_max:
        raise ValueError(f"{where} must start at sigma_max, {part.sigma_max:g}, but got {levels[0]:g}")
    falls = all(before > after for before, after in itertools.pairwise(levels))
    if not falls or levels[-1] <= part.sigma_min:
        raise ValueError(f"{where} must decrease and stay above sigma_min, but got {levels!r:.80}")
