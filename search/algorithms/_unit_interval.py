"""Parameters as numbers between 0 and 1."""

from typing import Any

import numpy as np
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution, CategoricalDistribution


def value_at(distribution: BaseDistribution, u: float) -> Any:
    """The parameter at the fraction 0 <= u < 1 of its range: uniform if u is (in its logarithm, if that is drawn)."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(u * len(distribution.choices))]
    transform = _SearchSpaceTransform({"": distribution}, transform_0_1=True)
    return transform.untransform(np.array([u]))[""]
