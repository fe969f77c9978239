"""How often a leaderboard holds what it claims, on schedules whose true values are known, wherever a search ends.

    python -m bench.quality.coverage

Objectives are drawn, race and leaderboard are those of a search. Every search has a noise floor of three seeds unless
another number is said, whose seeds are the first of the race, as in a real one. The last table has what searches end
with where settings differ in how good a proposal is, by the mean ratio up to which it counts as good as the baseline.
"""

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.random import Generator

from bench.arguments import whole_number
from bench.figures import table
from search.evidence.holding import HoldRules, wanted
from search.evidence.intervals import Estimate
from search.evidence.leaderboard import Leaderboard, leaderboard
from search.evidence.race import RaceRules, standing
from search.evidence.rank_correlation import rank_interval
from search.record import Purpose, Report, State, TrialRecord
from spaces import PRESETS
from trainable.task import OWN

# ln(objective) of a schedule, by a generator, whose mean is 0.
Law = Callable[[Generator], float]
DIGITS, DEFAULT = RaceRules(top=1, baselines=1, rounds=(5,)), RaceRules()
FLOOR = 3
# searches/digits.yaml's, but for the settings.
DIGITS_HOLDS = HoldRules(settings={}, top=1, baselines=2, rounds=(3,), spread=0)
DEFAULT_HOLDS = HoldRules(settings={}, spread=0)
MARGINS = (1.0, 1.02, 1.05, 1.1, 1.2)


def normal(sd: float) -> Law:
    """N(0, sd^2)."""
    return lambda rng: sd * float(rng.normal())


def failing(sd: float, times: float = 10.0, share: float = 0.1) -> Law:
    """N(0, sd^2), but on a share of the seeds so many times worse. Its geometric mean is 1 all the same."""
    shift = np.log(times)
    return lambda rng: sd * float(rng.normal()) + float(shift * ((rng.random() < share) - share))


@dataclass(frozen=True, kw_only=True)
class World:
    """A kind of search: how noisy its schedules are, how its finalists race.

    baseline, proposal: what draws the law of one schedule. floor: seeds of the noise floor. noisier: other settings in
    which it is asked whether the finding holds, by how many times as noisy they are; holds: how. worth, apart: what a
    proposal truly is, as ln of its ratio to the baselines, which are all equal: as searched `worth`, in each other
    setting a draw of N(worth, apart^2).
    """

    name: str
    baseline: Callable[[Generator], Law]
    proposal: Callable[[Generator], Law]
    rules: RaceRules
    floor: int = FLOOR
    noisier: tuple[float, ...] = ()
    holds: HoldRules = DIGITS_HOLDS
    worth: float = 0.0
    apart: float = 0.0

    def play(self, rng: Generator) -> "Played":
        """One search, from its finished proposals to its leaderboard."""
        num_baselines = max(self.rules.baselines, self.holds.baselines if self.noisier else 0)
        kinds = [Purpose.BASELINE] * num_baselines + [Purpose.SEARCH] * self.rules.top
        laws = [(self.baseline if kind is Purpose.BASELINE else self.proposal)(rng) for kind in kinds]
        records: list[TrialRecord] = []

        noisier = {f"setting {nth}": times for nth, times in enumerate(self.noisier)}
        holds = replace(self.holds, settings=dict.fromkeys(noisier, 100))
        truth = {
            (number, setting): 0.0 if kind is Purpose.BASELINE else self.worth + spread * float(rng.normal())
            for number, kind in enumerate(kinds)
            for setting, spread in {OWN: 0.0, **dict.fromkeys(noisier, self.apart)}.items()
        }

        def train(
            of: int, purpose: Purpose, seed: int, replicate_of: int | None = None, setting: str = OWN
        ) -> None:
            value = np.exp(truth[of, setting] + noisier.get(setting, 1.0) * laws[of](rng))
            report = Report(100, float(value), 0)
            plain = TrialRecord(len(records), purpose, State.COMPLETE, PRESETS["ict"].schedule, seed)
            records.append(replace(plain, replicate_of=replicate_of, reports=(report,), setting=setting))

        for number, kind in enumerate(kinds):
            train(number, kind, 0)
        for seed in range(1, self.floor + 1):
            train(0, Purpose.NOISE, seed, 0)
        seeds = range(1, self.rules.rounds[-1] + 1)
        while missing := standing(records, self.rules, seeds).missing:
            for finalist, index in missing:
                train(finalist.number, Purpose.CONFIRM, seeds[index], finalist.number)
        race = standing(records, self.rules, seeds)
        while found := wanted(records, race, holds, seeds):
            for one in found:
                train(one.record.number, Purpose.HOLD, seeds[one.nth], one.record.number, one.setting)
        return Played(leaderboard("toy", "fd", records, race=race, holds=holds, seeds=seeds), truth)


