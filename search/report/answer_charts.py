"""The pictures of the answer: means, ratios, densities, levels, seeds."""

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

_DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4], [4, 2, 1, 2]]


def _by_schedule(points: Points) -> tuple[Spec, Spec]:
    """Colour and dashes of one line for each schedule."""
    names = list(dict.fromkeys(str(point["schedule"]) for point in points))
    return one_of("schedule", names, COLOURS), one_of("schedule", names, _DASHES)


def intervals(points: Points, baseline: float | None, objective: str, description: str) -> Spec:
    """Means with their 95 % intervals as bars, best first; the baseline's mean across."""
    names = [point["schedule"] for point in points]
    y = {"field": "schedule", "type": "nominal", "sort": names, "title": None, "axis": {"labelLimit": 180}}
    tooltip = [{"field": name} for name in ("schedule", "rank")]
    tooltip += [{"field": name, "format": ".4~g"} for name in ("mean", "low", "high")]
    layers: list[Spec] = [
        {
            "mark": {"type": "bar", "height": 12, "color": COLOURS[0], "opacity": 0.45, "cornerRadius": 3},
            "encoding": {
                "x": log_axis("low", f"{objective}, mean over fresh seeds with its 95 % interval"),
                "x2": {"field": "high"},
            },
        },
        {
            "mark": {"type": "tick", "color": INK, "thickness": 3, "size": 18},
            "encoding": {"x": log_axis("mean", "")},
        },
    ]
    if baseline is not None:
        layers.append(rule("x", [baseline]))
    common = {"y": y, "tooltip": tooltip}
    for layer in layers[:2]:
        layer["data"], layer["encoding"] = values(points), {**common, **layer["encoding"]}
    return chart(description, 60 + ROW * len(names), layer=layers)


def ratios(points: Points, objective: str, description: str) -> Spec:
    """Ratios to the best baseline with their 95 % intervals, by setting and schedule; 1 across."""
    named = [{**point, "where": f"{point['setting']}: {point['schedule']}"} for point in points]
    order = [point["where"] for point in named]
    y = {"field": "where", "type": "nominal", "sort": order, "title": None, "axis": {"labelLimit": 260}}
    verdicts = ["better", "tied", "worse"]
    colour = one_of("verdict", verdicts, [COLOURS[2], PALE, COLOURS[1]])
    title = f"ratio of {objective} to the best baseline there, below 1 is better"
    tooltip = [
        {"field": name} for name in ("setting", "schedule", "verdict", "ratio", "low", "high", "seeds")
    ]
    common = {"y": y, "tooltip": tooltip}
    layers = [
        {
            "mark": {"type": "bar", "height": 12, "opacity": 0.6, "cornerRadius": 3},
            "encoding": {**common, "x": log_axis("low", title), "x2": {"field": "high"}, "color": colour},
        },
        {
            "mark": {"type": "tick", "color": INK, "thickness": 3, "size": 18},
            "encoding": {**common, "x": log_axis("ratio", "")},
        },
    ]
    for layer in layers:
        layer["data"] = values(named)
    return chart(description, 90 + ROW * len(order), layer=[*layers, rule("x", [1.0])])


def densities(points: Points, description: str) -> Spec:
    """One line for each schedule over sigma."""
    colour, dash = _by_schedule(points)
    return chart(
        description,
        320,
        data=values(points),
        mark={"type": "line", "strokeWidth": 2},
        encoding={
            "x": log_axis("sigma", "noise level sigma"),
            "y": axis("density", "share of the training per unit of ln sigma"),
            "color": colour,
            "strokeDash": dash,
        },
    )


def level_counts(points: Points, description: str) -> Spec:
    """N(k) of each schedule."""
    colour, dash = _by_schedule(points)
    return chart(
        description,
        240,
        data=values(points),
        mark={"type": "line", "interpolate": "step-after", "strokeWidth": 2},
        encoding={
            "x": axis("step", "step k"),
            "y": log_axis("levels", "number of levels N(k)"),
            "color": colour,
            "strokeDash": dash,
        },
    )


def seed_values(points: Points, objective: str, description: str) -> Spec:
    """Each value of each schedule: fresh seeds filled, the value seen in the search as a cross."""
    names = list(dict.fromkeys(point["schedule"] for point in points))
    return chart(
        description,
        60 + ROW * len(names),
        data=values(points),
        mark={"type": "point", "filled": True, "opacity": 0.85, "cursor": "pointer"},
        encoding={
            "y": {
                "field": "schedule",
                "type": "nominal",
                "sort": names,
                "title": None,
                "axis": {"labelLimit": 180},
            },
            "x": log_axis("value", objective),
            "color": one_of("when", ["fresh seed", "in the search"], [COLOURS[0], COLOURS[1]]),
            "shape": one_of("when", ["fresh seed", "in the search"], ["circle", "cross"]),
            "size": {"condition": {"test": "datum.trial === chosen", "value": 260}, "value": 80},
            "tooltip": [{"field": name} for name in ("schedule", "seed", "value", "trial", "when")],
        },
    )
