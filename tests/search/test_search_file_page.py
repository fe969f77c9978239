"""docs/search-file.md says what a search file may hold, and what it is where the file is silent."""

import re
from pathlib import Path

import pytest

from search.file.holds import HoldsAt
from search.file.measures import Measures
from search.file.model import Section
from search.file.spec import SearchSpec, spec_of
from search.file.yaml12 import Document, parse_document

PAGE = (Path(__file__).parents[2] / "docs" / "search-file.md").read_text()
WHOLE, HOLDS, SPACE = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def spec(text: str) -> SearchSpec:
    return spec_of(parse_document(text, "page.yaml"), Path("page.yaml"))


def test_the_file_of_the_page_says_the_defaults() -> None:
    assert spec(WHOLE).resolved() == spec("name: example\ndata: digits\n").resolved()


def test_it_has_every_key() -> None:
    there = parse_document(WHOLE, "page.yaml").data
    assert set(SearchSpec.model_fields) - set(there) == {"space", "start"}  # which it has in words
    kinds = {name: field.annotation for name, field in SearchSpec.model_fields.items() if name in there}
    sections = {
        name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Section)
    }
    assert {"budget", "confirm", "resources", "storage"} < sections.keys()
    for name, section in sections.items():
        if section not in (HoldsAt, Measures):  # below; the judges, in words
            assert set(there[name]) == set(section.model_fields), name
    holds = parse_document(HOLDS, "page.yaml").data["holds_at"]
    assert set(holds) == set(HoldsAt.model_fields)
    fewer = {"holds_at": {"settings": holds["settings"]}}
    default = spec_of(Document("page.yaml", {"name": "example", "data": "digits", **fewer}, {}), None)
    assert spec(f"name: example\ndata: digits\n{HOLDS}").resolved() == default.resolved()
    training = spec("name: example\ndata: digits\n").resolved()["training"]
    assert set(there["training"]) == set(training)


def test_what_it_searches_can_be_searched() -> None:
    found = spec(f"name: example\ndata: digits\n{SPACE}")
    assert set(found.resolved()["space"]["noise"]) == {"lognormal", "logsnr_laplace", "polynomial"}


SHORTER = re.findall(r"^    (\w+: .*)$", re.sub(r"```yaml.*?```", "", PAGE, flags=re.DOTALL), re.MULTILINE)


@pytest.mark.parametrize("line", SHORTER)
def test_each_line_that_makes_it_shorter_is_one(line: str) -> None:
    assert spec(f"name: example\ndata: digits\n{line}\n").name == "example"
