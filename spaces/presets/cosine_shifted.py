from spaces.curricula.exponential import Exponential
from spaces.grids.karras import KarrasGrid
from spaces.noise.cosine_shifted import CosineShifted
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=CosineShifted(mu=1.0, sigma_data=0.5),
        curriculum=Exponential(s0=10, doublings=7),
    ),
    summary=(
        "Cosine moved to logSNR 2, with iCT's grid and curriculum. Hang et al. 2024 (arXiv:2407.03297)."
    ),
    published=(
        "None for consistency models, and no figure of the paper's was read. The density [notes on the "
        "paper]; mu = 1 is recalled. Peak placed for sigma_data = .5; grid and curriculum are iCT's, our "
        "choice."
    ),
)