@dataclass(frozen=True)
class Played:
    """A search, and the ln of the ratio to the baselines that each schedule truly has: by trial and setting."""

    board: Leaderboard
    truth: Mapping[tuple[int, str], float]

    def of(self, number: int) -> list[float]:
        """Of one schedule, in all settings."""
        return [worth for (of, _), worth in self.truth.items() if of == number]


@dataclass(frozen=True)
class Held:
    """Shares of searches. means, ratios: all of its intervals hold; both: those of either family; elsewhere: those of
    all ratios in other settings. false: the winner is called better than the best baseline, which it is not."""

    means: float
    ratios: float
    both: float
    elsewhere: float
    false: float

    def row(self, name: str) -> list[str]:
        return [name, *(f"{share:.3f}" for share in astuple(self))]


def _holds_one(estimate: Estimate | None) -> bool:
    if estimate is None or estimate.low is None or estimate.high is None:
        return True
    return estimate.low <= 1 <= estimate.high


def held(world: World, repeats: int, seed: int = 0) -> Held:
    """Of so many searches."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(repeats):
        board = world.play(rng).board
        families = (
            [row.estimate for row in board.rows],
            [row.ratio for row in board.rows],
            [row.ratio for setting in board.settings for row in setting.rows],
        )
        means, ratios, elsewhere = (all(map(_holds_one, family)) for family in families)
        false = board.best_as_searched is not None and board.best_as_searched.is_better
        found.append((means, ratios, means and ratios, elsewhere, false))
    return Held(*np.mean(found, axis=0).tolist())


def worlds() -> list[World]:
    """Kinds of searches, each at the ends that a search may come to: after its first round, or after its last."""

    def same(law: Law) -> Callable[[Generator], Law]:
        return lambda rng: law

    def spread(rng: Generator) -> Law:
        # As on the recorded curves: variances of three degrees of freedom.
        return normal(0.155 * float(np.sqrt(3 / rng.chisquare(3))))

    laws = {
        "sd .155": (same(normal(0.155)), same(normal(0.155))),
        "sd .08, proposals .30": (same(normal(0.08)), same(normal(0.30))),
        "sd .30, proposals .08": (same(normal(0.30)), same(normal(0.08))),
        "sd .155, from schedule to schedule as on the digits": (spread, spread),
        "sd .1, proposals fail on one seed in ten": (same(normal(0.1)), same(failing(0.1))),
    }
    ends = {
        "defaults, after round 1": replace(DEFAULT, max_trials=DEFAULT.first_trials),
        "defaults": DEFAULT,
        "digits": DIGITS,
    }
    found = [
        World(name=f"{end}; {law}", baseline=baseline, proposal=proposal, rules=rules)
        for law, (baseline, proposal) in laws.items()
        for end, rules in ends.items()
    ]
    alone = replace(DIGITS, top=1, baselines=0, rounds=(2,))
    one = same(normal(0.155))
    return [
        *found,
        World(name="one finalist, no floor; sd .155", baseline=one, proposal=one, rules=alone, floor=0),
        *(
            replace(world, name=f"{world.name}; two other settings", noisier=(1.0, 2.5), holds=holds)
            for rules, holds in ((DEFAULT, DEFAULT_HOLDS), (DIGITS, DIGITS_HOLDS))
            for world in found
            if world.rules == rules
        ),
    ]


@dataclass(frozen=True)
class Ended:
    """Searches with one rule for what counts as good as the baseline.

    proposal: share that ends with a proposal. ratio: of what they end with to the baselines, over all settings, as a
    geometric mean. tenth_worse, quarter_worse: shares that end with a proposal which is truly 1.1 or 1.25 times as far
    as the baselines in one of the settings. missed: that end with a baseline where a proposal is truly better in all of
    them, and by a tenth in the mean.
    """

    proposal: float
    ratio: float
    tenth_worse: float
    quarter_worse: float
    missed: float

    def row(self, name: str, as_good: float) -> list[str]:
        return [name, f"{as_good:g}", *(f"{share:.3f}" for share in astuple(self))]


def ended(world: World, repeats: int, seed: int = 0) -> dict[float, Ended]:
    """The same searches by each of the rules `MARGINS`."""
    rng = np.random.default_rng(seed)
    found: dict[float, list[tuple[bool, float, bool, bool, bool]]] = {as_good: [] for as_good in MARGINS}
    for _ in range(repeats):
        played = world.play(rng)
        proposals = [row for row in played.board.rows if row.record.purpose is Purpose.SEARCH]
        true = [played.of(row.record.number) for row in proposals]
        one_is_good = any(max(worth) <= 0 and np.mean(worth) < np.log(0.9) for worth in true)
        for as_good, results in found.items():
            answer = played.board.holding(as_good)
            assert answer is not None
            worth, named = played.of(answer.record.number), answer in proposals
            worst = float(np.exp(max(worth)))
            missed = one_is_good and not named
            results.append((named, float(np.mean(worth)), worst > 1.1, worst > 1.25, missed))
    means = {as_good: np.mean(results, axis=0) for as_good, results in found.items()}
    return {as_good: Ended(m[0], float(np.exp(m[1])), *m[2:]) for as_good, m in means.items()}


def differing_worlds() -> list[World]:
    """Where a proposal is not as good in one setting as in the next: by .2 of ln, as on the digits (docs/transfer.md).

    Three settings, one of them noisier.
    """

    def law(rng: Generator) -> Law:
        return normal(0.1)

    return [
        World(
            name=f"{100 * math.expm1(worth):+.0f} %, apart by {apart:g}",
            baseline=law,
            proposal=law,
            rules=DIGITS,
            noisier=(1.0, 1.0, 1.7),
            worth=worth,
            apart=apart,
        )
        for worth, apart in ((0.0, 0.0), (0.0, 0.2), (-0.2, 0.2), (-0.4, 0.2), (-0.4, 0.4))
    ]


def rank_coverage(correlation: float, count: int, repeats: int) -> float:
    """How often `rank_interval` holds the rank correlation of normal pairs, (6/pi) asin(r/2) (Pearson 1907)."""
    normal_r = 2 * np.sin(np.pi * correlation / 6)
    first_SN, own_SN = np.random.default_rng(0).normal(size=(2, repeats, count))
    second_SN = normal_r * first_SN + np.sqrt(1 - normal_r**2) * own_SN
    one_SN, other_SN = (values.argsort(1).argsort(1) - (count - 1) / 2 for values in (first_SN, second_SN))
    found_S = (one_SN * other_SN).sum(1) / (one_SN[0] ** 2).sum()
    intervals = [rank_interval(float(found), count) for found in found_S if abs(found) < 1 - 1e-9]
    return float(np.mean([low <= correlation <= high for low, high in intervals]))


def main(arguments: Sequence[str]) -> int:
    """Play all of it and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.quality.coverage", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("repeats", nargs="?", type=whole_number, default=2000, help="how often (%(default)s)")
    repeats = parser.parse_args(arguments).repeats
    head = [
        "searches in which",
        "all means hold",
        "all ratios",
        "both",
        "ratios elsewhere",
        "better, wrongly",
    ]
    print(table(head, [held(world, repeats).row(world.name) for world in worlds()]), flush=True)
    counts = (6, 10, 20, 40, 100)
    rows = [
        [f"{correlation:g}", *(f"{rank_coverage(correlation, count, repeats):.3f}" for count in counts)]
        for correlation in (0.0, 0.5, 0.9, 0.95, 0.98, 0.99)
    ]
    print("\n" + table(["rank correlation", *(f"{count} trials" for count in counts)], rows))
    head = ["proposals", "counts as good", "proposal", "/ baseline", "> 1.1", "> 1.25", "missed"]
    rows = [
        of.row(world.name, as_good)
        for world in differing_worlds()
        for as_good, of in ended(world, repeats).items()
    ]
    print("\n" + table(head, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
