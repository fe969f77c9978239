"""The shared assets of a search, and the metric that every trial is judged by."""

import io
import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import trainable.metric.assets
from trainable.data.idx_folder import IdxFolder
from trainable.dataset import model_input
from trainable.extractors.pixels import Pixels
from trainable.metric.assets import Assets, FrechetMetric, prepare
from trainable.metric.cache import Entry, Made
from trainable.metric.frechet import GaussianStats, frechet_distance
from trainable.metric.images import sample_grid_png


def resampled(assets: Assets, n: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    index = torch.randint(len(assets.images_NCHW), (n,), generator=generator)
    return model_input(assets.images_NCHW[index])


def noise(n: int, seed: int) -> Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_the_scale_of_the_digits_distance(digits_assets: Assets) -> None:
    metric = FrechetMetric(digits_assets, 2000)
    x_NCHW = resampled(digits_assets, 2000, seed=0)
    real = metric(x_NCHW)
    noisy = [metric(x_NCHW + sd * noise(2000, seed=1)) for sd in (0.3, 0.6, 1.0)]
    pure_noise = metric(noise(2000, seed=2))
    mean_image = metric(digits_assets.images_NCHW.mean(0, keepdim=True).expand(2000, -1, -1, -1))
    scale = [real, *noisy, pure_noise, mean_image]
    assert scale == sorted(scale)
    assert 20 * real < noisy[1]
    assert 100 * real < pure_noise


def test_the_training_images_themselves_have_distance_zero(digits_assets: Assets) -> None:
    metric = FrechetMetric(digits_assets, len(digits_assets.images_NCHW))
    assert metric(digits_assets.images_NCHW) < 1e-4 * float(digits_assets.reference.covariance_DD.trace())


def test_the_metric_repeats_bit_for_bit_also_after_pickling(digits_assets: Assets) -> None:
    x_NCHW = noise(700, seed=3)  # not a multiple of the batch
    first = FrechetMetric(digits_assets, 700)
    second = FrechetMetric(pickle.loads(pickle.dumps(digits_assets)), 700)
    assert first(x_NCHW) == first(x_NCHW) == second(x_NCHW)


def test_a_value_knows_what_it_belongs_to(digits_assets: Assets) -> None:
    metric = FrechetMetric(digits_assets, 50)
    assert (metric.objective, metric.num_samples) == ("fd_digits_cnn", 50)
    assert metric.extractor_sha256 == digits_assets.extractor_sha256
    assert len(metric.extractor_sha256) == 64


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_samples_that_are_not_finite_are_infinitely_far(bad: float, digits_assets: Assets) -> None:
    x_NCHW = noise(50, seed=4)
    x_NCHW[17, 0, 3, 3] = bad
    assert FrechetMetric(digits_assets, 50)(x_NCHW) == math.inf


def test_samples_are_cut_to_the_range_of_images(digits_assets: Assets) -> None:
    metric = FrechetMetric(digits_assets, 50)
    x_NCHW = 3 * noise(50, seed=5)
    assert metric(x_NCHW) == metric(x_NCHW.clamp(-1, 1))
    assert math.isfinite(metric(torch.full((50, 1, 8, 8), 1e38)))


@pytest.mark.parametrize("shape", [(49, 1, 8, 8), (50, 3, 8, 8), (50, 1, 28, 28), (50, 64)])
def test_another_number_or_shape_of_samples_is_refused(shape: tuple[int, ...], digits_assets: Assets) -> None:
    with pytest.raises(ValueError, match=r"must have the shape \(50, 1, 8, 8\)"):
        FrechetMetric(digits_assets, 50)(torch.zeros(shape))


def test_one_sample_has_no_distance(digits_assets: Assets) -> None:
    with pytest.raises(ValueError, match="`num_samples >= 2` must hold, but got num_samples=1"):
        FrechetMetric(digits_assets, 1)


def test_the_metric_needs_no_gradients_and_keeps_none(digits_assets: Assets) -> None:
    x_NCHW = noise(20, seed=6).requires_grad_()
    features_ND = FrechetMetric(digits_assets, 20).features(x_NCHW)
    assert not features_ND.requires_grad
    assert features_ND.dtype == torch.float64


def test_reference_statistics_are_cached_and_cover_all_training_images(
    idx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = IdxFolder(root=str(idx_folder))
    assets = prepare(dataset, Pixels(), tmp_path)
    x_ND = model_input(assets.images_NCHW).flatten(1)
    expected = GaussianStats.of(x_ND)
    assert assets.reference.n == 200
    assert torch.equal(assets.reference.covariance_DD, expected.covariance_DD)
    monkeypatch.setattr(GaussianStats, "of", lambda *_: pytest.fail("computed again"))
    again = prepare(dataset, Pixels(), tmp_path)
    assert torch.equal(again.reference.covariance_DD, expected.covariance_DD)


def test_on_another_device_the_statistics_are_made_in_a_process_that_ends(
    idx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def at_once(work: Callable[[], Made]) -> Made:
        asked.append(work)
        return pickle.loads(pickle.dumps(work))()

    monkeypatch.setattr(trainable.metric.assets, "in_own_process", at_once)
    dataset = IdxFolder(root=str(idx_folder))
    expected = prepare(dataset, Pixels(), tmp_path / "one")
    assert not asked
    for _ in range(2):  # the second time they are in the cache
        found = prepare(dataset, Pixels(), tmp_path / "two", "cpu:0")
        assert torch.equal(found.reference.covariance_DD, expected.reference.covariance_DD)
    assert len(asked) == 1


def test_with_pixels_the_metric_is_the_distance_of_pixel_gaussians(idx_folder: Path, tmp_path: Path) -> None:
    assets = prepare(IdxFolder(root=str(idx_folder)), Pixels(), tmp_path)
    x_NCHW = noise(100, seed=7).clamp(-1, 1)
    expected = frechet_distance(assets.reference, GaussianStats.of(x_NCHW.flatten(1)))
    assert FrechetMetric(assets, 100)(x_NCHW) == pytest.approx(expected, rel=1e-12)
    assert assets.objective == "fd_pixels"
    assert assets.extractor_accuracy is None


def test_assets_are_plain_data(digits_assets: Assets) -> None:
    copy = pickle.loads(pickle.dumps(digits_assets))
    assert copy.extractor_options == digits_assets.extractor_options
    assert copy.image_shape == (1, 8, 8)
    assert replace(copy, objective="fd_x").objective == "fd_x"
    assert len(pickle.dumps(digits_assets)) < 1_000_000


# --- sample grids ---------------------------------------------------------------------------------


def grid(samples_NCHW: Tensor, num: int) -> Image.Image:
    image = Image.open(io.BytesIO(sample_grid_png(samples_NCHW, num)))
    assert image.format == "PNG"
    return image


def test_a_grid_of_small_grey_images_is_enlarged_by_a_whole_factor() -> None:
    x_NCHW = torch.full((70, 1, 8, 8), -1.0)
    x_NCHW[0] = 1
    x_NCHW[9] = 0
    image = grid(x_NCHW, 64)
    assert image.mode == "L"
    assert image.size == (8 * 50 + 2, 8 * 50 + 2)  # 8x8 becomes 48x48, with 2 between
    assert image.crop((2, 2, 50, 50)).getextrema() == (255, 255)
    assert image.crop((52, 52, 100, 100)).getextrema() == (128, 128)
    assert image.crop((52, 2, 100, 50)).getextrema() == (0, 0)


@pytest.mark.parametrize(("n", "num", "columns", "rows"), [(64, 5, 3, 2), (3, 64, 2, 2), (1, 1, 1, 1)])
def test_a_grid_is_as_square_as_can_be(n: int, num: int, columns: int, rows: int) -> None:
    image = grid(torch.zeros(n, 3, 64, 64), num)
    assert image.mode == "RGB"
    assert image.size == (columns * 66 + 2, rows * 66 + 2)


def test_a_grid_shows_what_is_not_finite_as_grey_and_cuts_the_rest() -> None:
    image = grid(torch.tensor([math.nan, 9.0, -9.0, 0.5]).view(1, 1, 2, 2), 1)
    assert [image.getpixel(at) for at in [(3, 3), (40, 3), (3, 40), (40, 40)]] == [128, 255, 0, 191]


@pytest.mark.parametrize("shape", [(4, 2, 8, 8), (0, 1, 8, 8), (8, 8)])
def test_a_grid_of_something_else_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="A grid needs"):
        sample_grid_png(torch.zeros(shape))


def test_the_root_of_a_reference_is_computed_once_and_for_an_older_entry_anew(
    idx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, extractor = IdxFolder(root=str(idx_folder)), Pixels()
    first = prepare(dataset, extractor, tmp_path)
    assert first.reference.root_DD.shape == (64, 64)

    def computed(*args: object) -> None:
        raise AssertionError("the root is computed again")

    real = trainable.metric.assets.cached
    with monkeypatch.context() as once:
        once.setattr(torch.linalg, "eigh", computed)
        again = prepare(dataset, extractor, tmp_path)
    assert torch.equal(again.reference.root_DD, first.reference.root_DD)

    def older(*args: Any) -> Entry:
        entry = real(*args)
        return replace(entry, tensors={k: each for k, each in entry.tensors.items() if k != "root_DD"})

    monkeypatch.setattr(trainable.metric.assets, "cached", older)
    assert torch.equal(prepare(dataset, extractor, tmp_path).reference.root_DD, first.reference.root_DD)
