import dataclasses
from collections.abc import Iterator

import numpy as np

from search.contracts._part import comes_back, good_part, instances, told_apart, with_part
from search.contracts._promise import Broken, Promise, need
from spaces import WEIGHTS, KarrasGrid
from spaces.arrays import Array
from spaces.registry import options_of
from spaces.weight import Weight

_SIGMA_DATA = (1e-3, 0.5, 1e3)
_WORDS = {
    **{"sqrt": np.sqrt, "exp": np.exp, "log": np.log, "min": np.minimum, "max": np.maximum},
    "interp": np.interp,
    "u": 0.0,
}


def options_are_frozen_documented_and_bounded(name: str) -> None:
    good_part(WEIGHTS, name, "FORMULA")


def it_is_finite_and_above_0(name: str) -> None:
    """Also in float32, which the training step has."""
    for weight, _, sigma_data, found_M in _everywhere(name):
        where = f"for {weight.describe()} with sigma_data {sigma_data:g}"
        is_shaped = found_M.dtype == np.float64 and found_M.shape == (199,)
        need(is_shaped, f"of_pairs must give float64, one for each pair, but does not {where}")
        is_good = np.isfinite(found_M.astype(np.float32)).all() and (found_M > 0).all()
        need(is_good, f"of_pairs gives {found_M.min():g} to {found_M.max():g} {where}")


def it_is_what_its_formula_says(name: str) -> None:
    for weight, pairs_2M, sigma_data, found_M in _everywhere(name):
        t_M, r_M = pairs_2M
        names = _WORDS | options_of(weight) | {"t": t_M, "r": r_M, "sigma_data": sigma_data}
        try:
            expected = eval(weight.FORMULA.replace("^", "**"), {"__builtins__": {}}, names)
        except (ArithmeticError, NameError, SyntaxError, TypeError) as error:
            raise Broken(f"FORMULA {weight.FORMULA!r} cannot be computed: {error}") from error
        error_M = abs(found_M / expected - 1)
        need(
            (error_M < 1e-9).all(),
            f"FORMULA gives another weight than of_pairs at t={t_M[error_M.argmax()]:g} for {weight.describe()}",
        )


@np.errstate(all="ignore")
def _everywhere(name: str) -> Iterator[tuple[Weight, Array, float, Array]]:
    """(weight, pairs (t_M, r_M), sigma_data, weight_M) on a grid wider than any in use."""
    sigma_N = dataclasses.replace(KarrasGrid(), sigma_min=1e-6, sigma_max=1e6).noise_levels(200)
    pairs_2M = np.stack([sigma_N[1:], sigma_N[:-1]])
    pairs_2M.setflags(write=False)
    for weight in instances(WEIGHTS, name):
        for sigma_data in _SIGMA_DATA:
            yield weight, pairs_2M, sigma_data, weight.of_pairs(*pairs_2M, sigma_data)


def a_schedule_with_it_comes_back(name: str) -> None:
    for weight in instances(WEIGHTS, name):
        for schedule in with_part("weight", weight):
            comes_back(schedule)


def a_schedule_with_it_is_another_one(name: str) -> None:
    told_apart("weight", name)


PROMISES: tuple[Promise, ...] = (
    options_are_frozen_documented_and_bounded,
    it_is_finite_and_above_0,
    it_is_what_its_formula_says,
    a_schedule_with_it_comes_back,
    a_schedule_with_it_is_another_one,
)
