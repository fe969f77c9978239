"""How much the objective differs from seed to seed: the noise that a winner must stand out from.

On the scale of ln(objective), so that few replicates of each of several schedules can be pooled. On recorded curves
the noise grows as the objective to the power .66: a logarithm, which would suit 1, is nearer than the plain
scale, which would suit 0 (docs/how-a-winner-is-chosen.md).
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from scipy.stats import t as student_t

from search.record import Purpose, State, TrialRecord, ln


@dataclass(frozen=True)
class SeedNoise:
    """Standard deviation of ln(objective) within one schedule, between training seeds.

    Pooled over schedules: each gives as many degrees of freedom as it has seeds beyond the first.
    """

    sd: float
    degrees: int
    num_schedules: int

    def factor(self, confidence: float) -> float:
        """Two-sided Student t factor: how many standard errors a difference must exceed."""
        return float(student_t.ppf((1 + confidence) / 2, self.degrees))


def pooled(groups: Iterable[Iterable[float]]) -> SeedNoise | None:
    """The noise in groups of objectives, one group for each schedule; None if no group has two.

    A schedule that diverged with some seed is left out: its spread is not noise but a fault of its own.
    """
    squares, degrees, count = 0.0, 0, 0
    for group in groups:
        logs = [ln(value) for value in group]
        if len(logs) < 2:
            continue
        mean = math.fsum(logs) / len(logs)
        squares += math.fsum((value - mean) ** 2 for value in logs)
        degrees += len(logs) - 1
        count += 1
    return SeedNoise(math.sqrt(squares / degrees), degrees, count) if degrees else None


def replicates(records: Iterable[TrialRecord]) -> dict[int, list[TrialRecord]]:
    """Trial number -> the trials of its schedule on different seeds that may be compared.

    Its own value counts for a baseline, which is there whatever its value. That of a proposal does not: it is
    replicated because its value was low.
    """
    records = list(records)
    by_number = {record.number: record for record in records}
    groups: dict[int, list[TrialRecord]] = defaultdict(list)
    for record in records:
        if record.replicate_of is not None and record.is_comparable:
            original = by_number[record.replicate_of]
            if not groups[original.number] and original.purpose is Purpose.BASELINE:
                groups[original.number].append(original)
            groups[original.number].append(record)
    return groups


def noise_at_rungs(records: Iterable[TrialRecord]) -> Mapping[int, SeedNoise]:
    """Step -> noise there, of all schedules that were trained on more than one seed."""
    groups = replicates(records)
    sound = [
        group for group in groups.values() if not any(record.state is State.DIVERGED for record in group)
    ]
    at_step: dict[int, list[list[float]]] = defaultdict(list)
    for group in sound:
        values: dict[int, list[float]] = defaultdict(list)
        for record in group:
            for report in record.reports:
                values[report.step].append(report.objective)
        for step, found in values.items():
            at_step[step].append(found)
    noises = {step: pooled(groups_there) for step, groups_there in sorted(at_step.items())}
    return {step: noise for step, noise in noises.items() if noise is not None}


def noise_at_end(records: Iterable[TrialRecord], seeds: Collection[int]) -> SeedNoise | None:
    """The noise at the full budget: of all replicates but those that a confirmation has on other seeds than these."""
    noises = noise_at_rungs(r for r in records if r.purpose is not Purpose.CONFIRM or r.seed in seeds)
    return noises[max(noises)] if noises else None
