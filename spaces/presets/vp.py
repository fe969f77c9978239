from spaces.curricula.exponential import Exponential
from spaces.grids.karras import KarrasGrid
from spaces.noise.vp_linear import VPLinear
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=VPLinear(),
        curriculum=Exponential(s0=10, doublings=7),
    ),
    summary=(
        "DDPM's linear betas as a distribution, cut at 80, with iCT's grid and curriculum. Song et al. 2021 "
        "(arXiv:2011.13456)."
    ),
    published=(
        "None for consistency models. Constants beta_d 19.9, beta_min .1, epsilon 1e-5 [code NVlabs/edm, "
        "crowsonkb/k-diffusion]. 6.65 % of its mass lies above 80 and is cut off; grid and curriculum are "
        "iCT's, our choice."
    ),
)
