from spaces.curricula.snr_timestep import SNRTimestep
from spaces.grids.karras import KarrasGrid
from spaces.noise.lognormal import LogNormal
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=LogNormal(p_mean=0.207, p_std=1.0),
        curriculum=SNRTimestep(levels=20),
    ),
    summary=(
        "From uniform to lognormal(ln 1.23, 1) during the run, after Xu et al.'s CLTS. Xu et al. 2024 "
        "(arXiv:2404.07946)."
    ),
    published=(
        "None for consistency models: twice as fast on CIFAR-10 for diffusion [abs], with a decay of the "
        "momentum that is not part of a schedule. Fewer and fewer easy, noisy levels [abs]; the formula is "
        "recalled; the width 1 and 20 levels are ours."
    ),
)
