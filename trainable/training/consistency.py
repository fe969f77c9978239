"""Improved consistency training (iCT): the consistency function f, its loss, its sampler.

Song & Dhariwal 2023 (arXiv:2310.14189); scalings of Song et al. 2023 (arXiv:2303.01469), Appendix C.

Axes: B images, C channels, H height, W width, D = C*H*W values per image, N levels, M = N - 1 intervals,
L columns of a level table. r and t are the noise levels of the teacher and the student, r < t.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from spaces.loss import Constants
from spaces.stage import Pairs

# F(x_BCHW, c_noise_B) -> (B, C, H, W)
NetworkFunction = Callable[[Tensor, Tensor], Tensor]


class Scalings(NamedTuple):
    """c_skip, c_out, c_in, c_noise of f(x, sigma) = c_skip x + c_out F(c_in x, c_noise)."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor


def scalings(sigma: Tensor, sigma_min: float, sigma_data: float) -> Scalings:
    """The four scalings at noise levels sigma, of any shape, in the precision of sigma.

    At sigma_min c_skip is 1 and c_out is 0, exactly: f(x, sigma_min) = x whatever F is.
    """
    total = (sigma**2 + sigma_data**2).sqrt()
    return Scalings(
        c_skip=sigma_data**2 / ((sigma - sigma_min) ** 2 + sigma_data**2),
        c_out=sigma_data * (sigma - sigma_min) / total,
        c_in=1 / total,
        c_noise=sigma.log() / 4,
    )


def _as_columns(values_B: Tensor, x_BCHW: Tensor) -> Tensor:
    return values_B.to(x_BCHW.dtype)[:, None, None, None]


def consistency_function(
    network: NetworkFunction, x_BCHW: Tensor, sigma_B: Tensor, sigma_min: float, sigma_data: float
) -> Tensor:
    """f(x, sigma): the image at sigma_min on the probability-flow trajectory through x at sigma.

    The scalings are computed in the precision of sigma_B, best float64, and rounded once.
    """
    c = scalings(sigma_B, sigma_min, sigma_data)
    F_BCHW = network(_as_columns(c.c_in, x_BCHW) * x_BCHW, c.c_noise.to(x_BCHW.dtype))
    return _as_columns(c.c_skip, x_BCHW) * x_BCHW + _as_columns(c.c_out, x_BCHW) * F_BCHW


def sample(
    network: NetworkFunction,
    z_SBCHW: Tensor,
    sigmas: tuple[float, ...],
    sigma_min: float,
    sigma_data: float,
) -> Tensor:
    """Images by len(sigmas) network calls, from as many independent standard normal z.

    x = f(sigmas[0] z, sigmas[0]); each further level tau adds noise and denoises again:
    x = f(x + sqrt(tau^2 - sigma_min^2) z', tau). Song et al. 2023, Algorithm 1. Levels must decrease
    and lie above sigma_min.
    """
    if not sigmas or list(sigmas) != sorted(set(sigmas), reverse=True) or not sigmas[-1] > sigma_min:
        raise ValueError(
            f"Sampling levels must decrease and be above sigma_min={sigma_min:g}, but got {list(sigmas)}"
        )
    x_BCHW = sigmas[0] * z_SBCHW[0]
    for i, sigma in enumerate(sigmas):
        if i > 0:
            x_BCHW = x_BCHW + (sigma**2 - sigma_min**2) ** 0.5 * z_SBCHW[i]
        sigma_B = torch.full((len(x_BCHW),), sigma, dtype=torch.float64, device=x_BCHW.device)
        x_BCHW = consistency_function(network, x_BCHW, sigma_B, sigma_min, sigma_data)
    return x_BCHW


_NUM_COLUMNS = 11  # L


