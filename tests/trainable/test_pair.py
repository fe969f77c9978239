"""Two feature networks as one objective."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from search.file.spec import SearchSpec, SpecError, spec_of
from search.file.yaml12 import parse_document
from trainable.dataset import DATASETS, Images
from trainable.extractor import Extractor
from trainable.extractors.pair import Pair
from trainable.metric.assets import FrechetMetric, prepare

COARSE = {"name": "pixels", "pool": 4}
TINY = {"name": "small_cnn", "width": 2, "epochs": 4, "batch_size": 20, "min_accuracy": 0.0}


def share(extractor: Extractor, folder: Path, samples_NCHW: Tensor) -> float:
    """The distance by one network, over the summed variances of its features."""
    assets = prepare(DATASETS.build("digits"), extractor, folder)
    distance = FrechetMetric(assets, len(samples_NCHW))(samples_NCHW)
    return distance / float(assets.reference.covariance_DD.trace())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def samples_NCHW() -> Tensor:
    return 0.4 * torch.randn((300, 1, 8, 8), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("weight", [0.2, 0.5, 0.9])
def test_its_distance_is_the_weighted_mean_of_both_or_more(
    weight: float, folder: Path, samples_NCHW: Tensor
) -> None:
    pair = Pair(first=TINY, second=COARSE, weight=weight)
    first, second = (share(extractor, folder, samples_NCHW) for extractor in pair.both)
    found = share(pair, folder, samples_NCHW)
    least = weight * first + (1 - weight) * second
    assert least * (1 - 1e-6) <= found < max(first, second) * 1.5


def test_over_real_images_each_has_its_share_of_the_variance(folder: Path) -> None:
    assets = prepare(DATASETS.build("digits"), Pair(first=TINY, second=COARSE, weight=0.3), folder)
    variances_D = assets.reference.covariance_DD.diagonal()
    coarse = 4  # features of 8 x 8 pixels in squares of 4 x 4
    assert float(variances_D[:-coarse].sum()) == pytest.approx(0.3, rel=1e-3)
    assert float(variances_D[-coarse:].sum()) == pytest.approx(0.7, rel=1e-3)
    assert assets.objective == "fd_pair"


def test_its_checksum_is_of_both_networks_and_of_the_weight(folder: Path) -> None:
    images: Images = DATASETS.build("digits").load(folder)
    pairs = [
        Pair(first=TINY, second=COARSE),
        Pair(first=TINY, second=COARSE, weight=0.4),
        Pair(first=COARSE, second=TINY),
        Pair(first={**TINY, "width": 3}, second=COARSE),
    ]
    assert len({pair.weights(images, folder).sha256 for pair in pairs}) == len(pairs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": 1.0}, "`0 < weight < 1` must hold, but got weight=1.0"),
        ({"second": "small_cnn"}, "must be two different feature networks, but both are small_cnn"),
        ({"first": "nothing"}, "`first`: Unknown feature network 'nothing'"),
        ({"first": {"name": "small_cnn", "width": 0}}, "`first`: "),
        ({"first": "pair"}, "`first` must be a feature network that is no pair itself"),
        (
            {"first": {"name": "dinov2", "weights_path": "w.pth", "sha256": "0" * 64}},
            "`first.weights_path` must be an absolute path in a pair, but got 'w.pth'",
        ),
    ],
)
def test_a_pair_that_cannot_be_is_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as error:
        read(json.dumps({"name": "pair", **options}))
    (line,) = str(error.value).splitlines()
    assert "objective.extractor" in line and message in line


def test_it_suits_what_both_suit() -> None:
    assert not Pair().suits((1, 8, 8), False).ok  # small_cnn learns from labels
    assert Pair().suits((1, 8, 8), True).ok
    assert not Pair().suits((3, 64, 64), True).ok  # too many pixels


def read(extractor: str) -> SearchSpec:
    return spec_of(parse_document(f"name: p\ndata: digits\nobjective: {{extractor: {extractor}}}\n"))


def test_what_is_in_the_pair_does_not_judge_it() -> None:
    judges = read("{name: pair, first: digits_cnn, second: strided_cnn}").measures.judges
    assert judges is not None and [judge.extractor.parts for judge in judges] == [("pixels",)]
    judges = read("{name: pair, first: digits_cnn, second: pixels}").measures.judges
    assert judges is not None and [judge.extractor.parts for judge in judges] == [("strided_cnn",)]
