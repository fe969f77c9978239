"""Pictures in Vega-Lite: data in, a specification out; the browser draws it.

Colours are CSS variables of the page (`page.css`), so that one picture serves light and dark screens and paper. Where
colour says something, dashes or shapes say it too. A click on a mark with a `trial` names that trial (`page.js`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
Points = Sequence[Mapping[str, Any]]

COLOURS = [f"var(--c{i})" for i in range(1, 7)]
INK, PALE = "var(--ink)", "var(--pale)"
ROW = 30  # pixels of a bar


def chart(description: str, height: int, **parts: Any) -> Spec:
    return {
        "description": description,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "params": [{"name": "chosen", "value": -1}],
        **parts,
    }


def values(points: Points) -> Spec:
    return {"values": [dict(point) for point in points]}


def axis(field: str, title: str, **options: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, **options}


def log_axis(field: str, title: str, **scale: Any) -> Spec:
    return axis(
        field, title, scale={"type": "log", "nice": False, "padding": 6, **scale}, axis={"tickCount": 6}
    )


def one_of(field: str, values: Sequence[str], scale: Sequence[Any], **options: Any) -> Spec:
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": list(values), "range": list(scale)[: len(values)]},
        "legend": {"title": None, "orient": "top", "columns": 3, "labelLimit": 320},
        **options,
    }


def rule(axis: str, at: Sequence[float], **mark: Any) -> Spec:
    """Lines across the picture."""
    return {
        "data": {"values": [{"at": value} for value in at]},
        "mark": {"type": "rule", "color": INK, "opacity": 0.35, "strokeDash": [3, 3], **mark},
        "encoding": {axis: {"field": "at", "type": "quantitative"}},
    }
