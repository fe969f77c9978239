"""What is wrong with a search space, and where: all of it at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

# Where it is in the space section of a search file: keys and list positions.
Place = tuple[str | int, ...]


def text_of(place: Place) -> str:
    """`("noise", "lognormal")` -> "space.noise.lognormal"."""
    return ".".join(map(str, ("space", *place)))


class SpaceProblem(NamedTuple):
    """A rule that is broken at `place`. key: the one of the mapping there that is not known."""

    place: Place
    rule: str
    key: str | None = None

    @property
    def full_place(self) -> Place:
        """That of the unknown key, where it is one."""
        return self.place if self.key is None else (*self.place, self.key)

    def __str__(self) -> str:
        return f"{text_of(self.place)}: {self.rule}"


class SpaceError(ValueError):
    """Everything wrong with a space: `space.noise.lognormal.p_std: rule`, one after the other."""

    def __init__(self, *problems: SpaceProblem):
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


def refusal(place: Place, rule: str) -> SpaceError:
    return SpaceError(SpaceProblem(place, rule))


class Refusals:
    """Goes on where a part is refused, and keeps what was said of it."""

    def __init__(self) -> None:
        self._found: dict[tuple[Place, str | None], SpaceProblem] = {}

    @property
    def problems(self) -> tuple[SpaceProblem, ...]:
        """The first of each place, in the order in which they were met."""
        return tuple(self._found.values())

    @contextmanager
    def of(self, *place: str | int) -> Iterator[None]:
        """A ValueError inside is a problem at `place`, a SpaceError where it says."""
        try:
            yield
        except SpaceError as error:
            self._keep(*error.problems)
        except ValueError as error:
            self._keep(SpaceProblem(place, str(error)))

    def _keep(self, *problems: SpaceProblem) -> None:
        for problem in problems:
            self._found.setdefault((problem.place, problem.key), problem)


@contextmanager
def all_refusals() -> Iterator[Refusals]:
    """Raises at the end of the block what was refused inside, as one SpaceError."""
    refusals = Refusals()
    yield refusals
    if refusals.problems:
        raise SpaceError(*refusals.problems)
