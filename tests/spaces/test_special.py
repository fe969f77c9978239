"""Our own special functions against SciPy's."""

import numpy as np
import pytest
from scipy import special as scipys

from search.evidence import quantiles
from spaces import special

EXACT = 1e-11


def test_the_normal_distribution_in_both_tails() -> None:
    z = np.concatenate([np.linspace(-40, 40, 2001), [-1e9, -1e3, -30.0, 0.0, 1e3]])
    np.testing.assert_allclose(special.ndtr(z), scipys.ndtr(z), rtol=EXACT, atol=1e-300)
    np.testing.assert_allclose(special.log_ndtr(z), scipys.log_ndtr(z), rtol=EXACT, atol=1e-300)
    assert special.ndtr(np.zeros((2, 3))).shape == (2, 3)


@pytest.mark.parametrize("a", [0.05, 0.2, 1.0, 1.5, 5.0, 100.0])
@pytest.mark.parametrize("b", [0.05, 0.5, 1.0, 8.0, 100.0])
def test_the_incomplete_beta_function_in_both_tails(a: float, b: float) -> None:
    x = np.concatenate([[0.0, 1e-300, 1e-12], np.linspace(1e-6, 1 - 1e-6, 501), [1 - 1e-12, 1.0]])
    np.testing.assert_allclose(special.betainc(a, b, x), scipys.betainc(a, b, x), rtol=EXACT, atol=1e-200)
    np.testing.assert_allclose(special.betaincc(a, b, x), scipys.betaincc(a, b, x), rtol=EXACT, atol=1e-200)
    alone = [special.betainc_at(a, b, float(value)) for value in x]
    np.testing.assert_allclose(alone, special.betainc(a, b, x), rtol=EXACT, atol=1e-200)


@pytest.mark.parametrize("degrees", [0.5, 1, 2, 3.3, 4, 13, 200, 1e5])
@pytest.mark.parametrize("p", [0.5, 0.6, 0.975, 0.9995, 1 - 1e-9])
def test_quantiles_of_students_t(degrees: float, p: float) -> None:
    assert quantiles.student_t(degrees, p) == pytest.approx(scipys.stdtrit(degrees, p), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize(("count", "total"), [(1, 1), (1, 5), (3, 14), (60, 400)])
def test_quantiles_of_the_beta_distribution(count: int, total: int) -> None:
    for a, b, p in ((count, total - count + 1, 0.025), (count + 1, total - count + 0.5, 0.975)):
        assert quantiles.beta(a, b, p) == pytest.approx(scipys.betaincinv(a, b, p), rel=1e-12)
