"""What a space has beside a weight that is learned: laws that do not follow the same losses."""

from spaces.checks import check_learned
from spaces.noise_distribution import NoiseDistribution
from spaces.space.family import Family
from spaces.space.problems import all_refusals, refusal
from spaces.weight import Weight


def beside_learned(
    noise: tuple[Family[NoiseDistribution], ...], weights: tuple[Family[Weight], ...], *, named: bool
) -> tuple[Family[NoiseDistribution], ...]:
    """The families that may stand beside all these weights. named: by the file, which must not name others."""
    learned = [family.cls(**options) for family in weights for options in family.corners()]
    kept = []
    with all_refusals() as refusals:
        for family in noise:
            try:
                for options in family.corners():
                    for weight in learned:
                        check_learned(weight, family.cls(**options))
            except ValueError as error:
                if named:
                    with refusals.of():
                        raise refusal(("noise", family.name), str(error)) from None
            else:
                kept.append(family)
    return tuple(kept)
