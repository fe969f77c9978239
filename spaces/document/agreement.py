"""What a document says twice must agree: the plain numbers are those of the schedule, the mean that of the values.

All raise ValueError, in one line that names the key.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from spaces.arrays import Array
from spaces.document.format import (
    HEUN,
    PAIRS,
    HoldsAtPart,
    MeasuredPart,
    MeasurePart,
    ObjectivePart,
    PairsPart,
    PairsTrainingPart,
    SamplingPart,
    StagePart,
    TrainingPart,
    function_of,
    loss_and_weighting,
    rules_of,
    sampler_of,
)
from spaces.heun import num_evaluations
from spaces.schedule import NoiseSchedule
from spaces.stage import Pairs, Stage

# Another machine's pow and erf differ in the last digits; numbers that differ by more are another schedule's.
TOLERANCE = 1e-9
_DIVERGED = (
    1e9  # the value of a trial that diverged, which the trials' package gives it; all others are below
)


def checked_stages(schedule: NoiseSchedule, training: TrainingPart | PairsTrainingPart) -> tuple[Stage, ...]:
    """The schedule's stages, if the plain numbers are the same."""
    total_steps = training.total_steps
    written: Sequence[StagePart | PairsPart] = training.stages
    # Counted first: a few bytes of options may ask for gigabytes of stages.
    levels_K = schedule.curriculum.num_levels(np.arange(total_steps, dtype=np.int64), total_steps)
    levels = levels_K[np.flatnonzero(np.diff(levels_K, prepend=-1))]
    if len(levels) > len(written) or levels.sum() > sum(map(_num_levels, written)):
        raise ValueError(
            "training.stages must be those of the schedule, but it has more stages or more levels"
        )
    stages = schedule.stages(total_steps)
    if len(stages) != len(written):
        raise ValueError(
            f"training.stages must be those of the schedule, {len(stages)}, but there are {len(written)}"
        )
    for i, (stage, part) in enumerate(zip(stages, written, strict=True)):
        if isinstance(part, PairsPart):
            found = _pairs_agree(schedule.pairs(stage, training.sigma_data or 0.5), part)
        else:
            found = _agreements(stage, part)
        for what, agrees in (("start_step", stage.start_step == part.start_step), *found):
            if not agrees:
                raise ValueError(f"training.stages[{i}].{what} must be the schedule's, but differs from it")
    return stages


def check_weighting(schedule: NoiseSchedule, training: TrainingPart | PairsTrainingPart) -> None:
    """Loss and weighting say how the schedule's noise distribution is trained; a script of its own has neither."""
    if isinstance(training, PairsTrainingPart) and asdict(training.rules) != rules_of(schedule):
        raise ValueError("training.rules must be the schedule's, but differs from it")
    if training.loss is None:
        ours = (training.function, training.weighting, training.huber_c_over_sqrt_d, training.sigma_data)
        if ours != (None, None, None, None):
            raise ValueError("training.loss must not be null beside numbers of our loss")
        return
    huber_c = training.huber_c_over_sqrt_d
    expected = schedule.loss.huber_c_of(-1.0 if huber_c is None else huber_c)
    if expected != huber_c or training.sigma_data is None:
        raise ValueError(
            "training.huber_c_over_sqrt_d and training.sigma_data must be numbers beside a loss, those of the schedule"
        )
    if training.function not in (None, function_of(schedule)):
        raise ValueError("training.function must be that of the schedule's loss, but is another one")
    loss, weighting = loss_and_weighting(schedule)
    if training.loss != loss:
        raise ValueError(f"training.loss must be the schedule's, {loss!r}, but got {training.loss!r}")
    if training.weighting is not None and asdict(training.weighting) != weighting:
        raise ValueError(
            f"training.weighting must be the schedule's, {weighting['name']!r}, but differs from it"
        )


def _num_levels(part: StagePart | PairsPart) -> int:
    return len(part.t) + 1 if isinstance(part, PairsPart) else len(part.sigmas)


