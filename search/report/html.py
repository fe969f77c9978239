"""HTML in pieces: whatever is not HTML already is escaped, so that a name or a note with HTML in it stays text."""

import html
from collections.abc import Iterable
from typing import Literal

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


def element(name: str, /, *content: Piece, **attributes: str | Literal[True] | None) -> Html:
    """`<name attribute="...">content</name>`. Of attributes, True has no value, and None is left out.

    Names of attributes are written with "_" for "-", and `class_` for `class`.
    """
    given = [
        _name(key) if value is True else f'{_name(key)}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    end = "" if name in _ALONE else f"</{name}>"
    return Html(f"<{' '.join([name, *given])}>{html_of(content)}{end}")


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
