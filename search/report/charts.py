"""The pictures of a page, in Vega-Lite: data in, a specification out; the browser draws it.

Colours are CSS variables of the page (`page.css`), so that one picture serves light and dark screens and paper. Where
colour says something, dashes or shapes say it too. A click on a mark with a `trial` names that trial (`page.js`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from search.report.curves import KINDS
from search.report.parameters import Against

Spec = dict[str, Any]
Points = Sequence[Mapping[str, Any]]

_COLOURS = [f"var(--c{i})" for i in range(1, 7)]
_DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4], [4, 2, 1, 2]]
_INK, _PALE = "var(--ink)", "var(--pale)"
# Of KINDS: those that a reader looks for stand out.
_KIND_COLOURS = [_PALE, _COLOURS[0], _COLOURS[3], _COLOURS[1], _COLOURS[2]]
_KIND_SHAPES = ["circle", "circle", "diamond", "square", "triangle-up"]
_ROW = 30  # pixels of a bar


def _chart(description: str, height: int, **parts: Any) -> Spec:
    return {
        "description": description,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "params": [{"name": "chosen", "value": -1}],
        **parts,
    }


def _values(points: Points) -> Spec:
    return {"values": [dict(point) for point in points]}


def _axis(field: str, title: str, **options: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, **options}


def _log(field: str, title: str, **scale: Any) -> Spec:
    return _axis(
        field, title, scale={"type": "log", "nice": False, "padding": 6, **scale}, axis={"tickCount": 6}
    )


def _one_of(field: str, values: Sequence[str], scale: Sequence[Any], **options: Any) -> Spec:
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": list(values), "range": list(scale)[: len(values)]},
        "legend": {"title": None, "orient": "top", "columns": 3, "labelLimit": 320},
        **options,
    }


def _rule(axis: str, at: Sequence[float], **mark: Any) -> Spec:
    """Lines across the picture."""
    return {
        "data": {"values": [{"at": value} for value in at]},
        "mark": {"type": "rule", "color": _INK, "opacity": 0.35, "strokeDash": [3, 3], **mark},
        "encoding": {axis: {"field": "at", "type": "quantitative"}},
    }


def _by_schedule(points: Points) -> tuple[Spec, Spec]:
    """Colour and dashes of one line for each schedule."""
    names = list(dict.fromkeys(str(point["schedule"]) for point in points))
    return _one_of("schedule", names, _COLOURS), _one_of("schedule", names, _DASHES)


def intervals(points: Points, baseline: float | None, objective: str, description: str) -> Spec:
    """Means with their 95 % intervals as bars, best first; the baseline's mean across."""
    names = [point["schedule"] for point in points]
    y = {"field": "schedule", "type": "nominal", "sort": names, "title": None, "axis": {"labelLimit": 180}}
    tooltip = [{"field": name} for name in ("schedule", "rank")]
    tooltip += [{"field": name, "format": ".4~g"} for name in ("mean", "low", "high")]
    layers: list[Spec] = [
        {
            "mark": {"type": "bar", "height": 12, "color": _COLOURS[0], "opacity": 0.45, "cornerRadius": 3},
            "encoding": {
                "x": _log("low", f"{objective}, mean over fresh seeds with its 95 % interval"),
                "x2": {"field": "high"},
            },
        },
        {
            "mark": {"type": "tick", "color": _INK, "thickness": 3, "size": 18},
            "encoding": {"x": _log("mean", "")},
        },
    ]
    if baseline is not None:
        layers.append(_rule("x", [baseline]))
    common = {"y": y, "tooltip": tooltip}
    for layer in layers[:2]:
        layer["data"], layer["encoding"] = _values(points), {**common, **layer["encoding"]}
    return _chart(description, 60 + _ROW * len(names), layer=layers)


def ratios(points: Points, objective: str, description: str) -> Spec:
    """Ratios to the best baseline with their 95 % intervals, by setting and schedule; 1 across."""
    named = [{**point, "where": f"{point['setting']}: {point['schedule']}"} for point in points]
    order = [point["where"] for point in named]
    y = {"field": "where", "type": "nominal", "sort": order, "title": None, "axis": {"labelLimit": 260}}
    verdicts = ["better", "tied", "worse"]
    colour = _one_of("verdict", verdicts, [_COLOURS[2], _PALE, _COLOURS[1]])
    title = f"ratio of {objective} to the best baseline there, below 1 is better"
    tooltip = [
        {"field": name} for name in ("setting", "schedule", "verdict", "ratio", "low", "high", "seeds")
    ]
    common = {"y": y, "tooltip": tooltip}
    layers = [
        {
            "mark": {"type": "bar", "height": 12, "opacity": 0.6, "cornerRadius": 3},
            "encoding": {**common, "x": _log("low", title), "x2": {"field": "high"}, "color": colour},
        },
        {
            "mark": {"type": "tick", "color": _INK, "thickness": 3, "size": 18},
            "encoding": {**common, "x": _log("ratio", "")},
        },
    ]
    for layer in layers:
        layer["data"] = _values(named)
    return _chart(description, 90 + _ROW * len(order), layer=[*layers, _rule("x", [1.0])])


