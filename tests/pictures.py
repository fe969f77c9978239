"""Small pictures in files, as a user may have them."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_pictures(folder: Path, num: int = 120, side: int = 8, classes: int = 2) -> None:
    """RGB pictures `<class>/<number>.png`, those of a class brighter in its row."""
    generator = np.random.default_rng(7)
    for index in range(num):
        pixels = generator.integers(0, 100, (side, side, 3), dtype=np.uint8)
        pixels[2 * (index % classes)] += 155
        (folder / f"class{index % classes}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"class{index % classes}" / f"{index:04d}.png")
