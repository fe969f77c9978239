"""Our DINOv2 against timm's, with random weights: names, shapes, outputs. The published weights have these names."""

from typing import Any

import pytest
import torch

from tests.conformance.conftest import TIMM_MODELS
from trainable.extractors._vision_transformer import PATCH, SIDE, TRAINED_SIDE, VisionTransformer
from trainable.extractors.dinov2 import SIZES

pytestmark = pytest.mark.conformance("timm", "names, shapes and features of DINOv2 (absolute)")


@pytest.mark.parametrize("model", SIZES)
def test_parameters_have_the_same_names_and_shapes(timm: Any, model: str) -> None:
    with torch.device("meta"):
        theirs, ours = (
            timm.create_model(TIMM_MODELS[model]).state_dict(),
            VisionTransformer(*SIZES[model]).state_dict(),
        )
    assert {name: tensor.shape for name, tensor in ours.items()} == {
        name: tensor.shape for name, tensor in theirs.items()
    }


@pytest.mark.parametrize("side", [PATCH * TRAINED_SIDE, SIDE])
def test_features_are_the_same(timm: Any, side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    ours = VisionTransformer(*SIZES["vits14"]).eval().requires_grad_(False)
    for name, parameter in ours.named_parameters():
        centre = 1.0 if name.endswith(("norm1.weight", "norm2.weight", "norm.weight")) else 0.0
        parameter.copy_(centre + 0.05 * torch.randn(parameter.shape, generator=generator))
    theirs = timm.create_model(TIMM_MODELS["vits14"], img_size=side).eval().requires_grad_(False)
    # timm resizes positions by a rule of its own: it gets ours, which are the published network's.
    theirs.load_state_dict({**ours.state_dict(), "pos_embed": ours.positions(side // PATCH, side // PATCH)})
    x_BCHW = torch.randn(2, 3, side, side, generator=generator)
    torch.testing.assert_close(ours(x_BCHW), theirs(x_BCHW), atol=1e-4, rtol=0)
