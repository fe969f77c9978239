from spaces.curricula.exponential import Exponential
from spaces.grids.karras import KarrasGrid
from spaces.noise.cosine import Cosine
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=Cosine(sigma_data=0.5),
        curriculum=Exponential(s0=10, doublings=7),
    ),
    summary=(
        "The cosine schedule's distribution, with iCT's grid and curriculum. Nichol & Dhariwal 2021 "
        "(arXiv:2102.09672)."
    ),
    published=(
        "None for consistency models; the baseline of Hang et al. 2024 (arXiv:2407.03297). Its density over "
        "logSNR [notes on that paper]; no offset, no clipping. Peak placed for sigma_data = .5; grid and "
        "curriculum are iCT's, our choice."
    ),
)
