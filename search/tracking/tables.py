"""The leaderboard as HTML, for MLflow's pages."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

_STYLE = (
    "body{font:14px sans-serif;margin:1em}table{border-collapse:collapse}"
    "th,td{padding:.3em .7em;text-align:left;border-bottom:1px solid #ddd;vertical-align:top}"
)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys in order of appearance, without nested ones and those that no row has a value for."""
    columns = dict.fromkeys(key for row in rows for key in row)
    return [
        column
        for column in columns
        if any(row.get(column) is not None for row in rows)
        and not any(isinstance(row.get(column), Mapping) for row in rows)
    ]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " to ".join(_cell(item) for item in value)
    return str(value)


def html_table(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """A page of its own; nested values are left out."""
    columns = _columns(rows)
    head = "".join(f"<th>{html.escape(column.replace('_', ' '))}</th>" for column in columns)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(row.get(column)))}</td>" for column in columns) + "</tr>"
        for row in rows
    )
    title = html.escape(title)
    return (
        f'<!doctype html>\n<meta charset="utf-8">\n<title>{title}</title>\n<style>{_STYLE}</style>\n'
        f"<h1>{title}</h1>\n<table>\n<tr>{head}</tr>\n{body}\n</table>\n"
    )
