"""The colours of the page can be told apart by those who see fewer of them, on light and on dark screens."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import search.report
from search.report import answer, course
from search.report.vega_lite import COLOURS
from tests.search.test_report_page import whole_search

THEMES = ("light", "dark")
# What protanopes, deuteranopes and tritanopes see of linear RGB: Machado, Oliveira and Fernandes 2009, "A
# Physiologically-based Model for Simulation of Color Vision Deficiency" (doi:10.1109/TVCG.2009.113), severity 1.
SEEN = {
    "all": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# IEC 61966-2-1 (sRGB), white D65.
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = XYZ.sum(1)
# A difference of CIEDE2000 that is seen at a glance; about 1 is just seen where two large areas touch.
LEAST = 12.0
LEAST_CONTRAST, LEAST_CONTRAST_OF_TEXT = 3.0, 4.5  # to the paper: WCAG 2.1, 1.4.11 and 1.4.3

Colour = Any  # an array of three


def palette(theme: str) -> Mapping[str, str]:
    """Colours by the names of their CSS variables."""
    css = Path(search.report.__file__).with_name("page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    assert len(blocks) == len(THEMES)
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", blocks[THEMES.index(theme)]))


def linear(colour: str) -> Colour:
    encoded = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def lab(rgb: Colour) -> Colour:
    t = XYZ @ rgb.clip(0, 1) / WHITE
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def ciede2000(one: Colour, other: Colour) -> float:
    """Sharma, Wu and Dalal 2005, "The CIEDE2000 Color-Difference Formula" (doi:10.1002/col.20070), (2) to (22)."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean7 = ((math.hypot(a1, b1) + math.hypot(a2, b2)) / 2) ** 7
    stretch = 1 + 0.5 * (1 - math.sqrt(mean7 / (mean7 + 25**7)))
    c1, c2 = math.hypot(stretch * a1, b1), math.hypot(stretch * a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, stretch * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    is_grey = c1 * c2 == 0
    turn = 0.0 if is_grey else (h2 - h1 + 180) % 360 - 180
    hue = h1 + h2 if is_grey else h1 + turn / 2
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2

    def cos(times: float, shift: float) -> float:
        return math.cos(math.radians(times * hue + shift))

    t = 1 - 0.17 * cos(1, -30) + 0.24 * cos(2, 0) + 0.32 * cos(3, 6) - 0.2 * cos(4, -63)
    s_l = 1 + 0.015 * (light - 50) ** 2 / math.sqrt(20 + (light - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    r_c = 2 * math.sqrt(chroma**7 / (chroma**7 + 25**7))
    r_t = -math.sin(math.radians(60 * math.exp(-((((hue % 360) - 275) / 25) ** 2)))) * r_c
    by_l, by_c = (l2 - l1) / s_l, (c2 - c1) / s_c
    by_h = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2)) / s_h
    return math.sqrt(by_l**2 + by_c**2 + by_h**2 + r_t * by_c * by_h)


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (56, -27, -3), 31.9030),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_differences_are_those_of_the_published_table(
    one: tuple[float, ...], other: tuple[float, ...], difference: float
) -> None:
    assert ciede2000(one, other) == pytest.approx(difference, abs=1e-4)
    assert ciede2000(other, one) == pytest.approx(difference, abs=1e-4)


def charts() -> Iterator[tuple[str, frozenset[str]]]:
    """Of each picture its id and the names of all colours in it."""
    found = whole_search(60)
    for section in (
        *(answer.leaderboard, answer.schedules, answer.seeds, answer.elsewhere),
        *(course.learning_curves, course.progress, course.importance, course.options, course.cost),
    ):
        for picture in section(found, "s0").pictures:
            yield picture.id, frozenset(re.findall(r"var\(--(\w+)\)", str(picture.spec)))
    yield "six schedules", frozenset(re.findall(r"--(\w+)", " ".join(COLOURS)))
    yield "ratios", frozenset({"c2", "c3", "pale", "ink"})


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("theme", THEMES)
def test_colours_of_one_picture_can_be_told_apart(theme: str, seen: str) -> None:
    colours = {name: lab(SEEN[seen] @ linear(colour)) for name, colour in palette(theme).items()}
    pairs = {
        pair: picture for picture, names in charts() for pair in itertools.combinations(sorted(names), 2)
    }
    assert len(pairs) > 15  # those of the schedules at least
    near = {
        (*pair, picture): difference
        for pair, picture in pairs.items()
        if (difference := ciede2000(colours[pair[0]], colours[pair[1]])) < LEAST
    }
    assert near == {}


@pytest.mark.parametrize("theme", THEMES)
def test_colours_stand_out_from_the_paper(theme: str) -> None:
    colours = palette(theme)
    for name in re.findall(r"--(\w+)", " ".join(COLOURS)):
        assert contrast(colours[name], colours["paper"]) >= LEAST_CONTRAST, name
    for name in ("ink", "soft", "c1"):  # c1 is that of links
        for behind in ("paper", "panel"):
            assert contrast(colours[name], colours[behind]) >= LEAST_CONTRAST_OF_TEXT, (name, behind)
