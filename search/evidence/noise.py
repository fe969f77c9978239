"""How much the objective differs from seed to seed: the noise that a winner must stand out from.

On the scale of ln(objective), so that few replicates of each of several schedules can be pooled. On recorded curves
the noise grows as the objective to the power .66: a logarithm, which would suit 1, is nearer than the plain
scale, which would suit 0 (docs/how-a-winner-is-chosen.md).
"""

import math
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from search.evidence.quantiles import student_t
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
        return student_t(self.degrees, (1 + confidence) / 2)

    def of_ratio_to(self, other: "SeedNoise") -> "SeedNoise":
        """Of ln of the ratio of two schedules with these noises; as well known as the lesser known of them."""
        num_schedules = self.num_schedules + other.num_schedules
        return SeedNoise(math.hypot(self.sd, other.sd), min(self.degrees, other.degrees), num_schedules)


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


@dataclass(frozen=True)
class SeedValues:
    """Objectives at one step of the schedules that were trained on more than one seed, by trial number and seed.

    kinds: of these schedules, by trial number; those that are not named are of one kind. Schedules of two kinds, such
    as baselines and proposals, may differ in their noise by much.
    """

    objectives: Mapping[int, Mapping[int, float]]
    kinds: Mapping[int, Hashable] = field(default_factory=dict)

    @property
    def noise(self) -> SeedNoise | None:
        """Of all of them together."""
        return pooled(own.values() for own in self.objectives.values())

    def noise_of(self, number: int, used: Mapping[int, Collection[int]]) -> SeedNoise | None:
        """What the rest tells of the noise of one schedule: others of its kind, and all seeds that are not used.

        used: trial number -> seeds. What is estimated from these has its own variance; here it would count twice.
        """
        kind = self.kinds.get(number)
        return pooled(
            [objective for seed, objective in own.items() if seed not in used.get(other, ())]
            for other, own in self.objectives.items()
            if self.kinds.get(other) == kind
        )

    def noise_of_ratio(self, one: int, other: int, seeds: Collection[int]) -> SeedNoise | None:
        """The same of ln of the ratio of two schedules on these seeds."""
        used = {one: seeds, other: seeds}
        noises = self.noise_of(one, used), self.noise_of(other, used)
        return None if noises[0] is None or noises[1] is None else noises[0].of_ratio_to(noises[1])


def values_at_rungs(records: Iterable[TrialRecord]) -> Mapping[int, SeedValues]:
    """Step -> the objectives there of all schedules that were trained on more than one seed."""
    records = list(records)
    at_step: defaultdict[int, dict[int, dict[int, float]]] = defaultdict(dict)
    for number, group in replicates(records).items():
        if any(record.state is State.DIVERGED for record in group):
            continue
        for record in group:
            for report in record.reports:
                at_step[report.step].setdefault(number, {})[record.seed] = report.objective
    kinds = {record.number: record.purpose for record in records}
    return {step: SeedValues(objectives, kinds) for step, objectives in sorted(at_step.items())}


def noise_at_rungs(records: Iterable[TrialRecord]) -> Mapping[int, SeedNoise]:
    """Step -> noise there, of all schedules that were trained on more than one seed."""
    noises = {step: values.noise for step, values in values_at_rungs(records).items()}
    return {step: noise for step, noise in noises.items() if noise is not None}


def values_at_end(records: Iterable[TrialRecord], seeds: Collection[int]) -> SeedValues:
    """At the full budget, of all replicates but those that a confirmation has on other seeds than these."""
    found = values_at_rungs(r for r in records if r.purpose is not Purpose.CONFIRM or r.seed in seeds)
    return found[max(found)] if found else SeedValues({})
