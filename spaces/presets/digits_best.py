from spaces.curricula.exponential import Exponential
from spaces.grids.karras import KarrasGrid
from spaces.noise.logsnr_laplace import LogSNRLaplace
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=5.05),
        noise=LogSNRLaplace(mu=-1.47, b=1.12, sigma_data=0.5),
        curriculum=Exponential(s0=10, doublings=7, s1=686),
    ),
    summary=(
        "Best of 24 random schedules on the 8x8 digits: ours, no paper's; the law is that of Hang et al. 2024 "
        "(arXiv:2407.03297)."
    ),
    published=(
        "None. Selected and confirmed on the digits, at 2000 steps of a 96x2 network [ours]: a good place there is "
        "to be expected, and says nothing about other data, networks or budgets."
    ),
)
