"""What a trial would have reported, for any schedule and any training seed, from recorded curves.

The schedule is replaced by its nearest recorded one. A search asks for training seeds of its own; each is given one
recorded seed, the same for all schedules, as in a real search: what two schedules have in common under one seed
(initial weights, images, noise) they have in common here too. The search's own seed is one that every schedule was
trained on, another one in each repeat. Fresh seeds get the others, none twice; first those that every schedule has.

Where a schedule was not trained on that seed, its geometric mean curve is multiplied by the residual curve that
another schedule, drawn by the repeat's seed, had under it. Residuals are taken on ln(objective), where their spread
depends least on the level (`python -m bench.quality.search_quality`), and scaled up by sqrt(n / (n - 1)), as those
about a mean of n seeds are too small. A schedule that diverged on some seed gets one of its own curves instead.

Axes: S schedules, R recorded training seeds, T steps.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search.simulator.nearest import Nearest
from search.simulator.table import CurveTable
from spaces import NoiseSchedule
from trainable.task import WORST_OBJECTIVE


class Measured(NamedTuple):
    """What a trial reports. seconds: since its start, of one CPU."""

    step: int
    objective: float
    seconds: float


class Curves:
    """A table, ready to be looked up: shared by all repeats."""

    def __init__(self, table: CurveTable):
        self.table = table
        self.nearest = Nearest(table.schedules)
        self.true_S = table.true_S
        self.best = float(self.true_S.min())
        diverged_SRT = table.values_SRT >= WORST_OBJECTIVE
        self.diverged_S: NDArray[np.bool_] = np.any(diverged_SRT, axis=(1, 2))
        recorded_SR = table.recorded_SR
        num_S = recorded_SR.sum(axis=1)
        ln_SRT = np.log(table.values_SRT)
        self.ln_mean_ST = np.nanmean(ln_SRT, axis=1)
        scale_S = np.sqrt(num_S / np.maximum(num_S - 1, 1))
        self.residual_SRT = (ln_SRT - self.ln_mean_ST[:, None, :]) * scale_S[:, None, None]
        usable_SR = recorded_SR & ~self.diverged_S[:, None] & (num_S > 1)[:, None]
        # Schedules whose residuals may be lent, by seed.
        self.lenders_R = [np.flatnonzero(usable_S).tolist() for usable_S in usable_SR.T]

    def true_value(self, schedule: NoiseSchedule) -> float:
        """Mean objective of its nearest over all recorded seeds, at the full budget."""
        return float(self.true_S[self.nearest(schedule)])


class Replay:
    """The curves of one repeat of a search.

    search_seed: the training seed that the search itself uses.
    """

    def __init__(self, curves: Curves, repeat: int, search_seed: int):
        table = curves.table
        self._curves, self._repeat = curves, repeat
        common = list(table.common_seeds)
        first = common.pop(repeat % len(common))
        others = [seed for seed in table.seeds if seed not in table.common_seeds]
        rng = random.Random(f"seeds/{repeat}")
        rng.shuffle(common)
        rng.shuffle(others)
        self._free = [*common, *others]
        self._recorded: dict[int, int | None] = {search_seed: first}

    def recorded_seed(self, seed: int) -> int | None:
        """The recorded seed that stands for this one; None when all are in use."""
        if seed not in self._recorded:
            self._recorded[seed] = self._free.pop(0) if self._free else None
        return self._recorded[seed]

    def __call__(self, schedule: NoiseSchedule, seed: int, rungs: Sequence[int]) -> list[Measured]:
        """The trial of this schedule on this seed, measured at these steps or up to where it diverged."""
        table = self._curves.table
        values_T, trial_seconds = self._curve(self._curves.nearest(schedule), seed)
        measured = []
        for step in rungs:
            value = float(values_T[table.steps.index(step)])
            measured.append(Measured(step, value, trial_seconds * step / table.steps[-1]))
            if value >= WORST_OBJECTIVE:
                break
        return measured

    def _curve(self, index: int, seed: int) -> tuple[NDArray[np.float64], float]:
        """values_T of schedule `index` on a seed of the search, and its seconds."""
        curves, table = self._curves, self._curves.table
        recorded = self.recorded_seed(seed)
        column = None if recorded is None else table.seeds.index(recorded)
        if column is not None and table.recorded_SR[index, column]:
            return table.values_SRT[index, column], float(table.seconds_SR[index, column])
        rng = random.Random(f"{self._repeat}/{index}/{seed}")
        seconds = float(np.nanmean(table.seconds_SR[index]))
        if curves.diverged_S[index]:
            own = np.flatnonzero(table.recorded_SR[index]).tolist()
            return table.values_SRT[index, rng.choice(own)], seconds
        if column is None:
            column = rng.choice([c for c, lenders in enumerate(curves.lenders_R) if lenders])
        lenders = [lender for lender in curves.lenders_R[column] if lender != index]
        residual_T = (
            curves.residual_SRT[rng.choice(lenders), column] if lenders else np.zeros(len(table.steps))
        )
        return np.exp(curves.ln_mean_ST[index] + residual_T), seconds
