"""Images of the user's as a search needs them: read once, then kept in one file in the cache folder.

An entry is two files: `NAME-<key>.json`, the key being that of the options and of what tells that the source has not
changed, has the SHA-256 of the images and names `<its first 16 digits>.safetensors`, which holds them. Equal images are
in one file, wherever they came from.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainable.data._source import Source
from trainable.dataset import Images
from trainable.image_file import mapped, write_header, written_file
from trainable.storage.atomic import write_atomically

logger = logging.getLogger(__name__)

HELD_BYTES = 256 * 2**20  # of images that each worker holds; more stay in the file, which all map
FEWEST = 100  # real images that samples are compared with: of fewer, a mean and a covariance say too little
_SPLIT_SEED = 0
_TOLD = 50_000  # after so many images the log says how far it is, for whoever waits
_FORMAT = 1  # of entries; another number when the same options make other images


def prepared(
    cache_dir: Path, name: str, options: Mapping[str, Any], source: Source, held_out: float
) -> Images:
    """The images of the source, from the cache folder or else read now and kept there.

    held_out: share of them that is not learnt from. ValueError with one line for what cannot be used, also for a source
    of too few images.
    """
    folder = cache_dir / "prepared"
    identity = {"format": _FORMAT, "name": name, "options": dict(options), "source": source.stamp()}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    sidecar = folder / f"{name}-{key[:16]}.json"
    try:
        entry = json.loads(sidecar.read_bytes())
        images = _images(name, folder / f"{entry['sha256'][:16]}.safetensors", held_out)
        if images.sha256 == entry["sha256"]:
            return images
        logger.warning("Prepared images %s do not match their SHA-256: they are made again", sidecar)
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("Prepared images %s cannot be read (%s): they are made again", sidecar, error)
    images = write(name, folder, source, held_out)
    write_atomically(sidecar, json.dumps({"sha256": images.sha256, **identity["options"]}).encode())
    return images


def _images(name: str, path: Path, held_out: float) -> Images:
    tensors = mapped(path)
    is_mapped = path.stat().st_size > HELD_BYTES
    if not is_mapped:
        tensors = {key: tensor.clone() for key, tensor in tensors.items()}
    return Images(
        name=name,
        x_NCHW=tensors["x_NCHW"],
        y_N=tensors.get("y_N"),
        test_x_NCHW=tensors.get("test_x_NCHW"),
        test_y_N=tensors.get("test_y_N"),
        held_out_reference=held_out > 0,
        file=path if is_mapped else None,
    )


def write(name: str, folder: Path, source: Source, held_out: float) -> Images:
    """Read the source into a file of the folder; the images in it."""
    train, test = _split(len(source), held_out)
    _check_number(source, len(test) if held_out else len(train), held_out)
    first, labels = source.first(), source.labels()
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    if labels is not None:
        tensors["y_N"] = ("int64", (len(train),))
        if test:
            tensors["test_y_N"] = ("int64", (len(test),))
    tensors["x_NCHW"] = (str(first.dtype), (len(train), *first.shape))
    if test:
        tensors["test_x_NCHW"] = (str(first.dtype), (len(test), *first.shape))
    logger.info("Preparing %d images of %s in %s", len(source), name, folder)
    with written_file(folder) as (file, temporary):
        write_header(file, tensors)
        if labels is not None:
            file.write(labels[[*train, *test]].astype(np.int64).tobytes())
        for number, image in enumerate(source.images([*train, *test])):
            if number and number % _TOLD == 0:
                logger.info("%d of %d images are prepared", number, len(source))
            file.write(image.tobytes())
        file.flush()
        os.fsync(file.fileno())
        sha256 = _images(name, temporary, held_out).sha256
        path = folder / f"{sha256[:16]}.safetensors"
        temporary.replace(path)
    return _images(name, path, held_out)


def _split(num: int, held_out: float) -> tuple[list[int], list[int]]:
    """Numbers of the images that are learnt from, and of those that are not; always the same for as many images."""
    generator = np.random.default_rng(_SPLIT_SEED)
    order = generator.permutation(num)
    num_test = round(num * held_out)
    return sorted(order[num_test:].tolist()), sorted(order[:num_test].tolist())


def _check_number(source: Source, num_reference: int, held_out: float) -> None:
    if num_reference >= FEWEST:
        return
    if held_out:
        raise ValueError(
            f"{source.place} has {len(source)} images, of which held_out={held_out:g} leaves {num_reference}, but the "
            f"distance needs at least {FEWEST} real ones. Raise it, or leave it out"
        )
    raise ValueError(
        f"{source.place} has {len(source)} images, but the distance needs at least {FEWEST} real ones. Add more"
    )
