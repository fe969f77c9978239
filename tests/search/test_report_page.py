"""The page of a search as a file: it asks for nothing, escapes, has every section, says what is missing."""

import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
import vl_convert
from PIL import Image

from search.evidence.leaderboard import leaderboard
from search.record import Purpose, State, TrialRecord
from search.report.found import Found
from search.report.page import page
from search.winner.pictures import Grid
from spaces import SearchSpace
from tests.records import OBJECTIVE, record, replicates
from tests.search.test_holding import board_of
from tests.search.test_report_data import held
from trainable.task import WORST_OBJECTIVE

MADE_AT = "2026-01-02 03:04 UTC"
MOST_BYTES = 3 * 2**20
TITLES = [
    "Leaderboard",
    "Schedules",
    "Learning curves",
    "Best so far",
    "What matters",
    "Each option",
    "Images",
    "Seeds, noise and audit",
    "Where it holds",
    "Cost",
    "How to use it",
]


def found_of(records: Sequence[TrialRecord], **fields: Any) -> Found:
    plain: dict[str, Any] = {
        "name": "s",
        "objective": OBJECTIVE,
        "conclusion": "A conclusion.",
        "state": "finished",
        "board": leaderboard("s", OBJECTIVE, records),
        "records": tuple(records),
        "total_steps": 100,
        "rungs": (25, 50, 100),
        "space": SearchSpace.from_mapping(),
        "commands": {"export": "python -m search export s"},
    }
    return Found(**plain | fields)


def whole_search(num: int = 60, **fields: Any) -> Found:
    """With baselines, stopped, audited, diverged and failed trials, and a confirmation."""
    import optuna

    space = SearchSpace.from_mapping()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=5))
    records = [
        record(n, (25, 60.0), (50, 40.0), (100, 30.0 + n), preset=p, purpose=Purpose.BASELINE, end_ms=n)
        for n, p in enumerate(("ict", "vp"))
    ]
    for number in range(2, num):
        trial = study.ask()
        plain: dict[str, Any] = {"schedule": space.suggest(trial), "params": trial.params, "end_ms": number}
        value = 20 + 20 * abs(math.sin(number))
        values = [(25, 2 * value), (50, 1.5 * value), (100, value)]
        if number % 3 == 0:
            values, plain["state"] = values[: 1 + number % 2], State.STOPPED
        elif number % 17 == 1:
            plain["condemned_at"] = 25
        records.append(record(number, *values, **plain))
    records += replicates(4, [26.0, 27.0, 24.0], first=num) + replicates(0, [30.0, 31.0, 29.0], first=num + 3)
    records.append(record(num + 6, (25, WORST_OBJECTIVE), state=State.DIVERGED))
    records.append(record(num + 7, state=State.FAILED, reason="RuntimeError: boom"))
    records.append(record(num + 8, (25, 50.0), state=State.RUNNING))
    png = io.BytesIO()
    Image.new("L", (8, 8)).save(png, "PNG")
    grid = Grid("trial 4, 1 step", png.getvalue())
    missing = Grid("ict, 1 step", None, "its model is gone")
    return found_of(records, **{"grids": {0: (grid,), 1: (grid, missing)}} | fields)


