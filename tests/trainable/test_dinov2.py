"""DINOv2 as a feature network: its shapes, its input, and the weights that it refuses.

That it computes what the published network does, tests/conformance holds.
"""

import hashlib
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from trainable.dataset import Images, model_input
from trainable.extractors import dinov2
from trainable.extractors._vision_transformer import TRAINED_SIDE, VisionTransformer
from trainable.extractors.dinov2 import DINOv2

RGB = Images(name="rgb", x_NCHW=torch.arange(2 * 3 * 32 * 32).remainder(251).view(2, 3, 32, 32).byte())


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Random weights of a network of 64 features and two blocks, which goes by the name of the smallest."""
    monkeypatch.setitem(dinov2.SIZES, "vits14", (64, 2))
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in VisionTransformer(64, 2).state_dict().items()}
    return {name: 0.05 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture
def weights_file(state: dict[str, Tensor], tmp_path: Path) -> Path:
    """The weights as they are published, with the token of the training."""
    path = tmp_path / "dinov2_vits14_pretrain.pth"
    torch.save({**state, "mask_token": torch.zeros(1, 64)}, path)
    return path


def extractor_of(path: Path) -> DINOv2:
    return DINOv2(weights_path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("model", "parameters"), [("vits14", 22_056_576), ("vitb14", 86_580_480), ("vitl14", 304_368_640)]
)
def test_the_networks_are_as_large_as_published(model: str, parameters: int) -> None:
    with torch.device("meta"):
        network = VisionTransformer(*dinov2.SIZES[model])
    mask_token = dinov2.SIZES[model][0]  # of training only
    assert sum(parameter.numel() for parameter in network.parameters()) + mask_token == parameters


def test_grey_and_rgb_images_of_any_size_have_features(weights_file: Path, tmp_path: Path) -> None:
    extractor = extractor_of(weights_file)
    extractor.check()
    weights = extractor.weights(RGB, tmp_path)
    assert weights.sha256 == hashlib.sha256(weights_file.read_bytes()).hexdigest()
    network = extractor.network(RGB.image_shape, weights.state)
    x_BCHW = torch.rand(3, 1, 28, 20, generator=torch.Generator().manual_seed(1)) * 2 - 1
    features_BD = network(x_BCHW)
    assert features_BD.shape == (3, 64)
    torch.testing.assert_close(network(x_BCHW.expand(-1, 3, -1, -1)), features_BD)
    torch.testing.assert_close(network(x_BCHW[1:2]), features_BD[1:2])
    assert not torch.allclose(features_BD[0], features_BD[1], atol=1e-5, rtol=0)
    # As an image file would hold them: less than half a step of 255 makes no difference.
    stored_NCHW = model_input(RGB.x_NCHW)
    assert torch.equal(network(stored_NCHW), network(stored_NCHW + 1e-4))


def test_positions_of_fewer_patches_are_those_of_the_trained_grid_between(state: dict[str, Tensor]) -> None:
    network = VisionTransformer(64, 2)
    network.load_state_dict(state)
    assert network.positions(TRAINED_SIDE, TRAINED_SIDE) is network.pos_embed
    # A ramp from row to row stays one, nearly: torch's bicubic rule is exact for constants only.
    ramp = torch.arange(TRAINED_SIDE, dtype=torch.float32).repeat_interleave(TRAINED_SIDE)
    with torch.no_grad():
        network.pos_embed[0, 1:] = ramp[:, None]
        positions_TD = network.positions(16, 16)[0]
    assert torch.equal(positions_TD[0], state["pos_embed"][0, 0])
    grid = positions_TD[1:, 0].view(16, 16)
    torch.testing.assert_close(grid, grid[:, :1].expand(-1, 16))
    step = (
        TRAINED_SIDE / 16.1
    )  # the published network's, not 37/16: by the last row that is a third of a patch
    expected = (torch.arange(16) + 0.5) * step - 0.5
    torch.testing.assert_close(grid[1:-1, 0], expected[1:-1], atol=0.1, rtol=0)


def test_safetensors_of_half_precision_are_read_too(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({name: tensor.half() for name, tensor in state.items()}, path)
    found = extractor_of(path).weights(RGB, tmp_path).state
    assert found.keys() == state.keys()
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}


def test_weights_must_be_given_with_their_checksum(weights_file: Path, tmp_path: Path) -> None:
    for incomplete in (DINOv2(), DINOv2(weights_path=str(weights_file)), DINOv2(sha256="a" * 64)):
        with pytest.raises(
            ValueError, match=r"'dinov2' needs `weights_path`, the file dinov2_vits14_.*`sha256`"
        ):
            incomplete.check()
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        DINOv2(sha256="A" * 64)
    with pytest.raises(
        ValueError, match=r"must have the SHA-256 that `sha256` says, aaa.*Get it again, or mend"
    ):
        DINOv2(weights_path=str(weights_file), sha256="a" * 64).check()
    with pytest.raises(
        ValueError, match=r"nowhere cannot be read: No such file.*Name the file in `weights_path`"
    ):
        DINOv2(weights_path=str(tmp_path / "nowhere"), sha256="a" * 64).check()


def test_other_weights_and_images_are_refused(
    weights_file: Path, state: dict[str, Tensor], tmp_path: Path
) -> None:
    def refusal(images: Images = RGB) -> str:
        with pytest.raises(ValueError) as raised:
            extractor_of(weights_file).weights(images, tmp_path)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    five = Images(name="five", x_NCHW=torch.zeros(2, 5, 8, 8))
    assert "'dinov2' takes grey or RGB images, but these have 5 channels" in refusal(five)
    torch.save({**state, "blocks.2.norm1.weight": torch.zeros(64)}, weights_file)
    assert (
        "must hold the tensors of DINOv2's vits14, but 1 are other ones, the first is blocks.2.norm1"
        in refusal()
    )
    torch.save([1, 2], weights_file)
    assert "holds no state_dict" in refusal()
    for content in (b"garbage", pickle.dumps(print), b""):
        weights_file.write_bytes(content)
        assert "cannot be read" in refusal()
