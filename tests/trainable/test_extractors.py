"""Feature networks: trained once and repeatably, cached under a checksum, honest about their name."""

import hashlib
import json
import logging
import pickle
import random
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search.contracts._promise import Promise
from search.contracts.extractors import PROMISES
from spaces.registry import summary_of
from trainable.data.idx_folder import IdxFolder
from trainable.dataset import DATASETS, Images, model_input, sha256_of
from trainable.extractor import EXTRACTORS, objective_name
from trainable.extractors import inception, resnet56
from trainable.extractors._classifier_network import ClassifierNetwork
from trainable.extractors._resnet56 import ResNet56
from trainable.extractors.small_cnn import SmallCNN
from trainable.extractors.strided_cnn import StridedCNN
from trainable.metric import cache
from trainable.metric.assets import Assets, FrechetMetric, prepare
from trainable.metric.cache import cached

TINY = SmallCNN(width=2, epochs=4, batch_size=20, min_accuracy=0.0)


@pytest.fixture
def images(idx_folder: Path, tmp_path: Path) -> Images:
    return IdxFolder(root=str(idx_folder)).load(tmp_path)


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("name", list(EXTRACTORS))
def test_every_feature_network_is_described_and_has_an_honest_name(name: str) -> None:
    extractor = EXTRACTORS.build(name)
    assert pickle.loads(pickle.dumps(extractor)) == extractor
    assert EXTRACTORS.build(json.loads(json.dumps(EXTRACTORS.describe(extractor)))) == extractor
    assert summary_of(type(extractor)).endswith((".", ")."))
    assert objective_name(name) == ("fid" if name == "inception" else f"fd_{name}")


@pytest.mark.parametrize("promise", PROMISES)
@pytest.mark.parametrize("name", list(EXTRACTORS))
def test_a_feature_network_keeps_what_feature_networks_keep(name: str, promise: Promise) -> None:
    promise(name)


def test_digits_network_recognises_held_out_digits(digits_assets: Assets) -> None:
    assert digits_assets.extractor_accuracy is not None
    assert digits_assets.extractor_accuracy >= 0.98
    assert digits_assets.objective == "fd_digits_cnn"
    assert digits_assets.reference.mean_D.shape == (64,)


def test_training_repeats_bit_for_bit_whatever_the_threads_and_global_generators(
    images: Images, tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    first = TINY.weights(images, tmp_path / "a")
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    torch.set_num_threads(2)
    try:
        second = TINY.weights(images, tmp_path / "b")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert first.sha256 == second.sha256
    assert same(first.state, second.state)


def test_training_leaves_global_generators_alone(images: Images, tmp_path: Path) -> None:
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    weights = TINY.weights(images, tmp_path)
    TINY.network(images.image_shape, weights.state)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state[1])  # type: ignore[index]
    assert random.getstate() == python_state


