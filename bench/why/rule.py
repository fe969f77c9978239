"""How well the ends of a schedule (`spaces.thin_ends`) predict that it fails: by the transfer table."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from bench.transfer.recording import Row
from bench.transfer.schedules import Chosen
from bench.transfer.settings import SETTINGS
from spaces import PRESETS, NoiseSchedule
from spaces.thin_ends import LEAST, ends

FAILS_ABOVE = 2.0  # times the distance of ict
TOTAL_STEPS = 2000  # of the shares of draws
BAND, _LOWEST = 0.5, 0.05  # of `rarest_share`
_FEWEST = 5  # schedules; of fewer a setting has no row
# The setting and the schedules that were looked at when the rule was made; all others test it.
CHOSEN_ON = "mlp_2000"
LOOKED_AT = (
    *("preset cosine_scaled", "preset digits_best", "preset edm_proposal", "preset gokmen_constant"),
    *("preset hang_gu_laplace", "recorded, best 1", "recorded, best 1, floor 0.05"),
    *(f"recorded, best {place}" for place in range(2, 6)),
    *(f"filling {number}" for number in (0, 1, 2, 3, 4, 13, 24)),
)


@dataclass(frozen=True)
class Judged:
    """A schedule. below, above: its ends. rarest: `rarest_share`. ratios: its distance over ict's, by setting of the
    transfer table."""

    origin: str
    below: float
    above: float
    rarest: float
    ratios: Mapping[str, float]

    @property
    def warned(self) -> bool:
        """Whether the rule warns of it."""
        return min(self.below, self.above) < LEAST

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def judged(rows: Mapping[str, Sequence[Row]], order: Sequence[Chosen]) -> list[Judged]:
    """All schedules that were trained in some setting where ict was, but ict. rows: by setting.

    Distances are geometric means over the seeds that there are. Schedules that adapt in training are left out.
    """
    means = {setting.name: _means(rows.get(setting.name, ())) for setting in SETTINGS}
    ict = PRESETS["ict"].schedule
    found = []
    for chosen in order:
        schedule = chosen.schedule
        ratios = {name: of[schedule] / of[ict] for name, of in means.items() if schedule in of and ict in of}
        if ratios and schedule != ict and not schedule.noise.ADAPTIVE:
            found.append(_judged(chosen.origin, schedule, ratios))
    return found


def _means(rows: Sequence[Row]) -> dict[NoiseSchedule, float]:
    logs: dict[NoiseSchedule, list[float]] = {}
    for row in rows:
        logs.setdefault(NoiseSchedule.from_dict(row["schedule"]), []).append(math.log(row["values"][-1]))
    return {schedule: math.exp(statistics.fmean(of)) for schedule, of in logs.items()}


def judged_runs(rows: Sequence[Mapping[str, Any]]) -> list[Judged]:
    """The laws of `bench.why.laws` but ict, by what they came to from sigma_max in each of its settings."""
    logs: dict[tuple[str, str], list[float]] = {}
    schedules = {row["law"]: NoiseSchedule.from_dict(row["schedule"]) for row in rows}
    for row in rows:
        if row["frechet_TL"]:
            key = (row["law"], row["setting"])
            logs.setdefault(key, []).append(math.log(row["frechet_TL"][-1][-1]))
    means = {key: math.exp(statistics.fmean(of)) for key, of in logs.items()}
    return [
        _judged(
            law,
            schedule,
            {
                setting: mean / means["ict", setting]
                for (of, setting), mean in means.items()
                if of == law and ("ict", setting) in means
            },
        )
        for law, schedule in schedules.items()
        if law != "ict"
    ]


def _judged(origin: str, schedule: NoiseSchedule, ratios: Mapping[str, float]) -> Judged:
    shares = ends(schedule, TOTAL_STEPS)
    below, above, rarest = (
        float(f"{share:.3g}") for share in (shares.below, shares.above, rarest_share(schedule, TOTAL_STEPS))
    )
    return Judged(
        origin, below, above, rarest, {name: float(f"{ratio:.3g}") for name, ratio in ratios.items()}
    )


def rarest_share(schedule: NoiseSchedule, total_steps: int) -> float:
    """The rule that was tried first: the least share of all draws in a band of BAND in ln sigma, from sigma_max down to
    _LOWEST."""
    high = math.log(schedule.grid.sigma_max)
    count = math.floor((high - math.log(_LOWEST)) / BAND)
    edges = np.linspace(high - count * BAND, high, count + 1, dtype=np.float64)
    stages = schedule.stages(total_steps)
    steps = np.diff([*(stage.start_step for stage in stages), total_steps])
    mass = np.sum([num * stage.mass(edges) for num, stage in zip(steps, stages, strict=True)], axis=0)
    return float(mass.min() / total_steps)


def area(found: Sequence[Judged], value: Callable[[Judged], float], setting: str = CHOSEN_ON) -> float:
    """The share of pairs, of one that failed there and one that held, in which the former has the lower value: that
    under the ROC curve. NaN where there are none."""
    there = [each for each in found if setting in each.ratios]
    failed = np.array([value(each) for each in there if each.ratios[setting] > FAILS_ABOVE])
    held = np.array([value(each) for each in there if each.ratios[setting] <= FAILS_ABOVE])
    differences = np.sign(held - failed[:, None])
    return float((differences.mean() + 1) / 2) if differences.size else math.nan


@dataclass(frozen=True)
class Check:
    """Some schedules in a setting: whether each was warned of, and whether it failed there."""

    text: str
    setting: str
    schedules: Sequence[Judged]

    def count(self, *, warned: bool | None = None, failed: bool | None = None) -> int:
        """How many are so; None: either."""
        return sum(
            warned in (None, each.warned) and failed in (None, each.ratios[self.setting] > FAILS_ABOVE)
            for each in self.schedules
        )

    def cells(self) -> Sequence[str]:
        """A line of the table."""
        num_failed, num_held = self.count(failed=True), self.count(failed=False)
        num_warned = self.count(warned=True)
        return (
            self.text,
            share_text(self.count(warned=True, failed=True), num_failed),
            share_text(self.count(warned=True, failed=False), num_held),
            share_text(self.count(warned=True, failed=True), num_warned),
        )


def checks(found: Sequence[Judged]) -> Iterator[Check]:
    """Of the schedules that the rule was made with, of the others in the same setting, of each other setting."""
    for setting in SETTINGS:
        there = [each for each in found if setting.name in each.ratios]
        if setting.name == CHOSEN_ON:
            seen = [each for each in there if each.origin in LOOKED_AT]
            fresh = [each for each in there if each.origin not in LOOKED_AT]
            yield Check(f"{setting.text}: the schedules it was made with", setting.name, seen)
            yield Check(f"{setting.text}: others", setting.name, fresh)
        elif len(there) >= _FEWEST:
            yield Check(setting.text, setting.name, there)


def missed_lines(made: Iterable[Check]) -> Iterator[Sequence[str]]:
    """What failed without a warning, check by check."""
    for check in made:
        for each in check.schedules:
            if not each.warned and each.ratios[check.setting] > FAILS_ABOVE:
                shares = f"{100 * each.below:.2g} %, {100 * each.above:.2g} %"
                yield (check.text.partition(":")[0], each.origin, shares, f"{each.ratios[check.setting]:.2g}")


def share_text(part: int, whole: int) -> str:
    """`7 of 9: 0.78 [0.40, 0.97]`, Clopper and Pearson's 95 % interval (Biometrika 26, 404, 1934)."""
    if not whole:
        return "none"
    low = float(beta.ppf(0.025, part, whole - part + 1)) if part else 0.0
    high = float(beta.ppf(0.975, part + 1, whole - part)) if part < whole else 1.0
    return f"{part} of {whole}: {part / whole:.2f} [{low:.2f}, {high:.2f}]"
