import numpy as np
import pytest

from spaces import KarrasGrid


@pytest.mark.parametrize("rho", [1.0, 2.0, 7.0, 12.0, 100.0])
@pytest.mark.parametrize("num_levels", [2, 3, 11, 1281, 16_385])
def test_levels_increase_strictly_between_exact_ends(rho: float, num_levels: int) -> None:
    sigma_N = KarrasGrid(sigma_min=0.002, sigma_max=80.0, rho=rho).sigmas(num_levels)
    assert sigma_N.shape == (num_levels,)
    assert (sigma_N.diff() > 0).all()
    assert sigma_N[0].item() == 0.002
    assert sigma_N[-1].item() == 80.0


def test_levels_equal_the_formula_of_the_paper() -> None:
    i = np.arange(20)
    expected = (0.002 ** (1 / 7) + i / 19 * (80 ** (1 / 7) - 0.002 ** (1 / 7))) ** 7
    np.testing.assert_allclose(KarrasGrid().sigmas(20).numpy(), expected, rtol=1e-14)


def test_spacing_at_n_1281_is_as_published() -> None:
    step_M = KarrasGrid().sigmas(1281).diff()
    assert step_M[0].item() == pytest.approx(3.9e-5, rel=0.01)
    assert 1 / step_M[0].item() == pytest.approx(25_600, rel=0.005)
    assert 1 / step_M[-1].item() == pytest.approx(2.9, abs=0.05)


def test_refuses_grids_without_room_or_out_of_bounds() -> None:
    for options in ({"sigma_min": 0.0}, {"sigma_max": float("nan")}, {"rho": 0.5}, {"sigma_min": 80.0}):
        with pytest.raises(ValueError, match="must hold, but got"):
            KarrasGrid(**options)
    with pytest.raises(ValueError, match="num_levels >= 2"):
        KarrasGrid().sigmas(1)


def test_describe_shows_the_ends_only_where_unusual() -> None:
    assert KarrasGrid().describe() == "rho=7"
    assert KarrasGrid(rho=5.046, sigma_max=20.0).describe() == "sigma_max=20, rho=5.046"