def test_the_second_call_trains_nothing(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = TINY.weights(images, tmp_path)
    monkeypatch.setattr(torch.optim, "AdamW", lambda *_, **__: pytest.fail("trained again"))
    second = TINY.weights(images, tmp_path)
    assert second.sha256 == first.sha256
    assert second.accuracy == first.accuracy
    assert same(first.state, second.state)


def test_other_options_or_data_are_another_network(images: Images, tmp_path: Path) -> None:
    fewer = Images(name="idx_folder", x_NCHW=images.x_NCHW[:100], y_N=images.y_N[:100])  # type: ignore[index]
    one, two, three = (
        TINY.weights(images, tmp_path),
        SmallCNN(width=2, epochs=5, batch_size=20, min_accuracy=0.0).weights(images, tmp_path),
        TINY.weights(fewer, tmp_path),
    )
    assert len({one.sha256, two.sha256, three.sha256}) == 3


def test_features_are_those_of_each_image_for_itself(images: Images, tmp_path: Path) -> None:
    network = TINY.network(images.image_shape, TINY.weights(images, tmp_path).state)
    x_BCHW = model_input(images.x_NCHW[:10])
    features_BD = network(x_BCHW)
    assert features_BD.shape == (10, 64)
    torch.testing.assert_close(network(x_BCHW[3:4]), features_BD[3:4])


@pytest.mark.parametrize("shape", [(8, 8), (7, 5), (1, 6), (28, 28)])
def test_a_classifier_pools_the_same_whether_it_trains_or_not(shape: tuple[int, int]) -> None:
    network = ClassifierNetwork((2, *shape), width=3, num_classes=4)
    x_BCHW = torch.randn(5, 2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        in_training = network.train()(x_BCHW)
        for norm in (network.norm1, network.norm2):
            norm.eval()
        plain = network(x_BCHW)
        assert torch.equal(network.eval()(x_BCHW), plain)
    assert not torch.equal(in_training, plain)


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "sidecar", "accuracy"])
def test_a_damaged_cache_is_noticed_and_made_again(
    damage: str, images: Images, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = TINY.weights(images, tmp_path)
    (tensors,) = (tmp_path / "extractors").glob("*.safetensors")
    (sidecar,) = (tmp_path / "extractors").glob("*.json")
    data = bytearray(tensors.read_bytes())
    if damage == "flip":
        data[-3] ^= 1
        tensors.write_bytes(data)
    elif damage == "truncate":
        tensors.write_bytes(data[:100])
    elif damage == "remove":
        tensors.unlink()
    elif damage == "sidecar":
        sidecar.write_text("{")
    else:
        text = sidecar.read_text()
        sidecar.write_text(text.replace('"accuracy": ', '"accuracy": 1'))
    with caplog.at_level(logging.WARNING):
        second = TINY.weights(images, tmp_path)
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) == 1
    assert "it is made again" in caplog.text
    assert second.sha256 == first.sha256
    caplog.clear()
    TINY.weights(images, tmp_path)
    assert not caplog.records


def test_a_network_below_its_threshold_is_refused_also_from_the_cache(images: Images, tmp_path: Path) -> None:
    strict = SmallCNN(width=2, epochs=1, batch_size=100, learning_rate=1e-6, min_accuracy=1.0)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"must reach accuracy 1 on held-out images .* Raise `epochs`"):
            strict.weights(images, tmp_path)


def test_a_small_network_learns_an_easy_data_set_without_a_test_split(images: Images, tmp_path: Path) -> None:
    unsplit = Images(name="mine", x_NCHW=images.x_NCHW, y_N=images.y_N)
    easy = SmallCNN(width=4, epochs=10, batch_size=20)
    assert easy.weights(unsplit, tmp_path).accuracy == 1.0


def test_the_second_classifier_learns_too_and_gives_other_features(images: Images, tmp_path: Path) -> None:
    options = {"width": 4, "epochs": 20, "batch_size": 20, "learning_rate": 1e-2}
    features = []
    for extractor in (SmallCNN(**options), StridedCNN(**options)):  # type: ignore[arg-type]
        weights = extractor.weights(images, tmp_path)
        assert weights.accuracy is not None and weights.accuracy >= 0.9
        network = extractor.network(images.image_shape, weights.state)
        features.append(network(model_input(images.x_NCHW)))
    assert features[0].shape == features[1].shape == (200, 64)
    assert not torch.allclose(*features, atol=0.1)


@pytest.mark.parametrize(
    ("extractor", "change", "message"),
    [
        ("digits_cnn", {}, "is for data set 'digits', but the data set is 'idx_folder'"),
        ("fashion_cnn", {}, "is for data set 'fashion_mnist'"),
        ("small_cnn", {"y_N": None}, "'small_cnn' learns from labels, but there are none. Choose .*: pixels"),
        (
            "pixels",
            {"x_NCHW": torch.zeros(2, 1, 65, 65)},
            "at most 4096 features, but would give 4225: set `pool`",
        ),
    ],
)
def test_a_network_that_does_not_suit_the_data_is_refused(
    extractor: str, change: dict[str, Any], message: str, images: Images, tmp_path: Path
) -> None:
    fields = {"name": "idx_folder", "x_NCHW": images.x_NCHW, "y_N": images.y_N, **change}
    if "x_NCHW" in change:
        fields["y_N"] = None
    with pytest.raises(ValueError, match=message):
        EXTRACTORS.build(extractor).weights(Images(**fields), tmp_path)


@pytest.mark.parametrize(("pool", "said"), [(1, "takes seconds for each distance: set `pool: 2`"), (2, "")])
def test_many_pixels_are_said_to_be_slow(pool: int, said: str) -> None:
    suits = EXTRACTORS.build({"name": "pixels", "pool": pool}).suits((3, 32, 32), False)
    assert suits.ok and said in suits.why
    assert ("seconds" in suits.why) is bool(said)


