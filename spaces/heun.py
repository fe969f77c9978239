"""At which noise levels Heun's method visits a diffusion model. Karras et al. 2022, Algorithm 1 (arXiv:2206.00364)."""

from spaces.grids.karras import KarrasGrid

MAX_STEPS = 50


def num_evaluations(num_steps: int) -> int:
    """Two of each step but the last one, to sigma = 0, which is Euler's."""
    return 2 * num_steps - 1


def heun_levels(num_steps: int, sigma_min: float, sigma_max: float) -> tuple[float, ...]:
    """From which each step starts: EDM's grid, rho 7, decreasing from sigma_max to sigma_min. One step: sigma_max."""
    if num_steps == 1:
        return (sigma_max,)
    grid = KarrasGrid(sigma_min=sigma_min, sigma_max=sigma_max, rho=7.0)
    return tuple(reversed(grid.noise_levels(num_steps).tolist()))
