from spaces.curricula.ect import ECT
from spaces.grids.karras import KarrasGrid
from spaces.noise.lognormal import LogNormal
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=LogNormal(p_mean=-1.1, p_std=2.0),
        curriculum=ECT(q=2.0, num_stages=8),
    ),
    summary=(
        "Easy consistency tuning, lognormal with a gap that halves 8 times. Geng et al. 2024 "
        "(arXiv:2406.14548)."
    ),
    published=(
        "CIFAR-10, FID of one step / two steps: 3.86 / 2.15 at 200k steps, 3.60 / 2.11 at 400k [code "
        "locuslab/ect, README]. RAdam 1e-4, batch 128, dropout .2, EMA .9999, weight 1/(t - r) as here, plain "
        "L2 norm (c = 0) [code, branch main]. Not reproduced: it starts from the weights of a trained diffusion "
        "model and draws continuous levels; here the gap becomes a number of levels on the Karras grid, and the "
        "loss constant is the training's. The preset ect has its levels, gap and norm."
    ),
)
