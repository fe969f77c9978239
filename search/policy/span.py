"""Seconds that are not known yet: least, expected, most."""

import math
from collections.abc import Iterable
from typing import NamedTuple, Self


class Span(NamedTuple):
    """Nine of ten lie between least and most; both may be without end."""

    least: float = 0.0
    expected: float = 0.0
    most: float = 0.0

    @classmethod
    def within(cls, expected: float, factor: float) -> Self:
        """What may be off by that factor."""
        return cls(expected / factor, expected, expected * factor)

    def at_most(self, limit: float) -> "Span":
        """Cut to a limit."""
        return Span(*(min(seconds, limit) for seconds in self))


def together(spans: Iterable[Span], error: float = 0.0) -> Span:
    """One after the other, where none knows of another: deviations add in quadrature. error: of the whole, besides."""
    spans = list(spans)
    expected = math.fsum(span.expected for span in spans)
    if math.isinf(expected):
        return Span(math.fsum(span.least for span in spans), expected, math.inf)
    down = math.hypot(error * expected, *(span.expected - span.least for span in spans))
    up = math.hypot(error * expected, *(span.most - span.expected for span in spans))
    return Span(max(0.0, expected - down), expected, expected + up)
