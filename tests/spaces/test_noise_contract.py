"""Every noise family in spaces/noise/, the ones dropped in later included, keeps these promises."""

from typing import Any

import pytest

from search.contracts._promise import Promise
from search.contracts.noise import EXTREME_GRIDS, PROMISES, has_no_mass_on, instances
from spaces import CURRICULA, GAPS, GRIDS, LOSSES, NOISE, WEIGHTS
from spaces.registry import Registry, summary_of

every_family = pytest.mark.parametrize("name", list(NOISE))


@pytest.mark.parametrize(
    "name",
    ["cosine", "cosine_scaled", "cosine_shifted", "logsnr_cauchy", "logsnr_laplace", "lognormal"],
)
def test_an_unbounded_law_has_mass_everywhere(name: str) -> None:
    """So that a law which underflows does not pass above as a bounded one."""
    for noise in instances(name):
        assert not any(has_no_mass_on(noise, grid.sigmas(2)) for grid in EXTREME_GRIDS)


@every_family
@pytest.mark.parametrize("promise", PROMISES)
def test_a_family_keeps_what_families_keep(name: str, promise: Promise) -> None:
    promise(name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in (NOISE, CURRICULA, GRIDS, GAPS, WEIGHTS, LOSSES) for name in kind],
)
def test_ours_cite_their_source(kind: Registry[Any], name: str) -> None:
    first_line = summary_of(kind[name])
    assert "arXiv:" in first_line or "doi:" in first_line, "the first line cites the source"
    assert issubclass(kind[name], kind.base)
