"""Pictures of samples."""

import io
import math

import torch
from PIL import Image
from torch import Tensor

MIN_SIDE = 48  # pixels; smaller images are enlarged by a whole factor


def sample_grid_png(samples_NCHW: Tensor, num: int = 64) -> bytes:
    """A PNG with the first `num` images in rows, a square as near as can be; grey (C=1) or RGB (C=3).

    Values go from -1 (black) to 1 (white) and are cut there; a value that is not finite is mid-grey.
    Small images are enlarged by an integer factor, each pixel a square, so that 8x8 can be seen.
    """
    if samples_NCHW.ndim != 4 or samples_NCHW.shape[1] not in (1, 3) or 0 in samples_NCHW.shape or num < 1:
        raise ValueError(
            f"A grid needs `num >= 1` and images (N, 1 or 3, H, W), but got num={num} and shape "
            f"{tuple(samples_NCHW.shape)}"
        )
    x_NCHW = samples_NCHW[:num].detach().cpu().to(torch.float32)
    x_NCHW = x_NCHW.nan_to_num(0.0, 0.0, 0.0).clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    num_images, channels, height, width = x_NCHW.shape
    scale = max(1, -(-MIN_SIDE // max(height, width)))
    gap = 2
    columns = math.ceil(math.sqrt(num_images))
    rows = -(-num_images // columns)
    x_NCHW = x_NCHW.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    height, width = height * scale + gap, width * scale + gap
    grid_CHW = torch.full((channels, rows * height + gap, columns * width + gap), 64, dtype=torch.uint8)
    for index, x_CHW in enumerate(x_NCHW):
        top, left = gap + index // columns * height, gap + index % columns * width
        grid_CHW[:, top : top + height - gap, left : left + width - gap] = x_CHW
    pixels = grid_CHW.permute(1, 2, 0).contiguous().numpy()
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