def _agreements(stage: Stage, part: StagePart) -> Iterator[tuple[str, bool]]:
    yield "sigmas", _same(stage.levels, part.sigmas)
    yield "interval_probabilities", _same_law(stage.probabilities, part.interval_probabilities)


def _pairs_agree(pairs: Pairs, part: PairsPart) -> Iterator[tuple[str, bool]]:
    for name, values_M in zip(PAIRS, pairs, strict=True):
        same = _same_law if name == "probabilities" else _same
        yield name, same(values_M, getattr(part, name))


def _same(values_N: Array, written: Sequence[float]) -> bool:
    ours_N, written_N = values_N, np.array(written)
    return ours_N.shape == written_N.shape and bool((abs(written_N - ours_N) <= TOLERANCE * ours_N).all())


def _same_law(probability_M: Array, written: Sequence[float]) -> bool:
    ours_M, written_M = probability_M, np.array(written)
    return ours_M.shape == written_M.shape and bool(abs(written_M - ours_M).sum() / 2 <= TOLERANCE)


def check_evidence(confirmed: bool, evidence: Mapping[str, Any]) -> None:
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


def check_holds_at(parts: Iterable[HoldsAtPart]) -> None:
    """Each ratio is that of the values, and the verdict is what ratio and interval say."""
    for part in parts:
        where = f"holds_at, setting {part.setting!r:.60}"
        seeds = part.values.keys() & part.baseline_values.keys()
        pairs = [(part.values[seed], part.baseline_values[seed]) for seed in seeds]
        if not pairs:
            raise ValueError(f"{where}: `values` and `baseline_values` must have a seed in common")
        ratio = _mean_change(pairs, by_ratio=True)
        if not math.isclose(part.ratio, ratio, rel_tol=1e-6):
            raise ValueError(
                f"{where}: `ratio` must be that of the values, {ratio:.6g}, but is {part.ratio!r}"
            )
        low, high = part.interval or (0.0, math.inf)
        if not low <= part.ratio <= high:
            raise ValueError(
                f"{where}: `interval` must hold the ratio {part.ratio:.6g}, but is {part.interval}"
            )
        if part.verdict != _verdict(pairs, low, high):
            raise ValueError(f"{where}: `verdict` must be what the interval says, but is {part.verdict!r}")


def _verdict(pairs: Sequence[tuple[float, float]], low: float, high: float) -> str:
    """What is shown of a ratio with this interval; who diverged on more seeds is worse, whatever the ratio.

    That the other diverged shows nothing by itself: its value counts, and makes the interval wide.
    """
    own, other = (sum(not value < _DIVERGED for value in values) for values in zip(*pairs, strict=True))
    if own > other:
        return "worse"
    return "better" if high < 1 else "worse" if low > 1 else "tied"


def check_measures(parts: Iterable[MeasurePart]) -> None:
    """Each ratio or difference is that of the values, and the verdict is what it and its interval say."""
    for part in parts:
        where = f"measures, {part.name!r:.60} at {part.network_evaluations}"
        if (part.ratio is None) == (part.difference is None):
            raise ValueError(f"{where}: one of `ratio` and `difference` must be there")
        if part.values.keys() != part.baseline_values.keys():
            raise ValueError(f"{where}: `values` and `baseline_values` must be of the same seeds")
        pairs = [(value, part.baseline_values[seed]) for seed, value in part.values.items()]
        expected, same = _mean_change(pairs, by_ratio=part.ratio is not None), float(part.ratio is not None)
        change = part.difference if part.ratio is None else part.ratio
        assert change is not None
        if not math.isclose(change, expected, rel_tol=1e-6, abs_tol=1e-12):
            raise ValueError(
                f"{where}: the change must be that of the values, {expected:.6g}, but is {change!r}"
            )
        low, high = part.interval or (-math.inf, math.inf)
        if not low <= change <= high:
            raise ValueError(f"{where}: `interval` must hold the change {change:.6g}, but is {part.interval}")
        shown = "tied" if low <= same <= high else "larger" if low > same else "smaller"
        verdicts = {"tied": "tied", "larger": "worse", "smaller": "better"}
        if part.larger_is_better:
            verdicts |= {"larger": "better", "smaller": "worse"}
        if part.verdict != verdicts[shown]:
            raise ValueError(f"{where}: `verdict` must be what the interval says, but is {part.verdict!r}")


