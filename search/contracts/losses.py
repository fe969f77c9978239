import math

import numpy as np

from search.contracts._part import comes_back, good_part, instances, told_apart, with_part
from search.contracts._promise import Promise, need
from spaces import LOSSES
from spaces.loss import Constants
from spaces.losses.pseudo_huber import HUBER_C_BOUNDS, ICT_HUBER_C

_HUBER_C = (*HUBER_C_BOUNDS, ICT_HUBER_C)
# Squared norms, float32 as the training step has them.
_S = np.logspace(-12, 12, 100, dtype=np.float32)


def options_are_frozen_documented_and_bounded(name: str) -> None:
    good_part(LOSSES, name, "TEXT")


@np.errstate(all="ignore")
def it_grows_from_0_and_is_finite(name: str) -> None:
    """With a derivative at 0, for every c of the training."""
    for loss in instances(LOSSES, name):
        for num_values in (64, 3 * 512 * 512):
            for huber_c in _HUBER_C:
                constants = loss.constants(num_values, huber_c)
                where = f"for {loss.describe()} of {num_values} values with huber_c {huber_c:g}"
                need(isinstance(constants, Constants), f"constants must give Constants {where}")
                slope, offset, shift = map(np.float32, constants)
                need(offset > 0, f"offset must be above 0 in float32, but is {offset:g} {where}")
                distance = _S / (np.sqrt(slope * _S + offset) + shift)
                need(np.isfinite(distance).all(), f"is not finite {where}")
                need((np.diff(distance, prepend=0) > 0).all(), f"does not grow {where}")


def its_huber_c_is_that_of_its_exports(name: str) -> None:
    """What an export has for the training's c gives the same c again."""
    low, high = HUBER_C_BOUNDS
    for loss in instances(LOSSES, name):
        for given in _HUBER_C:
            found = loss.huber_c_of(given)
            where = f"huber_c_of gives {found} of {given:g} for {loss.describe()}"
            if found is None:
                need(loss.huber_c_of(-1.0) is None, f"{where}, but a number of another one")
                continue
            need(math.isfinite(found) and low <= found <= high, f"{where}: must be {low:g} to {high:g}")
            need(loss.huber_c_of(found) == found, f"{where}, but of that something else")


def a_schedule_with_it_comes_back(name: str) -> None:
    for loss in instances(LOSSES, name):
        for schedule in with_part("loss", loss):
            comes_back(schedule)


def a_schedule_with_it_is_another_one(name: str) -> None:
    told_apart("loss", name)


PROMISES: tuple[Promise, ...] = (
    options_are_frozen_documented_and_bounded,
    it_grows_from_0_and_is_finite,
    its_huber_c_is_that_of_its_exports,
    a_schedule_with_it_comes_back,
    a_schedule_with_it_is_another_one,
)
