"""All that the policy needs of a search file."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from search.algorithm import Algorithm
from search.evidence.holding import HoldRules
from search.evidence.race import RaceRules, Standing, standing
from search.evidence.shortlist import shortlist
from search.record import TrialRecord
from search.stopping_rule import StoppingRule
from spaces import NoiseSchedule, SearchSpace
from trainable.task import OWN

# What becomes of a proposal that trains the same as a schedule which was trained already: another is asked for, the
# old one is trained on a fresh seed instead, or it is trained all the same.
EqualSchedules = Literal["ask_again", "replicate", "train"]


@dataclass(frozen=True, kw_only=True)
class TimeLimits:
    """Budgets of time; None: no limit. Whichever is reached first ends the search.

    hours: wall-clock, while the search was running. cpu_hours, gpu_hours: of slots, one that holds `cpu` and `gpu` of a
    machine for an hour costs that many. stack: trials that share a slot.
    """

    hours: float | None = None
    cpu_hours: float | None = None
    gpu_hours: float | None = None
    cpu: float = 1.0
    gpu: float = 0.0
    stack: int = 1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that the policy needs of a search file.

    baselines: literature presets by name, run first and never stopped. noise_seeds: fresh seeds on which the first
    of them is trained besides, to measure the noise between seeds. max_trials: baselines and proposals of the
    algorithm together; None: as the time allows. limits: budgets of time. race: how the best are confirmed on
    seeds that the search did not use; None: not at all. holds: in which other settings finalists are trained besides;
    None: in none. audit_share: of the trials that the stopping rule
    condemns, how many run on to the end. max_concurrent: open trials at any time. distances_after: that are computed
    when nothing is trained any more, about.
    """

    space: SearchSpace
    baselines: Mapping[str, NoiseSchedule]
    algorithm: Algorithm
    stopping: StoppingRule
    total_steps: int
    max_trials: int | None
    limits: TimeLimits = field(default_factory=TimeLimits)
    noise_seeds: int = 0
    race: RaceRules | None = None
    holds: HoldRules | None = None
    audit_share: float = 0.0
    equal_schedules: EqualSchedules = "ask_again"
    max_concurrent: int = 1
    seed: int = 0
    distances_after: int = 0

    @property
    def rungs(self) -> tuple[int, ...]:
        """Steps at which trials are measured; the last is the full budget."""
        return self.stopping.steps(self.total_steps)

    def total_steps_in(self, setting: str) -> int:
        """The full budget of a trial there."""
        if setting == OWN or self.holds is None:
            return self.total_steps
        return self.holds.settings[setting]

    def rungs_of(self, record: TrialRecord) -> tuple[int, ...]:
        """Steps at which this trial is measured."""
        return self.stopping.steps(self.total_steps_in(record.setting))

    def next_rung(self, step: int) -> int | None:
        """The first rung above `step`, None from the full budget on."""
        return next((rung for rung in self.rungs if rung > step), None)

    def standing(self, records: Collection[TrialRecord]) -> Standing:
        """How the race stands, from all trials. There must be one."""
        assert self.race is not None
        listed = shortlist(records, self.holds, self.race.top) if self.holds is not None else []
        return standing(records, self.race, self.fresh_seeds, [one.record.number for one in listed])

    @property
    def fresh_seeds(self) -> tuple[int, ...]:
        """Training seeds of the replicates. The search itself uses `seed` for every trial, so that
        all schedules meet the same initial weights, images and noise (common random numbers)."""
        rounds = [rules.rounds[-1] for rules in (self.race, self.holds) if rules is not None]
        count = max(self.noise_seeds, *rounds, 0)
        return tuple(self.seed + 1 + replicate for replicate in range(count))