def _mean_change(pairs: Sequence[tuple[float, float]], *, by_ratio: bool) -> float:
    """Geometric mean of the ratios, or mean of the differences."""
    if not by_ratio:
        return sum(own - other for own, other in pairs) / len(pairs)
    logs = (math.log(max(own, 1e-12)) - math.log(max(other, 1e-12)) for own, other in pairs)
    return math.exp(min(math.fsum(logs) / len(pairs), 700.0))


def check_sampling(
    sampling: SamplingPart, objective: ObjectivePart, schedule: NoiseSchedule, stages: tuple[Stage, ...]
) -> None:
    """Sampling levels are levels of the schedule, and what was measured belongs to them and to the objective."""
    if sampling.sampler != sampler_of(schedule):
        raise ValueError("sampling.sampler must be that of the schedule's loss, but is another one")
    low, high = stages[-1].levels[[0, -1]].tolist()
    if not math.isclose(sampling.sigma_min, low, rel_tol=TOLERANCE):
        raise ValueError(
            f"sampling.sigma_min must be the schedule's, {low:g}, but got {sampling.sigma_min:g}"
        )
    if not low < sampling.sigma_max <= high * (1 + TOLERANCE):
        raise ValueError(
            f"sampling.sigma_max must be the schedule's, {high:g}, or a level below it, but got {sampling.sigma_max:g}"
        )
    for evaluations, levels in sampling.steps.items():
        _check_levels(f"sampling.steps.{evaluations}", levels, int(evaluations), sampling)
    if sampling.measured is not None:
        _check_measured(sampling.measured, sampling, objective)


def _check_measured(measured: MeasuredPart, sampling: SamplingPart, objective: ObjectivePart) -> None:
    if not measured.distances.keys() <= sampling.steps.keys():
        raise ValueError("sampling.measured.distances must belong to sampling.steps, but one does not")
    for what, theirs, ours in (
        ("objective", measured.objective, objective.name),
        ("extractor_sha256", measured.extractor_sha256, objective.extractor_sha256),
    ):
        if theirs != ours:
            raise ValueError(
                f"sampling.measured.{what} must be the objective's, {ours!r:.70}, but got {theirs!r:.70}"
            )
    if measured.search_seed in measured.held_out_seeds:
        raise ValueError("sampling.measured.held_out_seeds must not have search_seed among them")
    for i, row in enumerate(measured.baselines):
        where = f"sampling.measured.baselines[{i}].sigmas"
        _check_levels(where, row.sigmas, row.network_evaluations, sampling)


def _check_levels(where: str, levels: list[float], evaluations: int, sampling: SamplingPart) -> None:
    is_heun = sampling.sampler == HEUN
    if evaluations != (num_evaluations(len(levels)) if is_heun else len(levels)):
        expected = "n levels for 2 n - 1" if is_heun else "as many levels as"
        raise ValueError(f"{where} must have {expected} network evaluations, but has {len(levels)}")
    if levels[0] != sampling.sigma_max:
        raise ValueError(f"{where} must start at sigma_max, {sampling.sigma_max:g}, but got {levels[0]:g}")
    falls = all(before > after for before, after in itertools.pairwise(levels))
    if not falls or levels[-1] < sampling.sigma_min or (levels[-1] == sampling.sigma_min and not is_heun):
        raise ValueError(f"{where} must decrease and stay above sigma_min, but got {levels!r:.80}")
