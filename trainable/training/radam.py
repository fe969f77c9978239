"""RAdam on one flat tensor, its step-dependent factors known in advance.

Liu et al. 2020, Algorithm 2 (arXiv:1908.03265), in the arithmetic of torch.optim.RAdam. Torch's own costs several
small operations per parameter tensor, a third of the training time of a small network, and decides per step
in Python whether the rectified form applies. Here that decision is a number.

Axes: K steps, P parameters.
"""

from spaces.lazy_torch import Tensor, torch

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def radam_factors(learning_rate_K: Tensor, beta1_K: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(adaptive_K, plain_K), float64: step k moves by -m (adaptive_k / (sqrt(v) + eps) + plain_k).

    Exactly one of the two is not 0. plain: the first steps, while the variance of 1/sqrt(v) is
    not tractable (rho_t <= 5, five steps at beta2 .999); adaptive: afterwards.

    beta1_K: the momentum of each step, BETA1 if None. With m_t = beta_t m_(t-1) + (1 - beta_t) g_t the weights
    of the gradients in m_t add up to 1 - beta_1 ... beta_t, by induction; that is what m is divided by.
    """
    t_K = torch.arange(1, len(learning_rate_K) + 1, dtype=torch.float64)
    started_K = BETA1**t_K if beta1_K is None else beta1_K.cumprod(0)
    correction1_K, correction2_K = 1 - started_K, 1 - BETA2**t_K
    rho_inf = 2 / (1 - BETA2) - 1
    rho_K = rho_inf - 2 * t_K * BETA2**t_K / correction2_K
    rectified_K = rho_K > 5
    rho_K = rho_K.clamp(min=5)  # keeps the root real where it is not used
    rectification_K = ((rho_K - 4) * (rho_K - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho_K)).sqrt()
    step_size_K = learning_rate_K.to(torch.float64) / correction1_K
    adaptive_K = step_size_K * rectification_K * correction2_K.sqrt() * rectified_K
    return adaptive_K, step_size_K * ~rectified_K


def radam_(
    parameters_P: Tensor,
    gradient_P: Tensor,
    m_P: Tensor,
    v_P: Tensor,
    adaptive: Tensor,
    plain: Tensor,
    new_share: float | Tensor = 1 - BETA1,
) -> None:
    """One step in place. m_P, v_P: running means of the gradient and its square, zero at the start.

    new_share: 1 - beta1 of this step.
    """
    m_P.lerp_(gradient_P, new_share)
    v_P.mul_(BETA2).addcmul_(gradient_P, gradient_P, value=1 - BETA2)
    parameters_P.sub_(v_P.sqrt().add_(EPSILON).reciprocal_().mul_(adaptive).add_(plain).mul_(m_P))
