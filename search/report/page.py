"""One file that asks for nothing: text, tables, pictures, and what draws them."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from search.report import answer, course
from search.report.curves import described, drawn
from search.report.found import Found
from search.report.section import Section
from search.report.vega_bundle import vega

_HERE = Path(__file__).parent
_SECTIONS: tuple[Callable[[Found, str], Section], ...] = (
    answer.leaderboard,
    answer.schedules,
    course.learning_curves,
    course.progress,
    course.importance,
    course.options,
    answer.images,
    answer.seeds,
    answer.elsewhere,
    course.cost,
    answer.usage,
)


@dataclass(frozen=True)
class _Shown:
    """One search as the template wants it."""

    id: str
    found: Found
    sections: Sequence[Section]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.found, name)


def page(searches: Sequence[Found], made_at: str) -> str:
    """The page of one or more searches as HTML. made_at: when, for its status line."""
    shown = [
        _Shown(f"s{index}", found, _sections(found, f"s{index}")) for index, found in enumerate(searches)
    ]
    pictures = [
        {"id": picture.id, "search": one.id, "spec": picture.spec}
        for one in shown
        for section in one.sections
        for picture in section.pictures
    ]
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        title=" and ".join(found.name for found in searches),
        searches=shown,
        made_at=made_at,
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((_HERE / "page.js").read_text(encoding="utf-8")),
        library=Markup(vega()),
        pictures=_json(pictures),
        trials=_json({one.id: described(one.found, drawn(one.found.records)) for one in shown}),
    )


def _sections(found: Found, key: str) -> list[Section]:
    return [section(found, key) for section in _SECTIONS]


def _json(value: Any) -> Markup:
    """As the text of a script element, which nothing in it can end."""
    try:
        text = _text(value)
    except ValueError:  # most have none
        text = _text(_finite(value))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    """Without NaN and infinities, which JSON has not: a picture leaves them out."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
