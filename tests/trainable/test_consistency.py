"""The consistency function, its loss and its sampler against closed forms.

Known answers come from Gaussian data N(mu, s^2 I). Its denoiser D is linear, so the probability-flow ODE
dx/dsigma = (x - D(x, sigma))/sigma = sigma (x - mu)/(s^2 + sigma^2) keeps (x - mu)/sqrt(s^2 + sigma^2), and

    f*(x, sigma) = mu + (x - mu) sqrt((s^2 + sigma_min^2) / (s^2 + sigma^2)).

On a grid of levels the loss has its own minimiser f(x, sigma_i) = mu + a_i (x - mu), a_0 = 1,

    a_{i+1} = a_i (s^2 + sigma_i sigma_{i+1}) / (s^2 + sigma_{i+1}^2):

the difference a_{i+1} (x + sigma_{i+1} z) - a_i (x + sigma_i z) is an isotropic Gaussian, so the expected pseudo-Huber
loss grows with its variance, and that is least there. Both agree as the grid gets finer.
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from spaces import PRESETS, KarrasGrid, Stage
from spaces.losses.pseudo_huber import PseudoHuber
from trainable.training.consistency import (
    LevelTables,
    consistency_function,
    consistency_loss,
    distance,
    loss_tensors,
    sample,
    scalings,
)

SIGMA_MIN, SIGMA_MAX, SIGMA_DATA = 0.002, 80.0, 0.5
MU, S = 0.3, 0.6


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tables_of(stage: Stage, sigma_min: float = SIGMA_MIN) -> LevelTables:
    return LevelTables.of_pairs(PRESETS["ict"].schedule.pairs(stage, SIGMA_DATA), sigma_min, SIGMA_DATA)


def tables(sigma_N: Tensor, probability_M: Tensor | None = None) -> LevelTables:
    num_intervals = len(sigma_N) - 1
    if probability_M is None:
        probability_M = torch.full((num_intervals,), 1 / num_intervals, dtype=torch.float64)
    return tables_of(Stage(0, sigma_N.numpy(), probability_M.double().numpy()))


class GaussianNetwork:
    """The F whose f is mu + a(sigma) (x - mu) for data N(mu, s^2 I); `a` of a whole batch of levels."""

    def __init__(self, mu: float, a):
        self.mu, self.a = mu, a

    def __call__(self, x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
        sigma_B = (4 * c_noise_B.double()).exp()
        c = scalings(sigma_B, SIGMA_MIN, SIGMA_DATA)
        a_B = self.a(sigma_B)
        column = (slice(None), None, None, None)
        noisy_BCHW = x_BCHW.double() / c.c_in[column]
        f_BCHW = self.mu + a_B[column] * (noisy_BCHW - self.mu)
        # At sigma_min c_out is 0 and F has no effect.
        out = torch.where(c.c_out.abs() < 1e-9, torch.inf, c.c_out)[column]
        return ((f_BCHW - c.c_skip[column] * noisy_BCHW) / out).float()


def exact_a(sigma: Tensor) -> Tensor:
    return ((S**2 + SIGMA_MIN**2) / (S**2 + sigma**2)).sqrt()


# --- scalings and tables ---------------------------------------------------------------------------------


def test_scalings_are_those_of_the_paper():
    c = scalings(torch.tensor([1.002], dtype=torch.float64), 0.002, 0.5)
    assert c.c_skip.item() == pytest.approx(0.25 / (1.0 + 0.25), rel=1e-12)
    assert c.c_out.item() == pytest.approx(0.5 * 1.0 / math.sqrt(1.002**2 + 0.25), rel=1e-12)
    assert c.c_in.item() == pytest.approx(1 / math.sqrt(1.002**2 + 0.25), rel=1e-12)
    assert c.c_noise.item() == pytest.approx(math.log(1.002) / 4, rel=1e-12)


def test_network_input_has_unit_variance_and_its_output_weight_tends_to_sigma_data():
    sigma = torch.logspace(-3, 3, 13, dtype=torch.float64)
    c = scalings(sigma, 0.001, 0.5)
    torch.testing.assert_close(c.c_in**2 * (sigma**2 + 0.5**2), torch.ones_like(sigma))
    assert c.c_out[-1].item() == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("sigma_min", [0.002, 0.0137, 1.0])
def test_f_at_sigma_min_is_the_identity_exactly(sigma_min: float):
    x_BCHW = torch.randn((5, 3, 4, 4), generator=generator())
    sigma_B = torch.full((5,), sigma_min, dtype=torch.float64)

    def wild(x: Tensor, c_noise: Tensor) -> Tensor:
        return 1e6 * torch.ones_like(x)

    assert torch.equal(consistency_function(wild, x_BCHW, sigma_B, sigma_min, 0.5), x_BCHW)
    sigma_N = torch.tensor([sigma_min, 80.0], dtype=torch.float64)
    table_ML = tables_of(Stage(0, sigma_N.numpy(), np.ones(1)), sigma_min).table_ML
    assert table_ML[0, 6:8].tolist() == [1, 0]  # c_skip, c_out of the lowest teacher


def test_n_levels_are_n_minus_1_intervals_with_the_student_above():
    stage = PRESETS["ict"].schedule.stages(2000)[0]
    assert len(stage.sigma_N) == 11
    table_ML = tables_of(stage).table_ML
    assert len(table_ML) == 10
    t_M, r_M = table_ML[:, 0], table_ML[:, 5]
    assert torch.equal(r_M, stage.sigma_N[:-1].float())
    assert torch.equal(t_M, stage.sigma_N[1:].float())


def test_weights_are_made_in_float64():
    sigma_N = KarrasGrid().sigmas(1281)
    weight_M = tables(sigma_N).table_ML[:, -1]
    torch.testing.assert_close(weight_M.double(), 1 / sigma_N.diff(), rtol=1e-7, atol=0)
    # science: 25,600 at the bottom and 2.9 at the top of 1,281 levels.
    assert weight_M[0].item() == pytest.approx(25_600, rel=0.01)
    assert weight_M[-1].item() == pytest.approx(2.9, rel=0.02)
    # In float32 the same differences are off by up to a percent.
    single_M = 1 / sigma_N.float().diff()
    assert ((single_M - weight_M).abs() / weight_M).max() > 10 * 1e-7


# --- draw of the levels ----------------------------------------------------------------------------------


def test_stratified_draw_gives_each_interval_its_share():
    probability_M = torch.tensor([0.5, 0.125, 0.25, 0.125], dtype=torch.float64)
    u_B = (torch.arange(64, dtype=torch.float64) + 0.5) / 64
    drawn = tables(torch.arange(1, 6, dtype=torch.float64), probability_M).draw(u_B)
    assert drawn.bincount(minlength=4).tolist() == [32, 8, 16, 8]


def test_independent_draw_follows_the_probabilities():
    probability_M = torch.tensor([0.7, 0.1, 0.0, 0.2], dtype=torch.float64)
    u_B = torch.rand(100_000, dtype=torch.float64, generator=generator())
    drawn = tables(torch.arange(1, 6, dtype=torch.float64), probability_M).draw(u_B)
    share_M = drawn.bincount(minlength=4) / len(u_B)
    # 6 sigma of a share is at most 6 sqrt(.25/1e5) = .0095: fails by chance less than once in 1e8.
    torch.testing.assert_close(share_M.double(), probability_M, rtol=0, atol=0.0095)
    assert share_M[2] == 0


def test_neither_padding_nor_an_interval_of_probability_zero_is_drawn():
    probability_M = torch.tensor([0.25, 0.25, 0.5, 0.0], dtype=torch.float64)
    padded = LevelTables.empty(10, torch.device("cpu"))
    padded.copy_(tables(torch.arange(1, 6, dtype=torch.float64), probability_M))
    u_B = torch.tensor([0.0, 0.25, 0.5, math.nextafter(1, 0), 1.0], dtype=torch.float64)
    assert padded.draw(u_B).tolist() == [0, 1, 2, 2, 2]


def test_a_smaller_stage_leaves_nothing_of_the_larger_one_to_draw():
    padded = LevelTables.empty(20, torch.device("cpu"))
    padded.copy_(tables(KarrasGrid().sigmas(21)))
    padded.copy_(tables(KarrasGrid().sigmas(4)))
    u_B = torch.linspace(0, 1, 1000, dtype=torch.float64)
    assert padded.draw(u_B).max() == 2


# --- loss ------------------------------------------------------------------------------------------------


def huber(c: float) -> Tensor:
    return loss_tensors(PseudoHuber(huber_c=c).constants(1, 1.0))


def pseudo_huber(difference_BD: Tensor, c: float) -> Tensor:
    return distance(difference_BD, huber(c))


def test_pseudo_huber_takes_the_norm_of_the_image():
    difference_BD = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    loss_B = pseudo_huber(difference_BD, 2.0)
    assert loss_B.tolist() == pytest.approx([math.sqrt(29) - 2, 0])
    elementwise = (difference_BD**2 + 4).sqrt().sub(2).sum(1)  # the trap: another loss
    assert abs(elementwise[0] - loss_B[0]) > 0.5


@pytest.mark.parametrize(
    ("squared", "expected"),
    [(1e-8, 1.16263352131e-06), (1e-10, 1.16278912549e-08), (1e-12, 1.16279068195e-10)],  # with 40 digits
)
def test_pseudo_huber_of_a_small_difference_does_not_cancel(squared: float, expected: float):
    difference_BD = torch.full((1, 4), math.sqrt(squared / 4), requires_grad=True)
    loss_B = pseudo_huber(difference_BD, 0.0043)
    assert loss_B.item() == pytest.approx(expected, rel=1e-6, abs=0)
    loss_B.sum().backward()
    assert difference_BD.grad is not None
    gradient = math.sqrt(squared / 4) / math.sqrt(squared + 0.0043**2)
    assert difference_BD.grad[0].tolist() == pytest.approx([gradient] * 4, rel=1e-6, abs=0)


@pytest.mark.parametrize("c", [1e-9, 0.0043, 1e3])
def test_pseudo_huber_keeps_its_precision_at_every_c_that_is_accepted(c: float):
    norm_B = torch.logspace(-12, 6, 200, dtype=torch.float64) * c
    loss_B = pseudo_huber(norm_B.float()[:, None], c)
    exact_B = norm_B * (norm_B / ((norm_B**2 + c**2).sqrt() + c))
    kept_B = norm_B > 1e-15  # below, the square leaves float32's range
    torch.testing.assert_close(loss_B.double()[kept_B], exact_B[kept_B], rtol=1e-6, atol=0)


def test_loss_is_the_formula_of_the_paper():
    sigma_N = KarrasGrid().sigmas(5)
    g = generator(1)
    x_BCHW, z_BCHW = torch.randn((2, 4, 1, 3, 2), generator=g).double()
    weight = torch.randn((6, 6), generator=g).double()

    def network(x: Tensor, c_noise: Tensor) -> Tensor:
        return ((x.flatten(1) @ weight.to(x.dtype)).tanh() + c_noise[:, None]).view(x.shape)

    def f(x: Tensor, sigma: float) -> Tensor:
        return consistency_function(
            network, x[None], torch.tensor([sigma], dtype=torch.float64), SIGMA_MIN, SIGMA_DATA
        )[0]

    index_B = [0, 3, 1, 2]
    expected = 0.0
    for x, z, i in zip(x_BCHW, z_BCHW, index_B, strict=True):
        r, t = sigma_N[i].item(), sigma_N[i + 1].item()
        norm2 = (f(x + t * z, t) - f(x + r * z, r)).square().sum().item()
        expected += (math.sqrt(norm2 + 0.01**2) - 0.01) / (t - r) / 4
    loss = consistency_loss(
        network, x_BCHW.float(), z_BCHW.float(), tables(sigma_N).table_ML[index_B], huber(0.01)
    ).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_gradient_goes_through_the_student_only():
    # F = theta everywhere, so d loss/d theta = mean of weight c_out(t) sum(difference)/sqrt(norm^2 + c^2).
    g = generator(2)
    x_BCHW, z_BCHW = torch.randn((2, 8, 1, 2, 2), generator=g)
    levels_BL = tables(KarrasGrid().sigmas(9)).table_ML
    theta = torch.tensor(0.7, requires_grad=True)
    consistency_loss(
        lambda x, c: theta.expand(x.shape), x_BCHW, z_BCHW, levels_BL, huber(0.01)
    ).mean().backward()
    t, skip_t, out_t, _, _, r, skip_r, out_r, _, _, weight = levels_BL[:, :, None].unbind(1)
    x_BD, z_BD = x_BCHW.flatten(1), z_BCHW.flatten(1)
    difference_BD = skip_t * (x_BD + t * z_BD) - skip_r * (x_BD + r * z_BD) + 0.7 * (out_t - out_r)
    norm_B1 = (difference_BD.square().sum(1, keepdim=True) + 0.01**2).sqrt()
    expected = (weight * out_t * difference_BD / norm_B1).sum(1).mean()
    assert theta.grad is not None
    assert theta.grad.item() == pytest.approx(expected.item(), rel=1e-4)


def test_both_levels_see_the_same_noise():
    # Data of a single point: f* = mu + (x - mu) sigma_min/sigma is consistent along x + sigma z for each z.
    network = GaussianNetwork(MU, lambda sigma: SIGMA_MIN / sigma)
    x_BCHW = torch.full((10, 1, 2, 2), MU)
    z_BCHW = torch.randn(x_BCHW.shape, generator=generator(3))
    levels_BL = tables(KarrasGrid().sigmas(11)).table_ML.clone()
    levels_BL[:, -1] = 1  # without the weights, which would blow rounding up
    assert consistency_loss(network, x_BCHW, z_BCHW, levels_BL, huber(1e-9)).mean().item() < 1e-5


@pytest.mark.parametrize("factor", [0.97, 1.0, 1.03])
def test_the_minimiser_on_gaussian_data_is_the_closed_form(factor: float):
    """The gradient with respect to each a_{i+1}, at `factor` times its optimum, has the sign it must have."""
    sigma_N = KarrasGrid().sigmas(8)
    a_N = torch.ones_like(sigma_N)
    for i in range(7):
        a_N[i + 1] = a_N[i] * (S**2 + sigma_N[i] * sigma_N[i + 1]) / (S**2 + sigma_N[i + 1] ** 2)
    table_ML = tables(sigma_N).table_ML
    g = generator(4)
    for i in range(1, 7):  # a_0 = 1 is the boundary condition; its pair is tested by the others' teachers
        gradients = []
        for _ in range(32):
            a = (a_N[i + 1] * factor).clone().requires_grad_()
            network = GaussianNetwork(MU, lambda sigma, a=a, i=i: a.where(sigma > sigma_N[i] * 1.01, a_N[i]))
            x_BCHW = MU + S * torch.randn((512, 1, 2, 2), generator=g)
            z_BCHW = torch.randn(x_BCHW.shape, generator=g)
            consistency_loss(network, x_BCHW, z_BCHW, table_ML[[i] * 512], huber(0.001)).mean().backward()
            assert a.grad is not None
            gradients.append(a.grad)
        gradient_R = torch.stack(gradients)
        t_value = (gradient_R.mean() / gradient_R.std() * math.sqrt(32)).item()
        # |t| > 6.5 with 31 degrees of freedom: by chance 3 times in 1e7 for each of the 6 intervals.
        if factor == 1:
            assert abs(t_value) < 6.5
        else:
            assert t_value * (factor - 1) > 0
            assert abs(t_value) > 6.5


def test_the_minimiser_tends_to_the_exact_consistency_function():
    worst = []
    for num_levels in (101, 201, 401):
        sigma_N = KarrasGrid().sigmas(num_levels)
        ratio_M = (S**2 + sigma_N[:-1] * sigma_N[1:]) / (S**2 + sigma_N[1:] ** 2)
        worst.append((ratio_M.cumprod(0) / exact_a(sigma_N[1:]) - 1).abs().max().item())
    assert worst[0] < 0.1
    # First order in the width of the intervals.
    assert worst[0] / worst[1] == pytest.approx(2, rel=0.05)
    assert worst[1] / worst[2] == pytest.approx(2, rel=0.05)


# --- sampler ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigmas", [(80.0,), (80.0, 0.821), (80.0, 5.0, 0.9, 0.1)])
def test_samples_of_the_exact_consistency_function_have_the_data_distribution(sigmas: tuple[float, ...]):
    z_SBCHW = torch.randn((len(sigmas), 10_000, 1, 2, 2), generator=generator(5))
    x = sample(GaussianNetwork(MU, exact_a), z_SBCHW, sigmas, SIGMA_MIN, SIGMA_DATA).double()
    n = x.numel()
    # Starting from N(0, sigma_max^2) and not N(mu, s^2 + sigma_max^2) shifts by at most mu s/sigma_max.
    assert x.mean().item() == pytest.approx(MU, abs=6 * S / math.sqrt(n) + MU * S / SIGMA_MAX)
    # 6 sigma each: together they fail by chance less than once in 1e8.
    assert x.std().item() == pytest.approx(math.hypot(S, SIGMA_MIN), rel=6 / math.sqrt(2 * n) + 1e-4)


@pytest.mark.parametrize("sigmas", [(), (80.0, 80.0), (1.0, 2.0), (80.0, 0.002), (80.0, math.nan)])
def test_sampling_levels_must_decrease_and_stay_above_sigma_min(sigmas: tuple[float, ...]):
    with pytest.raises(ValueError, match="Sampling levels must decrease"):
        sample(GaussianNetwork(MU, exact_a), torch.zeros(4, 1, 1, 1, 1), sigmas, SIGMA_MIN, SIGMA_DATA)
