"""One file that asks for nothing: text, tables, pictures, and what draws them."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from search.report import answer, course
from search.report.curves import described, drawn
from search.report.found import Found
from search.report.html import Html
from search.report.markup import article, document, index
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


def page(searches: Sequence[Found], made_at: str) -> str:
    """The page of one or more searches as HTML. made_at: when, for its status line."""
    keys = [f"s{number}" for number in range(len(searches))]
    sections = [_sections(found, key) for found, key in zip(searches, keys, strict=True)]
    pictures = [
        {"id": picture.id, "search": key, "spec": picture.spec}
        for key, ours in zip(keys, sections, strict=True)
        for section in ours
        for picture in section.pictures
    ]
    names = {f"search-{key}": found.name for key, found in zip(keys, searches, strict=True)}
    articles = [
        article(key, found, ours, made_at) for key, found, ours in zip(keys, searches, sections, strict=True)
    ]
    trials = {key: described(found, drawn(found.records)) for key, found in zip(keys, searches, strict=True)}
    return document(
        " and ".join(names.values()),
        Html((_HERE / "page.css").read_text(encoding="utf-8")),
        [*([index(names)] if len(names) > 1 else []), *articles],
        {"pictures": _json(pictures), "trials": _json(trials)},
        [Html(vega()), Html((_HERE / "page.js").read_text(encoding="utf-8"))],
    )


def _sections(found: Found, key: str) -> list[Section]:
    return [section(found, key) for section in _SECTIONS]


def _json(value: Any) -> Html:
    """As the text of a script element, which nothing in it can end."""
    try:
        text = _text(value)
    except ValueError:  # most have none
        text = _text(_finite(value))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Html(text)


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    """Without NaN and infinities, which JSON has not: a picture leaves them out."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
