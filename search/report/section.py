"""What a section of a page is made of: plain values for the template, which escapes them."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    title: str
    is_number: bool = False


@dataclass(frozen=True)
class Table:
    """folded: the line behind which it is hidden, "" for one that is shown."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    folded: str = ""


@dataclass(frozen=True)
class Picture:
    """spec: of Vega-Lite. text: what it shows, in words."""

    id: str
    spec: Mapping[str, Any]
    text: str


@dataclass(frozen=True)
class Image:
    """text: what it shows, in words."""

    png: bytes
    text: str

    @property
    def base64(self) -> str:
        return base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Code:
    title: str
    about: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """lines: paragraphs. images: in rows. The rest follows in the order of the fields."""

    id: str
    title: str
    lines: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    images: Sequence[Sequence[Image]] = ()
    tables: Sequence[Table] = ()
    codes: Sequence[Code] = ()


def number(value: float | None) -> str:
    """Four digits; nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if math.isfinite(value) else "not finite"
