"""Inputs that are nearly right: data and files of which a part was changed, cut, doubled or replaced."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

ODD_INTEGERS = st.sampled_from([0, -1, 1, 2, 2**31, 2**63, -(2**63), 2**64, 10**30, -(10**300), 10**4400])
ODD_FLOATS = st.sampled_from([0.0, -0.0, 0.5, 5e-324, 1e-30, 1e30, 1.7e308, float("inf"), float("nan")])
ODD_TEXTS = st.sampled_from(
    [
        *(
            "",
            " ",
            "~",
            "null",
            "no",
            "1e-3",
            "0x10",
            "../..",
            "/",
            "~nobody1/x",
            "a\nb\nc\nd\ne\nf",
            "\x1b[2J",
        ),
        *(
            "\u202e",
            "ø",
            "日本",
            "\U0001f600",
            "x" * 5000,
            "é" * 300,
            "%s%d{}",
            "s3://",
            "service",
            "sqlite:///",
        ),
        *("file:x", "*a"),
    ]
)


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


SCALARS = st.none() | st.booleans() | ODD_INTEGERS | ODD_FLOATS | ODD_TEXTS | st.text(max_size=20)
ODD_VALUES = (
    SCALARS
    | st.lists(SCALARS, max_size=3)
    | st.dictionaries(
        st.sampled_from(["name", "low", "high", "choices", "a", "<<", "", "1"]), SCALARS, max_size=3
    )
    | st.sampled_from([5, 20, 40]).map(_deep)
)

Place = tuple[str | int, ...]


def places_in(data: Any, around: Place = ()) -> Iterator[Place]:
    """Where every value below the top stands; of a long list only the first values."""
    inner = data.items() if isinstance(data, dict) else enumerate(data[:3]) if isinstance(data, list) else ()
    for key, value in inner:
        yield (*around, key)
        yield from places_in(value, (*around, key))


def _edit(data: Any, place: Place, kind: str, value: Any) -> None:
    parent = data
    for key in place[:-1]:
        parent = parent[key]
    match kind:
        case "replace":
            parent[place[-1]] = value
        case "remove":
            del parent[place[-1]]
        case "wrap":
            parent[place[-1]] = [parent[place[-1]]]
        case "add" if isinstance(parent, dict):
            parent[value if isinstance(value, str) else "more"] = value
        case "add":
            parent.append(value)


@st.composite
def damaged_data(draw: st.DrawFn, whole: Any) -> Any:
    """`whole` with one or some of its values replaced, removed, wrapped, or others added."""
    data = copy.deepcopy(whole)
    for _ in range(draw(st.sampled_from([1, 1, 2, 12]))):
        places = list(places_in(data))
        if not places:
            return draw(ODD_VALUES)
        kind = draw(st.sampled_from(["replace", "replace", "remove", "wrap", "add"]))
        _edit(data, draw(st.sampled_from(places)), kind, draw(ODD_VALUES))
    return data


ODD_BYTES = st.sampled_from(
    [
        *(b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\t", b"[", b"{", b'"', b"'", b"---\n", b"|\n"),
        *(b"&a [*a, *a]\n", b"!!python/name:os\n", b"? [a]\n: b\n", b"<<: {a: 1}\n", b"- [" * 60),
        *(b"[" * 100_000, b"9" * 5000),
    ]
)


@st.composite
def damaged_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """`whole` cut, with a piece taken out, doubled, overwritten, or with something odd in it."""
    content = whole
    for _ in range(draw(st.integers(1, 2))):
        start, end = sorted(draw(st.integers(0, len(content))) for _ in range(2))
        middle = content[start:end]
        kind = draw(st.sampled_from(["cut", "take", "double", "insert", "overwrite"]))
        put = draw(ODD_BYTES | st.binary(max_size=8))
        changed = {
            "cut": b"",
            "take": content[end:],
            "double": middle + middle + content[end:],
            "insert": put + content[start:],
            "overwrite": put + content[start + len(put) :],
        }
        content = content[:start] + changed[kind]
    return content


def json_bytes(data: Any) -> bytes:
    """As JSON, where Python can write it."""
    try:
        return json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except ValueError:  # an integer of more digits than Python writes
        return b'{"a": ' + b"1" * 5000 + b"}"
