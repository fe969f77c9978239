import tempfile
from pathlib import Path

from search.contracts._promise import Broken, Promise, at_its_defaults, documented, need, plain_data
from search.file.kinds import KINDS
from trainable.dataset import DATASETS, Dataset


def it_names_what_there_is(name: str) -> None:
    cls: type[Dataset] = DATASETS[name]
    documented(cls)
    need(cls.NETWORK in KINDS["networks"].choices(), f"NETWORK {cls.NETWORK!r} is no network")
    for named in (cls.EXTRACTOR, cls.SECOND_EXTRACTOR):
        if named is not None:
            KINDS["extractors"].choices().build(named)
    if (dataset := at_its_defaults(DATASETS, name)) is not None:
        plain_data(DATASETS, dataset)


def it_loads_the_same_images_each_time(name: str) -> None:
    """Where nothing has to be named or downloaded for it."""
    dataset: Dataset | None = at_its_defaults(DATASETS, name)
    if dataset is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        if dataset.downloads(Path(folder)):
            return
        images, again = dataset.load(Path(folder)), dataset.load(Path(folder))
        glance = dataset.glance(Path(folder))
    need(images.sha256 == again.sha256, "gives other images when it is loaded again: draw them from a seed")
    if glance.image_shape != images.image_shape or glance.has_labels != (images.y_N is not None):
        raise Broken(f"glance says {glance}, but the images are {images.image_shape}")


PROMISES: tuple[Promise, ...] = (it_names_what_there_is, it_loads_the_same_images_each_time)
