from spaces.curricula.exponential import Exponential
from spaces.grids.karras import KarrasGrid
from spaces.noise.logsnr_laplace import LogSNRLaplace
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=LogSNRLaplace(mu=0.0, b=0.5, sigma_data=0.5),
        curriculum=Exponential(s0=10, doublings=7),
        uniform_floor=0.05,
    ),
    summary=(
        "hang_gu_laplace with a uniform floor of .05, which keeps sigma_max trained. Hang et al. 2024 "
        "(arXiv:2407.03297)."
    ),
    published=(
        "None for consistency models; diffusion as in hang_gu_laplace [notes on the paper; no official "
        "code]. The floor is ours, an insurance and not a proven gain; grid and curriculum are iCT's, our "
        "choice."
    ),
)