class Read(HTMLParser):
    """A page as it is parsed. Fails where elements are not closed in their order."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def data(self, key: str) -> Any:
        """What a script element with data holds."""
        texts = iter(self.texts["script"])
        for script in self.of("script"):
            text = next(texts)
            if script.get("id") == key:
                return json.loads(text)
        raise AssertionError(key)


@pytest.fixture(scope="module")
def whole() -> tuple[str, Read]:
    text = page([whole_search()], MADE_AT)
    return text, Read(text)


def test_every_section_is_there_and_linked(whole: tuple[str, Read]) -> None:
    _, read = whole
    assert read.texts["h2"] == TITLES
    ids = {attributes.get("id") for _, attributes in read.elements}
    links = [attributes["href"] for attributes in read.of("a")]
    assert len(links) == len(TITLES)
    assert all(link is not None and link.removeprefix("#") in ids for link in links)
    assert "A conclusion." in read.texts["p"]


def test_nothing_is_asked_for_from_anywhere(whole: tuple[str, Read]) -> None:
    text, read = whole
    for _, attributes in read.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    (policy,) = [m["content"] for m in read.of("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none';") and "http" not in policy
    assert not re.search(r"@import|url\(", "".join(read.texts["style"]))
    assert len(text.encode()) < MOST_BYTES


def test_it_suits_dark_screens_phones_and_paper(whole: tuple[str, Read]) -> None:
    _, read = whole
    style = "".join(read.texts["style"])
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 40rem"):
        assert rule in style
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in read.of("meta")


def test_every_picture_says_what_it_shows(whole: tuple[str, Read]) -> None:
    _, read = whole
    assert all((image["alt"] or "").strip() for image in read.of("img"))
    pictures = read.data("pictures")
    assert len(read.texts["figcaption"]) == len(pictures) + len(read.of("img"))
    places = [each["id"] for each in read.of("div") if each.get("class") == "picture"]
    assert places == [picture["id"] for picture in pictures]
    assert all(picture["spec"]["description"] in read.texts["figcaption"] for picture in pictures)


def test_every_picture_is_drawn_by_the_library_without_complaint(
    whole: tuple[str, Read], capfd: pytest.CaptureFixture[str]
) -> None:
    for picture in whole[1].data("pictures"):
        svg = vl_convert.vegalite_to_svg({**picture["spec"], "width": 600})
        marks = re.findall(r'class="mark-(?:line|area|symbol|rect|rule) role-mark', svg)
        assert marks, picture["id"]
        assert len(re.findall(r"<path[^>]* d=\"M", svg)) > 3, picture["id"]
        assert "NaN" not in svg and "undefined" not in svg and "Infinity" not in svg, picture["id"]
    assert capfd.readouterr().err == ""


def test_every_trial_that_a_click_can_meet_is_described(whole: tuple[str, Read]) -> None:
    _, read = whole
    trials = read.data("trials")["s0"]
    for picture in read.data("pictures"):
        for layer in [picture["spec"], *picture["spec"].get("layer", [])]:
            values = layer.get("data", {}).get("values", [])
            points = (
                [line.split(",")[0] for line in values.splitlines()[1:]] if isinstance(values, str) else []
            )
            points += [] if isinstance(values, str) else [str(v["trial"]) for v in values if "trial" in v]
            assert set(points) <= set(trials)


HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(2)> "quotes" & \u2028'


def test_names_and_notes_stay_text() -> None:
    failed = record(0, (50, 7.0), state=State.FAILED, reason=HOSTILE)
    hostile = found_of(
        [failed],
        name=HOSTILE,
        conclusion=HOSTILE,
        evidence=(HOSTILE,),
        problem=HOSTILE,
        facts={HOSTILE: HOSTILE},
        grids={1: (Grid(HOSTILE, None, HOSTILE), Grid(HOSTILE, b"png"))},
    )
    text = page([hostile], MADE_AT)
    read = Read(text)
    assert "<script>alert" not in text and "<img src=x" not in text
    assert len(read.of("script")) == 4
    assert [image["alt"] for image in read.of("img")] == [HOSTILE]
    assert read.data("trials")["s0"]["0"]["state"] == f"failed: {HOSTILE}"
    assert read.texts["h1"] == [HOSTILE]


def test_names_that_pictures_show_stay_text() -> None:
    named = [record(n, (25, 9.0), (100, 5.0 + n), preset="ict", purpose=Purpose.BASELINE) for n in range(2)]
    records = [replace(one, preset=f"{one.number} {HOSTILE}") for one in named]
    records += replicates(0, [5.0, 6.0], first=2)
    board = leaderboard("s", HOSTILE, records)
    text = page([found_of(records, objective=HOSTILE, board=board)], MADE_AT)
    read = Read(text)
    assert "<script>alert" not in text and "<img src=x" not in text
    assert (len(read.of("script")), read.of("img")) == (4, [])
    pictures = {picture["id"]: json.dumps(picture["spec"]) for picture in read.data("pictures")}
    assert "alert(1)" in pictures["s0-intervals"] and "alert(1)" in pictures["s0-densities"]


@pytest.mark.parametrize(
    "records",
    [
        [],
        [record(0)],
        [record(0, (25, 9.0), state=State.RUNNING)],
        [record(0, state=State.FAILED, reason="RuntimeError: boom")],
        [record(0, (25, WORST_OBJECTIVE), state=State.DIVERGED)],
        [record(0, (25, math.nan), state=State.DIVERGED), record(1, (25, math.inf), state=State.DIVERGED)],
        [record(0, (25, 9.0), state=State.STOPPED)],
        [record(0, 5.0), *replicates(0, [WORST_OBJECTIVE, WORST_OBJECTIVE], first=1, state=State.DIVERGED)],
        [record(0, 0.0), record(1, 0.0)],
    ],
    ids=[
        "none",
        "running",
        "measured",
        "failed",
        "diverged",
        "nan",
        "stopped",
        "all seeds diverged",
        "zeros",
    ],
)
def test_a_search_with_little_in_it_has_a_page_that_says_so(records: list[TrialRecord]) -> None:
    text = page([found_of(records, state="stopped")], MADE_AT)
    read = Read(text)
    assert read.texts["h2"] == TITLES
    assert "The search is not finished and nobody runs it" in text
    for picture in read.data("pictures"):
        svg = vl_convert.vegalite_to_svg({**picture["spec"], "width": 600})
        assert "NaN" not in svg, picture["id"]
    for section in read.of("section"):
        assert section["aria-labelledby"]


def test_a_trial_that_nobody_runs_is_not_said_to_run() -> None:
    waiting = [record(0, (25, 9.0), state=State.RUNNING)]
    assert found_of(waiting, state="running").status == "The search is running: 1 running."
    stopped = "The search is not finished and nobody runs it: 1 not ended."
    assert found_of(waiting, state="stopped").status == stopped


def test_without_results_each_section_says_what_is_missing() -> None:
    text = page([found_of([], state="running")], MADE_AT)
    for line in (
        "No schedule is confirmed on fresh seeds",
        "No trial has run to its end yet.",
        "No trial has a value yet.",
        "What matters cannot be told before",
        "There are no images yet.",
        "There is no winner to export yet.",
        "Nothing is paid for yet.",
        "The search is running: no trial yet.",
    ):
        assert line in text


def test_where_a_finding_holds_has_its_picture() -> None:
    records = held()
    read = Read(page([found_of(records, board=board_of(records))], MADE_AT))
    (picture,) = [each for each in read.data("pictures") if each["id"] == "s0-ratios"]
    assert "total_steps 400, trial 2" in picture["spec"]["description"]
    svg = vl_convert.vegalite_to_svg({**picture["spec"], "width": 600})
    assert "NaN" not in svg and len(re.findall(r"role-mark", svg)) >= 3


def test_two_searches_stand_on_one_page() -> None:
    text = page([whole_search(30), found_of([record(0, 5.0)], name="other")], MADE_AT)
    read = Read(text)
    assert read.texts["h1"] == ["s", "other"]
    assert read.texts["h2"] == TITLES * 2
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(read.data("trials")) == {"s0", "s1"}


def test_a_page_of_ten_thousand_trials_stays_small() -> None:
    few = list(whole_search(150).records)
    more = [replace(few[n % 140], number=n, preset=None, purpose=Purpose.SEARCH) for n in range(200, 10_000)]
    text = page([found_of([*few, *more])], MADE_AT)
    assert len(text.encode()) < MOST_BYTES
    assert "trials with values are drawn" in text
