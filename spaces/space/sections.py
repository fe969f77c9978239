"""The space section of a search file as families: each part read, then what must hold between them."""

from typing import Any

from spaces.continuous import Ends
from spaces.curriculum import CURRICULA, Curriculum
from spaces.noise_distribution import NOISE
from spaces.schedule import USUAL
from spaces.space.denoising import denoises, without_teacher
from spaces.space.family import Family
from spaces.space.gaps import check_gaps, check_no_floor, continuous, ends_of, laws_of, read_ends
from spaces.space.learned import beside_learned
from spaces.space.problems import all_refusals, refusal
from spaces.space.reading import (
    check_known,
    check_together,
    checked_mapping,
    read_families,
    read_floor,
    read_grids,
    read_least_ends,
    read_unusual,
)

SECTIONS = ("grid", "noise", "curriculum", "uniform_floor", "ends", *USUAL)


def read_sections(given: Any) -> dict[str, Any]:
    """The fields of a `SearchSpace`. Raises SpaceError with all that is wrong."""
    sections = checked_mapping(given, ())
    with all_refusals() as refusals:
        with refusals.of():
            check_known(sections, SECTIONS, (), "section")
        later: dict[str, tuple[Family[Any], ...]] = {}
        for part, (registry, usual) in USUAL.items():
            with refusals.of():
                later[part] = read_unusual(registry, usual, sections, part)
        with refusals.of():
            if denoises(later.get("loss", ())):
                later = without_teacher(later, sections)
        gaps = continuous(later.get("gap", ()))
        without_grid = bool(gaps) and gaps == later["gap"]
        with refusals.of():
            grid = read_ends(sections) if without_grid else read_grids(sections.get("grid"))
        with refusals.of():
            noise = read_families(NOISE, sections.get("noise"), ("noise",))
            named = sections.get("noise") is not None
            if gaps:
                noise = laws_of(noise, named=named)
            noise = beside_learned(noise, later.get("weight", ()), named=named)
        curriculum: tuple[Family[Curriculum], ...] = ()
        if not without_grid:
            with refusals.of():
                curriculum = read_families(CURRICULA, sections.get("curriculum"), ("curriculum",))
        with refusals.of():
            floor = read_floor(sections.get("uniform_floor", 0.0))
            if gaps:
                check_no_floor(floor)
        with refusals.of():
            least_ends = read_least_ends(sections.get("ends"))
    _check_prefixes((*grid, *noise, *curriculum))
    if not without_grid:
        check_together(grid, noise, curriculum)
    if gaps and without_grid:
        check_gaps(gaps, tuple(Ends(**options) for options in grid[0].corners()), noise)
    elif gaps:
        check_gaps(gaps, (ends_of(grid),), noise)
    return {
        "grid": grid,
        "noise": noise,
        "curriculum": curriculum,
        **later,
        "uniform_floor": floor,
        "ends": least_ends,
    }


def _check_prefixes(families: tuple[Family[Any], ...]) -> None:
    """Refuse two files of one name, whose Optuna parameters would be the same."""
    taken = [*SECTIONS, *(family.prefix for family in families if family.prefix != "grid")]
    twice = sorted({prefix for prefix in taken if taken.count(prefix) > 1})
    if twice:
        raise refusal((), f"the name {twice[0]!r} is taken twice; rename one of the files")
