import torch

from search.contracts._promise import Promise, good_options, need, plain_data
from spaces import GRIDS, Grid, SearchSpace


def _space(name: str) -> SearchSpace:
    return SearchSpace.from_mapping(
        {"noise": {"uniform": None}, "curriculum": {"constant": None}, "grid": {name: None}}
    )


def instances(name: str) -> list[Grid]:
    """At its defaults, between far ends, and at every corner of its space."""
    (family,) = _space(name).grid
    corners = (GRIDS[name](**options) for options in family.corners())
    return [GRIDS[name](), GRIDS[name](sigma_min=1e-6, sigma_max=1e6), *corners]


def levels_increase_strictly_between_exact_ends(name: str) -> None:
    for grid in instances(name):
        for num_levels in (2, 3, 11, 20, 251, 1280, 1281, 16_385):
            where = f"{num_levels} levels of {grid.describe()}"
            if num_levels > grid.most_levels:
                need(
                    f"{num_levels} levels are needed" in _refusal(grid, num_levels),
                    f"{where} are not refused",
                )
                continue
            sigma_N = grid.sigmas(num_levels)
            need(sigma_N.dtype == torch.float64 and sigma_N.shape == (num_levels,), f"{where} are no float64")
            need((sigma_N.diff() > 0).all(), f"{where} do not increase")
            ends = (sigma_N[0].item(), sigma_N[-1].item())
            need(ends == (grid.sigma_min, grid.sigma_max), f"{where} go from {ends[0]:g} to {ends[1]:g}")


def _refusal(grid: Grid, num_levels: int) -> str:
    try:
        grid.sigmas(num_levels)
    except ValueError as error:
        return str(error)
    return ""


def one_level_is_refused(name: str) -> None:
    need("num_levels >= 2" in _refusal(GRIDS[name](), 1), "one level must be refused")


def it_is_plain_data(name: str) -> None:
    for grid in instances(name):
        plain_data(GRIDS, grid)
        need(hash(GRIDS.build(GRIDS.describe(grid))) == hash(grid), f"equal {name} have two hashes")


def its_options_cannot_be_taken_for_grids(name: str) -> None:
    taken = set(GRIDS) & set(_space(name).to_dict()["grid"][name])
    need(not taken, f"options must not have the names of grids: {', '.join(taken)}")


def options_are_frozen_documented_and_bounded(name: str) -> None:
    good_options(GRIDS[name])


PROMISES: tuple[Promise, ...] = (
    options_are_frozen_documented_and_bounded,
    it_is_plain_data,
    levels_increase_strictly_between_exact_ends,
    one_level_is_refused,
    its_options_cannot_be_taken_for_grids,
)
