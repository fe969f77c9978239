"""HTML in pieces: whatever is not HTML already is escaped, so that a name or a note with HTML in it stays text."""

import html
from collections.abc import Iterable

_ALONE = ("meta", "img")  # have no content, and no end


class Html(str):
    """Text that is HTML."""

    __slots__ = ()


Piece = str | Iterable["Piece"]


def html_of(piece: Piece) -> Html:
    """A text escaped, HTML as it is, several pieces one after the other."""
    if isinstance(piece, Html):
        return piece
    if isinstance(piece, str):
        return Html(html.escape(piece))
    return Html("".join(map(html_of, piece)))


def element(name: str, /, *content: Piece, **attributes: str | bool | None) -> Html:
    """`<name attribute="...">content</name>`. Of attributes, True has no value, and False and None are left out.

    Names of attributes are written with "_" for "-", and `class_` for `class`.
    """
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(value)}"')
        for key, value in attributes.items()
        if value not in (None, False) and isinstance(value, str | bool)
    )
    end = "" if name in _ALONE else f"</{name}>"
    return Html(f"<{name}{given}>{html_of(content)}{end}")
