"""The pictures of how a search went: learning curves, progress, importances, options, cost."""

from collections.abc import Sequence

from search.report.curves import KINDS
from search.report.parameters import Against
from search.report.vega_lite import (
    COLOURS,
    INK,
    PALE,
    ROW,
    Points,
    Spec,
    axis,
    chart,
    log_axis,
    one_of,
    rule,
    values,
)

# Of KINDS: those that a reader looks for stand out.
_KIND_COLOURS = [PALE, COLOURS[0], COLOURS[3], COLOURS[1], COLOURS[2]]
_KIND_SHAPES = ["circle", "circle", "diamond", "square", "triangle-up"]


def learning_curves(points: Points, rungs: Sequence[int], objective: str, description: str) -> Spec:
    """A line for each trial, stopped ones pale and below; rungs across."""
    in_order = sorted(points, key=lambda point: (KINDS.index(point["kind"]), point["trial"], point["step"]))
    lines = [f"{p['trial']},{p['kind']},{p['step']},{p['value']}" for p in in_order]
    used = [kind for kind in KINDS if any(point["kind"] == kind for point in points)]
    index = [KINDS.index(kind) for kind in used]
    encoding = {
        "x": axis("step", "step"),
        "y": log_axis("value", objective),
        "detail": {"field": "trial", "type": "nominal"},
        "color": one_of("kind", used, [_KIND_COLOURS[i] for i in index]),
        "tooltip": [{"field": name} for name in ("trial", "kind", "step", "value")],
    }
    line = {
        **encoding,
        "strokeWidth": {"condition": {"test": "datum.trial === chosen", "value": 5}, "value": 1.3},
    }
    point = {
        **encoding,
        "shape": one_of("kind", used, [_KIND_SHAPES[i] for i in index]),
        "size": {"condition": {"test": "datum.trial === chosen", "value": 160}, "value": 26},
    }
    layers = [
        rule("x", rungs),
        {"mark": {"type": "line", "opacity": 0.75, "cursor": "pointer"}, "encoding": line},
        {"mark": {"type": "point", "filled": True, "opacity": 0.9, "cursor": "pointer"}, "encoding": point},
    ]
    text = "trial,kind,step,value\n" + "\n".join(lines)
    parsed = {"trial": "number", "step": "number", "value": "number"}
    return chart(
        description,
        420,
        data={"values": text, "format": {"type": "csv", "parse": parsed}},
        layer=layers,
    )


def best_so_far(points: Points, objective: str, description: str) -> Spec:
    """A staircase with the noise band around it."""
    x = axis("trainings", "full trainings paid for")
    layers: list[Spec] = []
    if any("low" in point for point in points):
        layers.append(
            {
                "mark": {"type": "area", "interpolate": "step-after", "color": COLOURS[0], "opacity": 0.18},
                "encoding": {"x": x, "y": log_axis("low", objective), "y2": {"field": "high"}},
            }
        )
    layers += [
        {
            "mark": {"type": "line", "interpolate": "step-after", "color": COLOURS[0], "strokeWidth": 2.5},
            "encoding": {"x": x, "y": log_axis("value", objective)},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "color": COLOURS[0], "cursor": "pointer"},
            "encoding": {
                "x": x,
                "y": log_axis("value", objective),
                "tooltip": [
                    {"field": "trial"},
                    {"field": "value"},
                    {"field": "trainings", "format": ".1f"},
                ],
            },
        },
    ]
    return chart(description, 300, data=values(points), layer=layers)


def importances(rows: Points, title: str, description: str, *, in_order: bool = False) -> Spec:
    """A bar for each, with its spread. in_order: as they come, not the largest first."""
    y = {
        "field": "name",
        "type": "nominal",
        "sort": None if in_order else [row["name"] for row in rows],
        "title": None,
        "axis": {"labelLimit": 210},
    }
    return chart(
        description,
        50 + 22 * len(rows),
        data=values(rows),
        layer=[
            {
                "mark": {"type": "bar", "color": COLOURS[0], "opacity": 0.75},
                "encoding": {"y": y, "x": axis("mean", title, axis={"format": "%", "tickCount": 5})},
            },
            {
                "mark": {"type": "rule", "color": INK, "strokeWidth": 2},
                "encoding": {"y": y, "x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}},
            },
        ],
    )


def against_option(one: Against, objective: str, description: str) -> Spec:
    """A point for each trial; dashed lines at the ends of the range."""
    reached = ["stopped before", "full budget"]
    used = [name for name in reached if any(point["reached"] == name for point in one.points)]
    colours, shapes = dict(zip(reached, [PALE, COLOURS[0]], strict=True)), ["circle", "square"]
    encoding: Spec = {
        "y": log_axis("value", objective),
        "color": one_of("reached", used, [colours[name] for name in used], legend=None),
        "shape": one_of("reached", reached, shapes, legend=None),
        "size": {"condition": {"test": "datum.trial === chosen", "value": 200}, "value": 30},
        "tooltip": [
            {"field": "trial"},
            {"field": "x", "title": one.name},
            {"field": "value"},
            {"field": "reached"},
        ],
    }
    mark = {"type": "point", "filled": True, "opacity": 0.8, "cursor": "pointer"}
    layers: list[Spec] = [{"data": values(one.points), "mark": mark, "encoding": encoding}]
    if one.low is None or one.high is None:
        encoding["x"] = {"field": "x", "type": "nominal", "title": one.name, "axis": {"labelAngle": -30}}
        encoding["xOffset"] = {"field": "beside", "type": "quantitative", "scale": {"domain": [-0.4, 1.4]}}
        layers[0]["transform"] = [{"calculate": "(datum.trial * 0.618034) % 1", "as": "beside"}]
    else:
        margin = _padded(one)
        scale = {"domain": margin, "nice": False, **({"type": "log"} if one.log else {"zero": False})}
        encoding["x"] = axis("x", one.name, scale=scale, axis={"tickCount": 5})
        layers.insert(0, rule("x", [one.low, one.high], strokeDash=[5, 3], opacity=0.8))
        layers[0]["encoding"]["x"]["scale"] = scale
    return chart(description, 210, layer=layers)


def _padded(one: Against) -> list[float]:
    """The range with a little room at both ends, so that they are seen."""
    assert one.low is not None and one.high is not None
    if one.log:
        ratio = (one.high / one.low) ** 0.05
        return [one.low / ratio, one.high * ratio]
    room = 0.05 * (one.high - one.low)
    return [one.low - room, one.high + room]


def cost(rows: Points, description: str) -> Spec:
    """A bar of steps for each purpose."""
    names = [row["purpose"] for row in rows]
    return chart(
        description,
        50 + ROW * len(names),
        data=values(rows),
        mark={"type": "bar", "color": COLOURS[0], "opacity": 0.75},
        encoding={
            "y": {"field": "purpose", "type": "nominal", "sort": names, "title": None},
            "x": axis("steps", "optimizer steps", axis={"tickCount": 5, "format": "~s"}),
            "tooltip": [{"field": name} for name in ("purpose", "trials", "steps")],
        },
    )