def test_pixels_may_be_means_of_squares(images: Images, tmp_path: Path) -> None:
    x_NCHW = model_input(images.x_NCHW)
    pooled = EXTRACTORS.build({"name": "pixels", "pool": 2})
    features_ND = pooled.network(images.image_shape, {})(x_NCHW)
    assert torch.allclose(features_ND, x_NCHW.view(-1, 4, 2, 4, 2).mean(dim=(2, 4)).flatten(1), atol=1e-6)
    edge_ND = EXTRACTORS.build({"name": "pixels", "pool": 5}).network(images.image_shape, {})(x_NCHW)
    assert torch.allclose(edge_ND[:, 3], x_NCHW[:, 0, 5:, 5:].mean(dim=(1, 2)), atol=1e-6)
    assert (
        len(
            {
                EXTRACTORS.build({"name": "pixels", "pool": n}).weights(images, tmp_path).sha256
                for n in (1, 2, 3)
            }
        )
        == 3
    )
    with pytest.raises(ValueError, match="`1 <= pool <= 64` must hold, but got pool=0"):
        EXTRACTORS.build({"name": "pixels", "pool": 0})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 0}, "`width > 0` must hold"),
        ({"learning_rate": -1.0}, "`learning_rate > 0` must hold"),
        ({"min_accuracy": 1.5}, "`0 <= min_accuracy <= 1` must hold"),
        ({"epochs": 1.5}, "epochs"),
        ({"depth": 3}, "depth"),
    ],
)
def test_impossible_options_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EXTRACTORS.build({"name": "small_cnn", **fields})


def test_two_that_make_one_entry_at_once_both_succeed(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=10)
    entries: list[cache.Entry] = []

    def make() -> cache.Made:
        both.wait()  # each has seen an empty cache and makes its own, and they are not even equal
        return {"x": torch.full((1000,), float(threading.get_ident()))}, {}

    def work() -> None:
        entries.append(cached(tmp_path, "thing", {"a": 1}, make))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entries) == 2
    kept = cached(tmp_path, "thing", {"a": 1}, lambda: pytest.fail("made again"))
    assert kept.sha256 in {entry.sha256 for entry in entries}
    assert not list(tmp_path.glob(".*"))


# --- ResNet-56 ------------------------------------------------------------------------------------

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "extractors"
PUBLISHED_RESNET56 = resnet56.SHA256
RGB = Images(name="rgb", x_NCHW=torch.arange(2 * 3 * 32 * 32).remainder(251).view(2, 3, 32, 32).byte())


@pytest.fixture
def random_resnet56(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Random weights in the released file's form, passed off as the published ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = ResNet56().state_dict()
    floats = {name: value for name, value in sorted(state.items()) if value.is_floating_point()}
    monkeypatch.setattr(resnet56, "SHA256", sha256_of(*floats.values()))
    path = tmp_path / "resnet56.th"
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}, "prec": 1.0}, path)
    return path


def test_resnet56_reads_the_released_form_and_gives_64_features(
    random_resnet56: Path, tmp_path: Path
) -> None:
    extractor = resnet56.ResNet56Features(weights_path=str(random_resnet56))
    weights = extractor.weights(RGB, tmp_path)
    network = extractor.network(RGB.image_shape, weights.state)
    assert network(model_input(RGB.x_NCHW)).shape == (2, 64)
    assert sum(parameter.numel() for parameter in network.parameters()) == 853_018  # .85M, as in the paper
    if SHARED.exists():  # the published weights, where a machine has them
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(resnet56, "SHA256", PUBLISHED_RESNET56)
            (path,) = SHARED.glob("*resnet56*")
            resnet56.ResNet56Features(weights_path=str(path)).weights(RGB, tmp_path)


