"""What a space has where gaps are not adjacent: laws over sigma, two ends for a grid, no curriculum, no floor."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution

from spaces.checks import check_continuous, check_gap, check_mass
from spaces.continuous import Ends
from spaces.gap import Gap
from spaces.grid import Grid
from spaces.noise_distribution import NoiseDistribution, SigmaLaw
from spaces.space.family import Family
from spaces.space.problems import all_refusals, refusal
from spaces.space.reading import checked_mapping, read_family

_NO_EFFECT = "would have no effect with a gap that is not adjacent or the loss denoising. Leave it out"


def continuous(gaps: tuple[Family[Gap], ...]) -> tuple[Family[Gap], ...]:
    """Those whose levels are drawn from the law itself."""
    return tuple(family for family in gaps if family.cls.CONTINUOUS)


def read_ends(sections: Mapping[str, Any]) -> tuple[Family[Grid], ...]:
    """The grid of a space in which no gap is adjacent. Refuses a curriculum, which would have no effect."""
    given = checked_mapping(sections.get("grid") or {}, ("grid",))
    with all_refusals() as refusals:
        with refusals.of("curriculum"):
            if "curriculum" in sections:
                raise refusal(("curriculum",), _NO_EFFECT)
        for option in sorted(map(str, given.keys() - {"sigma_min", "sigma_max"})):
            with refusals.of("grid", option):
                raise refusal(("grid", option), _NO_EFFECT)
    return (read_family(Ends, "grid", given, ("grid",)),)


def laws_of(
    noise: tuple[Family[NoiseDistribution], ...], *, named: bool
) -> tuple[Family[NoiseDistribution], ...]:
    """The families that are laws over sigma. named: by the file, which must not name others."""
    laws = tuple(family for family in noise if issubclass(family.cls, SigmaLaw))
    with all_refusals() as refusals:
        for family in noise if named else ():
            if family not in laws:
                with refusals.of():
                    raise refusal(
                        ("noise", family.name),
                        "is no law over sigma, and a gap that is not adjacent or the loss denoising draws sigma from "
                        "one. Leave out one",
                    )
    return laws


def check_no_floor(floor: float | BaseDistribution) -> None:
    if floor != 0:
        raise refusal(("uniform_floor",), f"is over the intervals of a grid, and {_NO_EFFECT}")


def ends_of(grids: tuple[Family[Grid], ...]) -> Ends:
    """The ends that adjacent gaps and others share."""
    found = {(family.fixed.get("sigma_min"), family.fixed.get("sigma_max")) for family in grids}
    low, high = next(iter(found))
    if len(found) > 1 or low is None or high is None:
        raise refusal(
            ("grid",), "sigma_min and sigma_max must be one value each where gaps of both kinds are searched"
        )
    return Ends(sigma_min=low, sigma_max=high)


def check_gaps(
    gaps: tuple[Family[Gap], ...], ends: tuple[Ends, ...], noise: tuple[Family[NoiseDistribution], ...]
) -> None:
    """Refuse a gap that at a corner is too narrow, and a law without mass between the ends at a corner."""
    with all_refusals() as refusals:
        for law in noise:
            for options in law.corners():
                for end in ends:
                    with refusals.of("noise", law.name):
                        check_mass(end, law.cls(**options))
        if refusals.problems:
            return
        for family in gaps:
            for options in family.corners():
                gap = family.cls(**options)
                with refusals.of("gap", family.name):
                    for law in noise:
                        for others in law.corners():
                            check_continuous(law.cls(**others), gap)
                            for end in ends:
                                check_gap(law.cls(**others), gap, end)
