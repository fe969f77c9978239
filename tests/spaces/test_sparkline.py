"""A density in one line: high where the noise levels are trained often."""

import pytest

from spaces import PRESETS, NoiseSchedule
from spaces.sparkline import sparkline


def of(noise: dict[str, object]) -> str:
    document = {
        "grid": {},
        "noise": noise,
        "curriculum": {"name": "constant", "levels": 640},
        "uniform_floor": 0.0,
    }
    return sparkline(NoiseSchedule.from_dict(document))


def test_a_peak_stands_where_the_mass_is() -> None:
    # ln sigma runs from -6.2 to 4.4, two thirds of a unit a character.
    narrow = of({"name": "lognormal", "p_mean": 0.0, "p_std": 0.3})
    assert narrow.index("█") in (9, 10)
    assert narrow[:7] == " " * 7
    assert of({"name": "lognormal", "p_mean": -3.0, "p_std": 0.3}).index("█") in (4, 5)


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_schedule_has_a_highest_place_and_nothing_else_but_blocks(name: str) -> None:
    line = sparkline(PRESETS[name].schedule)
    assert len(line) == 16
    assert "█" in line
    assert set(line) <= set(" ▁▂▃▄▅▆▇█")
