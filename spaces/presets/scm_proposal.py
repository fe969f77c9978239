from spaces.curricula.exponential import Exponential
from spaces.grids.karras import KarrasGrid
from spaces.noise.lognormal import LogNormal
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=LogNormal(p_mean=-1.0, p_std=1.4),
        curriculum=Exponential(s0=10, doublings=7),
    ),
    summary=(
        "sCM's proposal, lognormal(-1, 1.4), with iCT's grid and curriculum. Lu & Song 2024 "
        "(arXiv:2410.11081)."
    ),
    published=(
        "sCT on CIFAR-10, FID of one step / two steps: 2.85 / 2.06 [text sCM]. RAdam 1e-4 with betas (.9, "
        ".99), batch 512, EMA half-life .5M images [text sCM]. Only the distribution is sCM's: its loss is "
        "in continuous time and has no grid; grid and curriculum are iCT's, our choice."
    ),
)
