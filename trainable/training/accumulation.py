"""The gradient of a batch in parts: less memory for the same step.

Axes: B images of the part of the batch that is given, C channels, H height, W width, L columns of a level table; where
several trials are trained at once, they come first.
"""

import torch
from torch import Tensor

from trainable.training.consistency import NetworkFunction, consistency_loss


def accumulate_gradient(
    network: NetworkFunction,
    x_BCHW: Tensor,
    z_BCHW: Tensor,
    levels_BL: Tensor,
    loss_3: Tensor,
    batch_size: int,
    micro_batch: int,
) -> Tensor:
    """loss_B of each image; adds the gradient of their sum / batch_size to the parameters' gradients.

    At most `micro_batch` images go through the network at once. The sum over the parts is the gradient of the batch's
    mean loss up to rounding, because nothing joins the images of a batch: networks have neither batch
    statistics nor dropout (`NetworkModule`), and levels, stratified or not, images and noise are drawn for the
    whole batch before it is divided.
    """
    losses = []
    parts = zip(
        x_BCHW.split(micro_batch, dim=-4),
        z_BCHW.split(micro_batch, dim=-4),
        levels_BL.split(micro_batch, dim=-2),
        strict=True,
    )
    for x_part, z_part, levels_part in parts:
        loss_B = consistency_loss(network, x_part, z_part, levels_part, loss_3)
        # As backward(1 / batch_size for each), which imports sympy: a third of a second of each worker's start.
        (loss_B.sum() * (1 / batch_size)).backward()
        losses.append(loss_B.detach())
    return losses[0] if len(losses) == 1 else torch.cat(losses, dim=-1)