class LevelTables(NamedTuple):
    """A stage of the schedule as the training step wants it, padded to a fixed number of rows.

    cdf_M: float64, the draw of an interval is a search in it; inf from the last interval of positive
    probability on, so that neither rounding nor padding is ever drawn. table_ML: float32, per
    interval (t, c_skip, c_out, c_in, c_noise at t; the same at r; weight), gathered by index instead of
    computed for each image.
    """

    cdf_M: Tensor
    table_ML: Tensor

    @classmethod
    def empty(cls, num_rows: int, device: torch.device) -> "LevelTables":
        """Tables with room for num_rows intervals, to be filled with `copy_`."""
        cdf_M = torch.full((num_rows,), torch.inf, dtype=torch.float64, device=device)
        return cls(cdf_M, torch.zeros(num_rows, _NUM_COLUMNS, device=device))

    @classmethod
    def of_pairs(cls, pairs: Pairs, sigma_min: float, sigma_data: float) -> "LevelTables":
        """From a stage's pairs of levels. sigma_min: where f is the identity.

        With sigma_min 0 and r = 0 the teacher is the image, f the denoiser of EDM, and the loss its loss.
        All in float64, rounded once: with 1,281 levels and rho 7 the lowest interval is 3.9e-5 wide at a weight
        of 25,600, of which half precision would leave nothing.
        """
        t_M, r_M, probability_M, weight_M = (torch.tensor(values_M) for values_M in pairs)
        cdf_M = probability_M.cumsum(0)
        cdf_M /= cdf_M[-1].clone()
        cdf_M[int(probability_M.nonzero().max()) :] = torch.inf
        of_t, of_r = (scalings(sigma_M, sigma_min, sigma_data) for sigma_M in (t_M, r_M))
        # ln 0, which c_out = 0 would make NaN.
        of_r = of_r._replace(c_noise=torch.where(r_M > 0, of_r.c_noise, of_t.c_noise))
        columns = [t_M, *of_t, r_M, *of_r, weight_M]
        return cls(cdf_M, torch.stack(columns, dim=1).float())

    def copy_(self, stage: "LevelTables") -> None:
        """Take over a stage that has at most as many intervals. In place: a captured step stays valid."""
        num_intervals = len(stage.cdf_M)
        self.cdf_M.fill_(torch.inf)
        self.cdf_M[:num_intervals].copy_(stage.cdf_M)
        self.table_ML[:num_intervals].copy_(stage.table_ML)

    def draw(self, u_B: Tensor) -> Tensor:
        """Intervals i_B with the stage's probabilities, by inverse CDF from u in [0, 1] (float64)."""
        return torch.searchsorted(self.cdf_M, u_B, right=True)


def loss_tensors(constants: Constants, device: torch.device | str = "cpu") -> Tensor:
    """(3,) float32: a loss as the training step wants it, so that another loss is the same step."""
    return torch.tensor(constants, dtype=torch.float32, device=device)


def distance(difference_BD: Tensor, loss_3: Tensor) -> Tensor:
    """s / (sqrt(slope s + offset) + shift) of each *image*, (B,), with s = ||difference||_2^2; see `spaces.loss`.

    The norm is over all values of an image, as in the paper; pseudo-Huber elementwise with the same c would be a
    different loss, nearly quadratic for all errors below c. A quotient, since for errors far below c the difference
    sqrt(s + c^2) - c cancels: at c = .0043 float32 would give 0 for every norm below 1e-6.
    """
    slope, offset, shift = loss_3.unbind(-1)
    # d * d, not d.square(): the gradient of a power takes more passes over the images.
    squared_B = (difference_BD * difference_BD).sum(-1)
    return squared_B / (torch.addcmul(offset, squared_B, slope).sqrt() + shift)


def consistency_loss(
    network: NetworkFunction, x_BCHW: Tensor, z_BCHW: Tensor, levels_BL: Tensor, loss_3: Tensor
) -> Tensor:
    """The loss of each image, (B,): weight * distance(f(x + t z, t) - f(x + r z, r)).

    Its mean over the batch is what is minimised. levels_BL: rows of `LevelTables.table_ML`. The teacher
    f(., r) is the current network without gradient (no EMA) and sees the same z. All tensors may have one more axis in
    front, of trials; loss_3 is then (T, 1, 3).
    """
    shape = x_BCHW.shape
    x_BD, z_BD = x_BCHW.flatten(-3), z_BCHW.flatten(-3)
    t, skip_t, out_t, in_t, noise_t, r, skip_r, out_r, in_r, noise_r, weight = levels_BL.split(1, dim=-1)
    with torch.no_grad():
        x_r_BD = torch.addcmul(x_BD, r, z_BD)
        F_BD = network((in_r * x_r_BD).view(shape), noise_r.squeeze(-1)).flatten(-3).float()
        teacher_BD = torch.addcmul(skip_r * x_r_BD, out_r, F_BD)
    x_t_BD = torch.addcmul(x_BD, t, z_BD)
    F_BD = network((in_t * x_t_BD).view(shape), noise_t.squeeze(-1)).flatten(-3).float()
    student_BD = torch.addcmul(skip_t * x_t_BD, out_t, F_BD)
    return weight.squeeze(-1) * distance(student_BD - teacher_BD, loss_3)
