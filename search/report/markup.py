"""The sections of a page, and the page around them, as HTML."""

from collections.abc import Mapping, Sequence

from search.report.found import Found
from search.report.html import Html, Piece, element, html_of
from search.report.section import Code, Image, Picture, Section, Table

# What is on the page is all that it may use.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
)
_NO_SCRIPT = (
    "The pictures of this page are drawn by its own script, which is switched off here; texts and tables say the "
    "same."
)


def document(
    title: str, style: Html, searches: Sequence[Html], data: Mapping[str, Html], scripts: Sequence[Html]
) -> str:
    """The whole file. searches: `article` of each. data: JSON by the id under which a script finds it."""
    head = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", title),
        element("style", style),
    ]
    body = [
        *searches,
        element("noscript", element("p", _NO_SCRIPT, class_="problem")),
        *(element("script", text, type="application/json", id=id_) for id_, text in data.items()),
        *(element("script", text) for text in scripts),
    ]
    lines = "\n".join([element("head", *head), element("body", *_lines(body))])
    return f'<!doctype html>\n<html lang="en">\n{lines}\n</html>\n'


def index(names: Mapping[str, str]) -> Html:
    """Links to the searches of a page. names: by the ids of their articles."""
    links = [element("a", name, href=f"#{id_}") for id_, name in names.items()]
    return element("nav", *links, aria_label="searches")


def article(key: str, found: Found, sections: Sequence[Section], made_at: str) -> Html:
    """One search. key: what its ids end in."""
    facts = [(element("dt", name), element("dd", text)) for name, text in found.facts.items()]
    about = element("details", element("summary", "What was searched", class_="soft"), element("dl", facts))
    links = [element("a", section.title, href=f"#{section.id}") for section in sections]
    content = [
        element("h1", found.name),
        element("p", found.conclusion, class_="conclusion"),
        *([element("p", found.problem, class_="problem", role="alert")] if found.problem else []),
        element("p", f"{found.status} This page was made {made_at}.", class_="soft"),
        about,
        element("nav", *links, aria_label=f"sections of {found.name}"),
        *map(_section, sections),
        element("div", class_="chosen", id=f"chosen-{key}", hidden=True, aria_live="polite"),
    ]
    return element("article", *_lines(content), id=f"search-{key}")


def _section(section: Section) -> Html:
    content = [
        element("h2", section.title, id=section.id),
        *(element("p", line) for line in section.lines),
        *([_pictures(section.pictures)] if section.pictures else []),
        *(element("div", *map(_image, row), class_="images") for row in section.images),
        *map(_table, section.tables),
        *map(_code, section.codes),
    ]
    return element("section", *_lines(content), aria_labelledby=section.id)


def _pictures(pictures: Sequence[Picture]) -> Html:
    figures = [
        element(
            "figure", element("div", class_="picture", id=picture.id), element("figcaption", picture.text)
        )
        for picture in pictures
    ]
    return element("div", *_lines(figures), class_="many" if len(pictures) > 2 else None)


def _image(image: Image) -> Html:
    shown = element("img", src=f"data:image/png;base64,{image.base64}", alt=image.text)
    return element("figure", shown, element("figcaption", image.text))


def _table(table: Table) -> Html:
    classes = ["number" if column.is_number else None for column in table.columns]
    head = [
        element("th", column.title, scope="col", class_=class_)
        for column, class_ in zip(table.columns, classes, strict=True)
    ]
    rows = [
        element(
            "tr", *(element("td", cell, class_=class_) for cell, class_ in zip(row, classes, strict=True))
        )
        for row in table.rows
    ]
    shown = element("div", element("table", *_lines([element("tr", *head), *rows])), class_="wide")
    return element("details", element("summary", table.folded), shown) if table.folded else shown


def _code(code: Code) -> Html:
    return html_of(
        [element("h3", code.title), element("p", code.about, class_="soft"), element("pre", code.text)]
    )


def _lines(pieces: Sequence[Html]) -> list[Piece]:
    """Each on a line of its own."""
    return [(Html("\n"), piece) for piece in pieces]