def densities(points: Points, description: str) -> Spec:
    """One line for each schedule over sigma."""
    colour, dash = _by_schedule(points)
    return _chart(
        description,
        320,
        data=_values(points),
        mark={"type": "line", "strokeWidth": 2},
        encoding={
            "x": _log("sigma", "noise level sigma"),
            "y": _axis("density", "share of the training per unit of ln sigma"),
            "color": colour,
            "strokeDash": dash,
        },
    )


def level_counts(points: Points, description: str) -> Spec:
    """N(k) of each schedule."""
    colour, dash = _by_schedule(points)
    return _chart(
        description,
        240,
        data=_values(points),
        mark={"type": "line", "interpolate": "step-after", "strokeWidth": 2},
        encoding={
            "x": _axis("step", "step k"),
            "y": _log("levels", "number of levels N(k)"),
            "color": colour,
            "strokeDash": dash,
        },
    )


def learning_curves(points: Points, rungs: Sequence[int], objective: str, description: str) -> Spec:
    """A line for each trial, stopped ones pale and below; rungs across."""
    in_order = sorted(points, key=lambda point: (KINDS.index(point["kind"]), point["trial"], point["step"]))
    lines = [f"{p['trial']},{p['kind']},{p['step']},{p['value']}" for p in in_order]
    used = [kind for kind in KINDS if any(point["kind"] == kind for point in points)]
    index = [KINDS.index(kind) for kind in used]
    encoding = {
        "x": _axis("step", "step"),
        "y": _log("value", objective),
        "detail": {"field": "trial", "type": "nominal"},
        "color": _one_of("kind", used, [_KIND_COLOURS[i] for i in index]),
        "tooltip": [{"field": name} for name in ("trial", "kind", "step", "value")],
    }
    line = {
        **encoding,
        "strokeWidth": {"condition": {"test": "datum.trial === chosen", "value": 5}, "value": 1.3},
    }
    point = {
        **encoding,
        "shape": _one_of("kind", used, [_KIND_SHAPES[i] for i in index]),
        "size": {"condition": {"test": "datum.trial === chosen", "value": 160}, "value": 26},
    }
    layers = [
        _rule("x", rungs),
        {"mark": {"type": "line", "opacity": 0.75, "cursor": "pointer"}, "encoding": line},
        {"mark": {"type": "point", "filled": True, "opacity": 0.9, "cursor": "pointer"}, "encoding": point},
    ]
    text = "trial,kind,step,value\n" + "\n".join(lines)
    parsed = {"trial": "number", "step": "number", "value": "number"}
    return _chart(
        description,
        420,
        data={"values": text, "format": {"type": "csv", "parse": parsed}},
        layer=layers,
    )


def best_so_far(points: Points, objective: str, description: str) -> Spec:
    """A staircase with the noise band around it."""
    x = _axis("trainings", "full trainings paid for")
    layers: list[Spec] = []
    if any("low" in point for point in points):
        layers.append(
            {
                "mark": {"type": "area", "interpolate": "step-after", "color": _COLOURS[0], "opacity": 0.18},
                "encoding": {"x": x, "y": _log("low", objective), "y2": {"field": "high"}},
            }
        )
    layers += [
        {
            "mark": {"type": "line", "interpolate": "step-after", "color": _COLOURS[0], "strokeWidth": 2.5},
            "encoding": {"x": x, "y": _log("value", objective)},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "color": _COLOURS[0], "cursor": "pointer"},
            "encoding": {
                "x": x,
                "y": _log("value", objective),
                "tooltip": [
                    {"field": "trial"},
                    {"field": "value"},
                    {"field": "trainings", "format": ".1f"},
                ],
            },
        },
    ]
    return _chart(description, 300, data=_values(points), layer=layers)


