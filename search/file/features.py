"""The feature network of a search that names none: that of its data set, or one line that says which are possible."""

from search.file.messages import Misfit
from search.machine.cache_folder import cache_folder
from spaces.registry import name_of
from trainable.dataset import Dataset, Glance
from trainable.extractor import EXTRACTORS, Extractor

_MOST_WORDS = 100  # letters of why one is not possible


def features_of(data: Dataset) -> Extractor:
    """What the data set names. Raises Misfit where it names none, or its images cannot be looked at."""
    default = type(data).EXTRACTOR
    if default is not None:
        return EXTRACTORS.build(default)
    try:
        images = data.glance(cache_folder())
    except ValueError as error:
        raise Misfit((("data",), str(error))) from error
    raise Misfit((("objective", "extractor"), _why_none(images)))


def _why_none(images: Glance) -> str:
    possible: list[str] = []
    others: list[str] = []
    for name in EXTRACTORS:
        extractor = EXTRACTORS.build(name)
        if extractor.DATA is None:
            ok, why = extractor.suits(images.image_shape, images.has_labels)
            lacking = _lacking(extractor) if ok else why
            (others if lacking else possible).append(f"{name} ({lacking or why})")
    shape = "x".join(map(str, images.image_shape))
    return (
        f"must be named, since no features are the right ones for all images. For yours, {shape}, are possible: "
        f"{', '.join(possible)}; not as it is: {', '.join(others)}. Write objective: {{extractor: NAME}}"
    )


def _lacking(extractor: Extractor) -> str | None:
    """What this machine, or the search file, lacks for it at its defaults; None for nothing."""
    try:
        extractor.check()
    except ValueError as error:
        text = str(error).removeprefix(f"Feature network {name_of(extractor)!r} ").partition(". ")[0]
        return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]}..."
    return None
