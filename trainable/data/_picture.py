"""A picture file as numbers, or one reason why it cannot be one of a data set. Axes: H height, W width, C channels."""

import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

FORMATS = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "WEBP": (".webp",)}
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
# What people have pictures in besides; in a folder of pictures they are a mistake, other files are notes.
OTHER_SUFFIXES = (".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".jp2", ".ppm", ".pgm", ".npy")
Color = Literal["grey", "rgb"]
MODES: dict[str, Color] = {"1": "grey", "L": "grey", "RGB": "rgb"}
# Of one picture; more is a mistake, or an attack by a small file. Pillow warns at 89 million.
MOST_PIXELS = 80_000_000
# The byte of a PNG that says how many bits a value has: Pillow cuts 16 of them to 8 without a word.
_PNG_DEPTH = 24
_KINDS = {
    "P": "has a palette",
    "PA": "has a palette",
    "CMYK": "is CMYK",
    "YCbCr": "is YCbCr",
    "LAB": "is CIE Lab",
    "LA": "has an alpha channel",
    "RGBA": "has an alpha channel",
}


class Unusable(Exception):
    """Why a picture cannot be used, and the remedy: what stands behind its name."""


@dataclass(frozen=True)
class Fit:
    """What pictures are made into. size: side of the square that is left, None: as they are.

    color: None: as they are, which must be grey or RGB.
    """

    size: int | None = None
    color: Color | None = None


def pixels(data: bytes, fit: Fit) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(H, W, C) of a PNG, JPEG or WebP file. Raises Unusable.

    The centre square is taken and made smaller by Pillow's Lanczos filter, whose support grows with the factor, so that
    nothing is aliased (Parmar et al. 2022, arXiv:2104.11222). A picture is turned as its EXIF orientation says.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=tuple(FORMATS))
        _check_kind(image, data)
        image.load()
        return _fitted(ImageOps.exif_transpose(image), fit)
    except Unusable:
        raise
    except Image.DecompressionBombError:
        raise Unusable(f"has more than {MOST_PIXELS:,} pixels. Make it smaller") from None
    except Image.UnidentifiedImageError:
        raise Unusable("is no PNG, JPEG or WebP picture. Remove it, or save it as one") from None
    except Exception as error:  # decoders raise whatever the bytes make of them
        reason = " ".join(str(error).split())[:100]
        raise Unusable(f"is broken ({reason}). Replace or remove it") from error


def _check_kind(image: Image.Image, data: bytes) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise Unusable(f"has more than {MOST_PIXELS:,} pixels. Make it smaller")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise Unusable(f"is animated ({frames} frames). Save one of them as a picture")
    if image.mode.startswith(("I", "F")) or (image.format == "PNG" and data[_PNG_DEPTH] == 16):
        raise Unusable("has 16 bits a value, but 8 are used. Save it with 8, or take `arrays` with a range")


def _fitted(image: Image.Image, fit: Fit) -> np.ndarray[Any, np.dtype[np.uint8]]:
    color = fit.color or MODES.get(image.mode)
    if color is None or image.has_transparency_data:
        image = _plain(image, fit.color)
        color = fit.color
    image = image.convert("L" if color == "grey" else "RGB")
    if fit.size is not None:
        image = _square(image, fit.size)
    array = np.asarray(image, dtype=np.uint8)
    return array[:, :, None] if array.ndim == 2 else array


def _plain(image: Image.Image, color: Color | None) -> Image.Image:
    """A picture of another kind, where `color` says what it becomes and nothing of it is transparent."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise Unusable("is transparent in parts. Put it on a background first")
    if color is None:
        kind = _KINDS.get(image.mode, f"has the mode {image.mode}")
        raise Unusable(f"{kind}, but grey or RGB is needed. Set `color: rgb` or `color: grey` to convert it")
    return image


def _square(image: Image.Image, size: int) -> Image.Image:
    side = min(image.size)
    if side < size:
        raise Unusable(
            f"is {image.width}x{image.height}, smaller than size={size}. Lower `size`, or remove it"
        )
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box)
