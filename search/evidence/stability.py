"""Whether a schedule works on every seed: a mean over a few seeds says little of one on which it fails."""

import statistics
from collections.abc import Mapping

from search.record import has_diverged

# More than by this factor, equal schedules hardly differ by chance: 4.5 standard deviations of the digits' noise.
_STANDS_OUT = 2.0
_RARE = 0.1  # the share of seeds that a fault is asked to have, where none is seen


def seeds_that_stand_out(values: Mapping[int, float]) -> dict[int, float]:
    """Seed -> how many times worse than the median of the other seeds it is, of those where that is more than twice.

    values: objective by training seed.
    """
    found = {}
    for seed, value in values.items():
        others = [other for number, other in values.items() if number != seed]
        if others and value > _STANDS_OUT * statistics.median(others):
            found[seed] = value / statistics.median(others)
    return found


def instability_text(label: str, values: Mapping[int, float]) -> str:
    """`trial 7 is not stable: ...` in a sentence; nothing where no seed stands out. values: of all seeds seen."""
    diverged = [seed for seed, value in values.items() if has_diverged(value)]
    worse = {seed: times for seed, times in seeds_that_stand_out(values).items() if seed not in diverged}
    found = [f"{times:.1f} times its other seeds on seed {seed}" for seed, times in sorted(worse.items())]
    found += [f"diverged on seed {seed}" for seed in sorted(diverged)]
    return f"{label} is not stable: {', '.join(found)}." if found else ""


def unseen_text(label: str, num_seeds: int) -> str:
    """What so many fresh seeds, none of which stands out, leave open."""
    return (
        f"No seed of {label} stands out. A fault on one seed in ten would stay unseen on {num_seeds} seeds with "
        f"probability {(1 - _RARE) ** num_seeds:.2f}."
    )
