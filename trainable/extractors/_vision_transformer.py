"""The Vision Transformer of DINOv2: Oquab et al. 2023 (arXiv:2304.07193), Dosovitskiy et al. 2020 (arXiv:2010.11929).

Written from the papers; parameters have the names and shapes of the published weights. Axes: B images, C channels, H
height, W width, T tokens (the class token, then one for each patch), D features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 14
TRAINED_SIDE = 37  # patches along each side of the 518x518 images to which the position embedding belongs
# Added to the number of patches when the embedding is resized: a habit of the published models, of which their features
# are a function.
_OFFSET = 0.1
_NORM_EPS = 1e-6

SIDE = 224  # pixels, as in Stein et al. 2023
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of images in 0..1, as it was trained


class _PatchEmbedding(nn.Module):
    def __init__(self, num_features: int):
        super().__init__()
        self.proj = nn.Conv2d(3, num_features, PATCH, stride=PATCH)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.proj(x_BCHW).flatten(2).transpose(1, 2)


class _Attention(nn.Module):
    """Multi-head self-attention, heads of 64 features."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_heads = num_features // 64
        self.qkv = nn.Linear(num_features, 3 * num_features)
        self.proj = nn.Linear(num_features, num_features)

    def forward(self, x_BTD: Tensor) -> Tensor:
        num_images, num_tokens, num_features = x_BTD.shape
        qkv = self.qkv(x_BTD).view(num_images, num_tokens, 3, self.num_heads, 64)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(num_images, num_tokens, num_features))


class _Mlp(nn.Module):
    def __init__(self, num_features: int):
        super().__init__()
        self.fc1 = nn.Linear(num_features, 4 * num_features)
        self.fc2 = nn.Linear(4 * num_features, num_features)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x_BTD)))


class _Scale(nn.Module):
    """LayerScale, Touvron et al. 2021 (arXiv:2103.17239)."""

    def __init__(self, num_features: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(num_features))

    def forward(self, x_BTD: Tensor) -> Tensor:
        return x_BTD * self.gamma


class _Block(nn.Module):
    def __init__(self, num_features: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(num_features, eps=_NORM_EPS)
        self.attn = _Attention(num_features)
        self.ls1 = _Scale(num_features)
        self.norm2 = nn.LayerNorm(num_features, eps=_NORM_EPS)
        self.mlp = _Mlp(num_features)
        self.ls2 = _Scale(num_features)

    def forward(self, x_BTD: Tensor) -> Tensor:
        x_BTD = x_BTD + self.ls1(self.attn(self.norm1(x_BTD)))
        return x_BTD + self.ls2(self.mlp(self.norm2(x_BTD)))


class VisionTransformer(nn.Module):
    """(B, 3, H, W), H and W multiples of 14 -> the class token behind the last norm, (B, D)."""

    def __init__(self, num_features: int, depth: int):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, num_features))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + TRAINED_SIDE**2, num_features))
        self.patch_embed = _PatchEmbedding(num_features)
        self.blocks = nn.ModuleList(_Block(num_features) for _ in range(depth))
        self.norm = nn.LayerNorm(num_features, eps=_NORM_EPS)

    def positions(self, rows: int, columns: int) -> Tensor:
        """The position embedding for so many patches, (1, 1 + rows columns, D)."""
        if rows == columns == TRAINED_SIDE:
            return self.pos_embed
        of_class, of_patches = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        grid = of_patches.view(1, TRAINED_SIDE, TRAINED_SIDE, -1).permute(0, 3, 1, 2)
        factors = ((rows + _OFFSET) / TRAINED_SIDE, (columns + _OFFSET) / TRAINED_SIDE)
        grid = F.interpolate(grid, scale_factor=factors, mode="bicubic")
        return torch.cat([of_class, grid.flatten(2).transpose(1, 2)], dim=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        rows, columns = x_BCHW.shape[2] // PATCH, x_BCHW.shape[3] // PATCH
        x_BTD = self.patch_embed(x_BCHW)
        x_BTD = torch.cat([self.cls_token.expand(len(x_BTD), -1, -1), x_BTD], dim=1)
        x_BTD = x_BTD + self.positions(rows, columns)
        for block in self.blocks:
            x_BTD = block(x_BTD)
        return self.norm(x_BTD)[:, 0]


class Features(nn.Module):
    """(B, C, H, W) in [-1, 1] -> 8-bit RGB, as an image file would hold -> 224x224 -> (B, D)."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = x_BCHW.clamp(-1, 1).add(1).mul(127.5).round().expand(-1, 3, -1, -1)
        if x_BCHW.shape[2:] != (SIDE, SIDE):
            x_BCHW = F.interpolate(x_BCHW, (SIDE, SIDE), mode="bicubic", antialias=True)
        return self.network((x_BCHW / 255 - self.mean) / self.std)
