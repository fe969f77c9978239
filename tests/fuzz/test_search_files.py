"""Search files that are nearly right."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from search.file.spec import load_spec
from search.file.writing import yaml_of
from tests.fuzz.answers import check, hold, shares
from tests.fuzz.damage import damaged_bytes, damaged_data

SHIPPED = sorted((Path(__file__).parents[2] / "searches").glob("*.yaml"))
# Every section with every option, and of the families few: to read all of them takes a quarter of a second.
SMALL = {
    "space": {
        "noise": {"lognormal": {"p_mean": {"low": -2, "high": 0}}},
        "curriculum": {"constant": {"levels": {"choices": [20, 40]}}},
    },
}
# The folder of no other search, wherever the file says that it is kept.
NAME = "no-search-of-this-name"


def whole() -> dict[str, Any]:
    return load_spec(SHIPPED[0]).resolved() | SMALL | {"name": NAME}


def text_of(data: Any) -> bytes:
    try:
        text = yaml_of(data)
    except ValueError:  # an integer of more digits than Python writes
        text = "name: " + "1" * 5000
    return text.encode("utf-8", "surrogatepass")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEDULE_SEARCH_HOME", str(tmp_path / "home"))
    return tmp_path


@shares(quick=60, long=250)
def test_a_search_file_with_odd_values_is_refused_in_words(share: settings, here: Path) -> None:
    def read(content: bytes) -> None:
        Path("x.yaml").write_bytes(content)
        check(["leaderboard", "x.yaml"])

    hold(read, damaged_data(whole()).map(text_of), share)


@shares(quick=60, long=250)
def test_a_search_file_whose_text_is_damaged_is_refused_in_words(share: settings, here: Path) -> None:
    def read(content: bytes) -> None:
        Path("x.yaml").write_bytes(content)
        check(["leaderboard", "x.yaml", "--json"])

    texts = [text_of(whole()), *(path.read_bytes() for path in SHIPPED)]
    hold(read, st.sampled_from(texts).flatmap(damaged_bytes), share)
