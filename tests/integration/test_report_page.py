"""The page of a search in a real browser: nothing is asked for, every picture is drawn, a click names a trial."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from search import cli
from search.record import Purpose
from search.report.page import page
from tests.integration.browser import Page, chromium
from tests.integration.running import until
from tests.search import test_report_compare
from tests.search.test_report_page import found_of, whole_search

pytestmark = pytest.mark.integration

compared = test_report_compare.compared  # fixture

EMPTY_PICTURES = """
return [...document.querySelectorAll('.picture')].filter(place => {
    const marks = [...place.querySelectorAll('svg [class*="role-mark"] path')]
    return !marks.some(mark => { const box = mark.getBoundingClientRect(); return box.width + box.height > 1 })
}).map(place => place.id)
"""
REQUESTS = "return performance.getEntriesByType('resource').map(entry => entry.name)"
POINT = """
const place = document.getElementById('s0-curves-picture')
place.scrollIntoView({ block: 'center' })
const box = place.querySelectorAll('.mark-symbol path')[arguments[0]].getBoundingClientRect()
return [box.x + box.width / 2, box.y + box.height / 2]
"""
CHOSEN = "const panel = document.getElementById('chosen-s0'); return panel.hidden ? null : panel.innerText"
TOOLTIP = "const shown = document.getElementById('vg-tooltip-element'); return shown ? shown.innerText : ''"
DRAWN = "return document.documentElement.dataset.drawn"
TOO_WIDE = "return document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
COLOURS = """
const text = document.querySelector('.picture svg text')
return [getComputedStyle(document.body).backgroundColor, getComputedStyle(text).fill]
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as opened:
        yield opened


def shown(browser: Page, file: Path, text: str) -> None:
    """Open the page, and wait until it has drawn itself."""
    file.write_text(text, encoding="utf-8")
    browser.open(file.as_uri())
    until(lambda: browser.run(DRAWN) is not None, 120, "the pictures are drawn", told=lambda: browser.text)


@pytest.mark.parametrize("num", [400, 10_000])
def test_a_page_draws_itself_and_names_a_trial_that_is_clicked(
    browser: Page, tmp_path: Path, num: int
) -> None:
    records = list(whole_search(400).records)
    more = [
        replace(records[2 + n % 390], number=n, preset=None, purpose=Purpose.SEARCH) for n in range(500, num)
    ]
    whole = whole_search(400)
    found = found_of([*records, *more], grids=whole.grids)
    text = page([found], "now")
    shown(browser, tmp_path / "page.html", text)
    assert browser.complaints() == []
    assert browser.run(REQUESTS) == []
    assert browser.run(EMPTY_PICTURES) == []
    assert int(browser.run(DRAWN)) == text.count('class="picture"')
    x, y = browser.run(POINT, 5)
    browser.tell("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    until(lambda: "trial" in browser.run(TOOLTIP), 20, "the trial is named", told=lambda: browser.text)
    browser.click_at(*browser.run(POINT, 5))
    until(lambda: browser.run(CHOSEN) is not None, 20, "the trial is named", told=lambda: browser.text)
    assert "trial" in browser.run(CHOSEN) and "at step" in browser.run(CHOSEN)
    assert browser.complaints() == []


def test_a_phone_the_dark_and_paper_show_it_too(browser: Page, tmp_path: Path) -> None:
    shown(browser, tmp_path / "page.html", page([whole_search(60)], "now"))
    light = browser.run(COLOURS)
    browser.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    try:
        dark = browser.run(COLOURS)
        assert light[0] == "rgb(255, 255, 255)" and dark[0] != light[0] and dark[1] != light[1]
    finally:
        browser.tell("Emulation.setEmulatedMedia", features=[])
    browser.tell(
        "Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=True
    )
    try:
        shown(browser, tmp_path / "page.html", page([whole_search(60)], "now"))
        assert browser.run(TOO_WIDE) <= 0
        assert browser.run(EMPTY_PICTURES) == []
    finally:
        browser.tell("Emulation.clearDeviceMetricsOverride")
    pdf = browser.printed()
    assert pdf.startswith(b"%PDF") and len(pdf) > 50_000
    assert browser.complaints() == []


def test_an_empty_search_has_no_complaint_either(browser: Page, tmp_path: Path) -> None:
    shown(browser, tmp_path / "page.html", page([found_of([])], "now"))
    assert browser.complaints() == []
    assert "There are no images yet." in browser.text


def test_comparisons_on_one_page_are_drawn_too(browser: Page, compared: list[str]) -> None:
    assert cli.main(["report", *compared]) == 0
    file = Path("report.html").absolute()
    shown(browser, file, file.read_text(encoding="utf-8"))
    assert browser.complaints() == []
    assert browser.run(REQUESTS) == []
    assert browser.run(EMPTY_PICTURES) == []
    assert int(browser.run(DRAWN)) == file.read_text(encoding="utf-8").count('class="picture"')