def test_resnet56_refuses_other_weights_files_and_images(
    random_resnet56: Path, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = resnet56.ResNet56Features(weights_path=str(random_resnet56))
    with pytest.raises(ValueError, match="takes RGB images of 32x32"):
        extractor.weights(images, tmp_path)
    with pytest.raises(ValueError, match="needs `weights_path`"):
        resnet56.ResNet56Features().weights(RGB, tmp_path)
    with pytest.raises(ValueError, match="nowhere cannot be read"):
        resnet56.ResNet56Features(weights_path=str(tmp_path / "nowhere")).weights(RGB, tmp_path)
    monkeypatch.setattr(resnet56, "SHA256", PUBLISHED_RESNET56)
    with pytest.raises(ValueError, match="must hold the published weights"):
        extractor.weights(RGB, tmp_path)
    for content in (b"garbage", pickle.dumps(print), b""):
        random_resnet56.write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot be read") as raised:
            extractor.weights(RGB, tmp_path)
        assert "\n" not in str(raised.value)
    torch.save([1, 2], random_resnet56)
    with pytest.raises(ValueError, match="holds no state_dict"):
        extractor.weights(RGB, tmp_path)


# --- Inception ------------------------------------------------------------------------------------


class StandInInception(nn.Module):
    """The interface of torch-fidelity's FeatureExtractorInceptionV3, with 32 random features."""

    def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: Any = None):
        super().__init__()
        assert features_list == ["2048"]
        self.fc = nn.Linear(3 * 8 * 8, 32)  # draws from the global generator, as the real one does
        self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=False))

    def forward(self, x_BCHW: Tensor) -> tuple[Tensor, ...]:
        assert x_BCHW.dtype == torch.uint8
        return (self.fc(x_BCHW.float().flatten(1) / 255),)


@pytest.fixture
def random_inception(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Random weights in a file, passed off as the standard ones; torch-fidelity's class stood in for."""
    package, module = ModuleType("torch_fidelity"), ModuleType("feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = StandInInception  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", module)
    generator = torch.Generator().manual_seed(3)
    state = {
        "fc.weight": torch.randn(32, 192, generator=generator),
        "fc.bias": torch.zeros(32),
    }
    path = tmp_path / "inception.pth"
    torch.save(state, path)
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_inception_weights_from_a_file_give_fid(
    random_inception: Path, idx_folder: Path, tmp_path: Path
) -> None:
    dataset = IdxFolder(root=str(idx_folder))
    before = torch.get_rng_state()
    assets = prepare(dataset, inception.Inception(weights_path=str(random_inception)), tmp_path)
    metric = FrechetMetric(assets, 20)
    assert torch.equal(torch.get_rng_state(), before)
    assert assets.objective == "fid"
    assert assets.reference.mean_D.shape == (32,)
    assert assets.extractor_sha256 == inception.SHA256
    # Grey becomes RGB, and -1..1 the bytes of the data set again.
    x_NCHW = dataset.load(tmp_path).x_NCHW[:20]
    rgb_ND = x_NCHW.expand(-1, 3, -1, -1).float().flatten(1) / 255
    expected = rgb_ND @ assets.extractor_state["fc.weight"].T
    torch.testing.assert_close(metric.features(model_input(x_NCHW)).float(), expected)


def test_only_the_standard_inception_weights_may_be_called_fid(
    random_inception: Path, images: Images, tmp_path: Path
) -> None:
    random_inception.write_bytes(random_inception.read_bytes() + b"!")
    with pytest.raises(ValueError, match=r"FID needs the standard Inception weights with SHA-256"):
        inception.Inception(weights_path=str(random_inception)).weights(images, tmp_path)


def test_the_standard_inception_checksum_is_the_published_one() -> None:
    # torch.hub's convention, which both releases follow: the file name carries its first 8 digits.
    for url in inception.URLS:
        assert url.endswith(f"inception-2015-12-05-{inception.SHA256[:8]}.pth")
    assert len(inception.SHA256) == 64


def test_missing_inception_weights_are_named(random_inception: Path, images: Images, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"weights .*nowhere.pth cannot be read.*Leave out `weights_path`"):
        inception.Inception(weights_path=str(tmp_path / "nowhere.pth")).weights(images, tmp_path)


def test_missing_torch_fidelity_names_the_remedy(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(ValueError, match=r"needs torch-fidelity.*pip install torch-fidelity"):
        EXTRACTORS.build("inception").weights(images, tmp_path)


def test_every_data_set_names_a_network_that_exists() -> None:
    assert {DATASETS[name].EXTRACTOR for name in DATASETS} <= {None, *EXTRACTORS}
