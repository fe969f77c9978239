from spaces.curricula.exponential import Exponential
from spaces.grids.karras import KarrasGrid
from spaces.noise.logsnr_cauchy import LogSNRCauchy
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=LogSNRCauchy(mu=0.0, gamma=0.5, sigma_data=0.5),
        curriculum=Exponential(s0=10, doublings=7),
    ),
    summary="Cauchy(0, .5) on logSNR, with iCT's grid and curriculum. Hang et al. 2024 (arXiv:2407.03297).",
    published=(
        "None for consistency models, and no figure of the paper's was read. The density [notes on the "
        "paper]; (0, .5) is recalled. Peak placed for sigma_data = .5; grid and curriculum are iCT's, our "
        "choice."
    ),
)
