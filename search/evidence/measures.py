"""What other measures than the objective say of a schedule's models: the Frechet distance on another feature network,
the kernel distance, coverage, at one and two network evaluations.

A search minimises one of them, so that its winner may have learnt to please that one. The models of a schedule are
compared with those of the best baseline on the seeds that both were confirmed on: by the ratio of values, on the scale
of their logarithm, where they are above 0 by nature; by their difference where they are not. Intervals are Student's t
over seeds. Those of one schedule hold with 95 % together (Bonferroni).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from search.evidence.intervals import Estimate, difference, ratio
from search.evidence.texts import bounds_of, change_text, difference_text
from search.record import State, TrialRecord

_ROUNDING = 1e-9  # of the values: an interval as narrow has no width


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number for the samples of a model.

    name: of the metric on its feature network, as `fd_pixels`. metric, network: each as a search file has it.
    num_evaluations: of the model, for each sample. by_ratio: whether two values are compared by their ratio.
    """

    name: str
    metric: Mapping[str, Any]
    network: Mapping[str, Any]
    num_evaluations: int
    larger_is_better: bool
    by_ratio: bool

    @property
    def key(self) -> str:
        """Its name wherever values are kept."""
        return f"{self.name}_nfe{self.num_evaluations}"

    @property
    def judge(self) -> str:
        """The name of its feature network."""
        return str(self.network["name"])

    @property
    def text(self) -> str:
        """`fd_pixels at 1 evaluation`."""
        return f"{self.name} at {self.num_evaluations} evaluation{'s' if self.num_evaluations > 1 else ''}"


@dataclass(frozen=True, kw_only=True)
class ByMeasure:
    """A schedule by one measure, on the seeds that its models and the baseline's were measured on.

    change: the mean ratio to the baseline, or the mean difference from it. verdict: "better" or "worse" than the
    baseline where that is shown, else "tied".
    """

    measure: Measure
    values: Mapping[int, float]
    baseline_values: Mapping[int, float]
    change: Estimate

    @property
    def verdict(self) -> str:
        low, high, same = self.change.low, self.change.high, float(self.measure.by_ratio)
        if low is None or high is None or low <= same <= high:
            return "tied"
        return "better" if (low > same) == self.measure.larger_is_better else "worse"

    @property
    def text(self) -> str:
        """The change with its interval."""
        return change_text(self.change) if self.measure.by_ratio else difference_text(self.change)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        change, measure = self.change.mean, self.measure
        return {
            "name": measure.name,
            "metric": dict(measure.metric),
            "extractor": dict(measure.network),
            "network_evaluations": measure.num_evaluations,
            "larger_is_better": measure.larger_is_better,
            "verdict": self.verdict,
            "ratio": change if measure.by_ratio else None,
            "difference": None if measure.by_ratio else change,
            "interval": bounds_of(self.change),
            "values": {str(seed): value for seed, value in self.values.items()},
            "baseline_values": {str(seed): value for seed, value in self.baseline_values.items()},
        }


def by_measures(
    measures: Sequence[Measure], own: Mapping[int, TrialRecord], baseline: Mapping[int, TrialRecord]
) -> tuple[ByMeasure, ...]:
    """A schedule by each measure for which there are values. own, baseline: by training seed."""
    pairs = [(measure, *_paired(measure.key, own, baseline)) for measure in measures]
    found = [(measure, mine, others) for measure, mine, others in pairs if mine]
    return tuple(
        ByMeasure(
            measure=measure,
            values=mine,
            baseline_values=others,
            change=_change(measure, mine, others, len(found)),
        )
        for measure, mine, others in found
    )


def _change(
    measure: Measure, own: Mapping[int, float], other: Mapping[int, float], comparisons: int
) -> Estimate:
    change = (ratio if measure.by_ratio else difference)(own, other, comparisons=comparisons)
    assert change is not None
    low, high = change.low, change.high
    if low is not None and high is not None and high - low <= _ROUNDING * max(abs(low), abs(high)):
        # Shares, which are counts, may differ by the same on each of a few seeds: that tells nothing of their noise.
        return replace(change, low=None, high=None)
    return change


def _paired(
    key: str, own: Mapping[int, TrialRecord], other: Mapping[int, TrialRecord]
) -> tuple[dict[int, float], dict[int, float]]:
    """The values of both on the seeds that both have one on."""
    mine, others = _values(key, own), _values(key, other)
    seeds = sorted(mine.keys() & others.keys())
    return {seed: mine[seed] for seed in seeds}, {seed: others[seed] for seed in seeds}


def _values(key: str, records: Mapping[int, TrialRecord]) -> dict[int, float]:
    return {
        seed: record.measured.values[key]
        for seed, record in records.items()
        if record.measured is not None and key in record.measured.values
    }


def lacks(record: TrialRecord, measures: Sequence[Measure]) -> bool:
    """Whether the trial has a model whose samples are to be measured still."""
    if record.state is not State.COMPLETE:
        return False
    measured = record.measured
    if measured is None:
        return bool(measures)
    return measured.problem is None and not {measure.key for measure in measures} <= measured.values.keys()


def worse_text(found: Sequence[ByMeasure]) -> str:
    """By which of them a schedule is worse than the baseline, as the end of a sentence; nothing where by none."""
    worse = [f"{by.measure.text} ({by.text})" for by in found if by.verdict == "worse"]
    return f"; but worse by {', '.join(worse)}" if worse else ""


def problem_lines(records: Sequence[TrialRecord]) -> Iterator[str]:
    """Of which trials the samples were not measured, and why: a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for record in records:
        if record.measured is not None and record.measured.problem is not None:
            reasons.setdefault(record.measured.problem, []).append(str(record.number))
    for reason, numbers in reasons.items():
        yield f"The samples of trial {', '.join(numbers)} were not measured: {reason}"