def importances(rows: Points, title: str, description: str, *, in_order: bool = False) -> Spec:
    """A bar for each, with its spread. in_order: as they come, not the largest first."""
    y = {
        "field": "name",
        "type": "nominal",
        "sort": None if in_order else [row["name"] for row in rows],
        "title": None,
        "axis": {"labelLimit": 210},
    }
    return _chart(
        description,
        50 + 22 * len(rows),
        data=_values(rows),
        layer=[
            {
                "mark": {"type": "bar", "color": _COLOURS[0], "opacity": 0.75},
                "encoding": {"y": y, "x": _axis("mean", title, axis={"format": "%", "tickCount": 5})},
            },
            {
                "mark": {"type": "rule", "color": _INK, "strokeWidth": 2},
                "encoding": {"y": y, "x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}},
            },
        ],
    )


def against_option(one: Against, objective: str, description: str) -> Spec:
    """A point for each trial; dashed lines at the ends of the range."""
    reached = ["stopped before", "full budget"]
    used = [name for name in reached if any(point["reached"] == name for point in one.points)]
    colours, shapes = dict(zip(reached, [_PALE, _COLOURS[0]], strict=True)), ["circle", "square"]
    encoding: Spec = {
        "y": _log("value", objective),
        "color": _one_of("reached", used, [colours[name] for name in used], legend=None),
        "shape": _one_of("reached", reached, shapes, legend=None),
        "size": {"condition": {"test": "datum.trial === chosen", "value": 200}, "value": 30},
        "tooltip": [
            {"field": "trial"},
            {"field": "x", "title": one.name},
            {"field": "value"},
            {"field": "reached"},
        ],
    }
    mark = {"type": "point", "filled": True, "opacity": 0.8, "cursor": "pointer"}
    layers: list[Spec] = [{"data": _values(one.points), "mark": mark, "encoding": encoding}]
    if one.low is None or one.high is None:
        encoding["x"] = {"field": "x", "type": "nominal", "title": one.name, "axis": {"labelAngle": -30}}
        encoding["xOffset"] = {"field": "beside", "type": "quantitative", "scale": {"domain": [-0.4, 1.4]}}
        layers[0]["transform"] = [{"calculate": "(datum.trial * 0.618034) % 1", "as": "beside"}]
    else:
        margin = _padded(one)
        scale = {"domain": margin, "nice": False, **({"type": "log"} if one.log else {"zero": False})}
        encoding["x"] = _axis("x", one.name, scale=scale, axis={"tickCount": 5})
        layers.insert(0, _rule("x", [one.low, one.high], strokeDash=[5, 3], opacity=0.8))
        layers[0]["encoding"]["x"]["scale"] = scale
    return _chart(description, 210, layer=layers)


def _padded(one: Against) -> list[float]:
    """The range with a little room at both ends, so that they are seen."""
    assert one.low is not None and one.high is not None
    if one.log:
        ratio = (one.high / one.low) ** 0.05
        return [one.low / ratio, one.high * ratio]
    room = 0.05 * (one.high - one.low)
    return [one.low - room, one.high + room]


def seed_values(points: Points, objective: str, description: str) -> Spec:
    """Each value of each schedule: fresh seeds filled, the value seen in the search as a cross."""
    names = list(dict.fromkeys(point["schedule"] for point in points))
    return _chart(
        description,
        60 + _ROW * len(names),
        data=_values(points),
        mark={"type": "point", "filled": True, "opacity": 0.85, "cursor": "pointer"},
        encoding={
            "y": {
                "field": "schedule",
                "type": "nominal",
                "sort": names,
                "title": None,
                "axis": {"labelLimit": 180},
            },
            "x": _log("value", objective),
            "color": _one_of("when", ["fresh seed", "in the search"], [_COLOURS[0], _COLOURS[1]]),
            "shape": _one_of("when", ["fresh seed", "in the search"], ["circle", "cross"]),
            "size": {"condition": {"test": "datum.trial === chosen", "value": 260}, "value": 80},
            "tooltip": [{"field": name} for name in ("schedule", "seed", "value", "trial", "when")],
        },
    )


def cost(rows: Points, description: str) -> Spec:
    """A bar of steps for each purpose."""
    names = [row["purpose"] for row in rows]
    return _chart(
        description,
        50 + _ROW * len(names),
        data=_values(rows),
        mark={"type": "bar", "color": _COLOURS[0], "opacity": 0.75},
        encoding={
            "y": {"field": "purpose", "type": "nominal", "sort": names, "title": None},
            "x": _axis("steps", "optimizer steps", axis={"tickCount": 5, "format": "~s"}),
            "tooltip": [{"field": name} for name in ("purpose", "trials", "steps")],
        },
    )
