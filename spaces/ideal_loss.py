"""What the loss of a perfect model would be on the simplest data: a closed form, for what is not known before training.

Axis M: pairs of student level t and teacher level r.
"""

import numpy as np

from spaces.arrays import Array
from spaces.loss import Loss


def ideal_distance(loss: Loss, t_M: Array, r_M: Array, sigma_data: float, huber_c: float) -> Array:
    """distance_M of student and teacher per value, of data that is one Gaussian of standard deviation sigma_data.

    The consistency function of such data takes x + t z to sigma_data / sqrt(t^2 + sigma_data^2) (x + t z), the denoiser
    to the square of that factor. With theta = atan(t / sigma_data) the mean square of a value is
    (2 sigma_data sin((theta_t - theta_r) / 2))^2 for two levels of one image and one noise, and
    (sigma_data sin theta_t)^2 for the denoiser and the image. huber_c: the training's.
    """
    theta_M, other_M = np.arctan(t_M / sigma_data), np.arctan(r_M / sigma_data)
    root_M = np.sin(theta_M) if loss.DENOISES else 2 * np.sin((theta_M - other_M) / 2)
    squared_M = np.square(sigma_data * root_M)
    slope, offset, shift = loss.constants(1, huber_c)
    found_M: Array = squared_M / (np.sqrt(slope * squared_M + offset) + shift)
    return found_M
