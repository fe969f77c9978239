"""What a space has where diffusion models are trained: no gap and no weight of one; levels from the laws themselves."""

from collections.abc import Mapping
from typing import Any

from spaces.checks import NO_TEACHER
from spaces.continuous import Clean
from spaces.loss import Loss
from spaces.space.family import Family
from spaces.space.problems import all_refusals, refusal
from spaces.weights.edm import EDM


def denoises(losses: tuple[Family[Loss], ...]) -> bool:
    """Whether the losses are the denoising one. Refuses others beside it, and a sampler that is searched."""
    found = [family for family in losses if family.cls.DENOISES]
    if not found:
        return False
    if len(losses) > 1:
        raise refusal(
            ("loss", found[0].name),
            f"is searched alone: its models are sampled with other numbers of network evaluations than those of "
            f"{next(family.name for family in losses if family not in found)}. Leave out one",
        )
    if found[0].free:
        raise refusal(
            ("loss", found[0].name, "heun_steps"),
            "is by what all samples of a search are made, and must be one value",
        )
    return True


def without_teacher(
    later: Mapping[str, tuple[Family[Any], ...]], sections: Mapping[str, Any]
) -> dict[str, Any]:
    """The parts of such a space: the weight edm where none is named. Refuses a gap, and weights of one."""
    if "gap" in sections:
        raise refusal(("gap",), f"{NO_TEACHER}. Leave it out")
    weights = later["weight"] if "weight" in sections else (Family("weight.edm", EDM, {}, {}),)
    with all_refusals() as refusals:
        for family in weights:
            if family.cls.OF_GAP:
                with refusals.of("weight", family.name):
                    raise refusal(("weight", family.name), f"{NO_TEACHER}. Take another one, as edm")
    return {**later, "gap": (Family("gap.clean", Clean, {}, {}),), "weight": weights}
