"""What the distance of student and teacher is. s: squared L2 norm of an image's difference, over all its values.

A new loss is one file in `spaces/losses/`: a frozen dataclass on `Loss` with its TEXT and `constants`. See
`spaces/losses/pseudo_huber.py`. All have one form with three numbers, so that one training step serves every loss.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from spaces.choice import Choice
from spaces.registry import Registry


class Constants(NamedTuple):
    """Of the distance s / (sqrt(slope s + offset) + shift) of an image."""

    slope: float
    offset: float
    shift: float


@dataclass(frozen=True, kw_only=True)
class Loss(Choice, ABC):
    """A distance of two images that grows with s.

    TEXT: what it is, as exports state it. DENOISES: whether the target is the clean image instead of a teacher's, which
    the loss denoising alone says.
    """

    TEXT: ClassVar[str]
    DENOISES: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.DENOISES and cls.__module__ != "spaces.losses.denoising":
            raise TypeError(f"{cls.__name__}: only the loss denoising has no teacher. Leave DENOISES out")

    @property
    def num_evaluations(self) -> int:
        """Of the network, for a sample of a model trained with it."""
        return 1

    @abstractmethod
    def constants(self, num_values: int, huber_c: float) -> Constants:
        """num_values: of an image. huber_c: the training's, see `huber_c_of`."""

    def huber_c_of(self, training: float) -> float | None:
        """Pseudo-Huber constant per square root of num_values, where the training has this one; None: there is none.

        Of what it gives it gives the same: an export has that for the training's.
        """
        return None


LOSSES: Registry[Loss] = Registry("spaces.losses", Loss, "loss")  # type: ignore[type-abstract]
