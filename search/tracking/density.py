"""The picture of a schedule: how densely training visits each noise level, over ln sigma.

Drawn with Pillow: matplotlib took ten times as long (0.2 s), time that hundreds of short trials take from
training, and keeps a font cache in the home folder.
"""

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from spaces import NoiseSchedule

_WIDTH, _HEIGHT, _SCALE = 640, 360, 2  # drawn at twice the size and shrunk, for smooth lines
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 44, 48
_INK, _GRID = "#222222", "#e4e4e4"
_COLUMNS, _MARGIN = 3, 32  # of a picture of many schedules; the margin is above each, for its name
# Blue to orange by training progress; told apart in grey and by colour-blind readers.
_COLOURS = ("#0b3c8c", "#3f8fd2", "#58b29c", "#e0a030", "#c8501e")


def stage_densities(schedule: NoiseSchedule, total_steps: int) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """(start_step, edges_N, density_M) of every stage: edges in ln sigma, density per unit of ln sigma.

    M = N - 1 intervals; each density integrates to 1.
    """
    densities = []
    for stage in schedule.stages(total_steps):
        edges_N = np.log(np.asarray(stage.sigma_N, dtype=np.float64))
        density_M = np.asarray(stage.probability_M, dtype=np.float64) / np.diff(edges_N)
        densities.append((stage.start_step, edges_N, density_M))
    return densities


def density_png(schedule: NoiseSchedule, total_steps: int) -> bytes:
    """PNG of the densities over ln sigma at the first, the last and up to three stages between."""
    densities = stage_densities(schedule, total_steps)
    num_shown = min(len(densities), len(_COLOURS))
    shown = np.unique(np.linspace(0, len(densities) - 1, num_shown).round().astype(int))
    curves = [densities[index] for index in shown]
    low = min(edges_N[0] for _, edges_N, _ in curves)
    high = max(edges_N[-1] for _, edges_N, _ in curves)
    top = 1.08 * max(float(density_M.max()) for _, _, density_M in curves) or 1.0

    image = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), "white")
    draw = ImageDraw.Draw(image)
    small, large = ImageFont.load_default(11 * _SCALE), ImageFont.load_default(13 * _SCALE)

    def x_of(ln_sigma: float) -> float:
        return _SCALE * (_LEFT + (_WIDTH - _LEFT - _RIGHT) * (ln_sigma - low) / (high - low))

    def y_of(density: float) -> float:
        return _SCALE * (_HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * density / top)

    for exponent in range(math.ceil(low / math.log(10) - 1e-9), math.floor(high / math.log(10) + 1e-9) + 1):
        x = x_of(exponent * math.log(10))
        draw.line([(x, y_of(0)), (x, y_of(top))], fill=_GRID, width=_SCALE)
        draw.text((x, y_of(0) + 5 * _SCALE), f"{10.0**exponent:g}", fill=_INK, font=small, anchor="mt")
    tick = _tick(top)
    for i in range(int(top / tick) + 1):
        y = y_of(i * tick)
        draw.line([(x_of(low), y), (x_of(high), y)], fill=_GRID, width=_SCALE)
        draw.text((x_of(low) - 6 * _SCALE, y), f"{i * tick:g}", fill=_INK, font=small, anchor="rm")
    draw.line([(x_of(low), y_of(top)), (x_of(low), y_of(0)), (x_of(high), y_of(0))], fill=_INK, width=_SCALE)

    for colour, (_, edges_N, density_M) in zip(_colours(len(curves)), curves, strict=True):
        steps = [(edge, 0.0) for edge in edges_N[:1]]
        for left, right, density in zip(edges_N[:-1], edges_N[1:], density_M, strict=True):
            steps += [(left, density), (right, density)]
        steps.append((edges_N[-1], 0.0))
        draw.line([(x_of(a), y_of(b)) for a, b in steps], fill=colour, width=2 * _SCALE, joint="curve")

    draw.text((_SCALE * _LEFT, 8 * _SCALE), schedule.describe()[:90], fill=_INK, font=large)
    centre = _SCALE * (_LEFT + (_WIDTH - _LEFT - _RIGHT) / 2)
    draw.text((centre, _SCALE * (_HEIGHT - 8)), "noise level sigma", fill=_INK, font=small, anchor="ms")
    draw.text((_SCALE * _LEFT, 27 * _SCALE), "training density per unit of ln sigma", fill=_INK, font=small)
    for row, (colour, (start, edges_N, _)) in enumerate(zip(_colours(len(curves)), curves, strict=True)):
        text = f"N = {len(edges_N)} from step {start}"
        right, y = _SCALE * (_WIDTH - _RIGHT - 6), _SCALE * (_TOP + 4 + 15 * row)
        left = right - draw.textlength(text, font=small)
        draw.line([(left - 24 * _SCALE, y), (left - 6 * _SCALE, y)], fill=colour, width=3 * _SCALE)
        draw.text((right, y), text, fill=_INK, font=small, anchor="rm")

    png = io.BytesIO()
    image.resize((_WIDTH, _HEIGHT), Image.Resampling.BOX).save(png, format="PNG")
    return png.getvalue()


def densities_png(schedules: Sequence[tuple[str, NoiseSchedule]], total_steps: int) -> bytes:
    """One PNG with the picture of each schedule, its name above it, in rows of three."""
    width, height, num_rows = _WIDTH, _HEIGHT + _MARGIN, -(-len(schedules) // _COLUMNS)
    image = Image.new("RGB", (_COLUMNS * width, num_rows * height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(18)
    for index, (name, schedule) in enumerate(schedules):
        x, y = index % _COLUMNS * width, index // _COLUMNS * height
        draw.text((x + 12, y + _MARGIN - 4), name, fill="black", font=font, anchor="ls")
        image.paste(Image.open(io.BytesIO(density_png(schedule, total_steps))), (x, y + _MARGIN))
    png = io.BytesIO()
    image.quantize(32, dither=Image.Dither.NONE).save(png, format="PNG", optimize=True)  # a third of the size
    return png.getvalue()


def _colours(num: int) -> list[str]:
    """`num` colours spread from the first to the last."""
    return [_COLOURS[round(i * (len(_COLOURS) - 1) / max(num - 1, 1))] for i in range(num)]


def _tick(top: float) -> float:
    """A distance of 1, 2 or 5 times a power of ten with 3 to 7 ticks below `top`."""
    power = 10.0 ** math.floor(math.log10(top / 3))
    return next(factor * power for factor in (1, 2, 5, 10) if top / (factor * power) < 7)
