from spaces.curricula.sinusoidal import Sinusoidal
from spaces.grids.karras_master import KarrasMasterGrid
from spaces.noise.polynomial_jittered import PolynomialJittered
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasMasterGrid(rho=7.0, levels=251),
        noise=PolynomialJittered(degree=4.0, batch_size=128, commit="994cbf8"),
        curriculum=Sinusoidal(s0=20, s1=250, period=2.0, exponent=1.5, delta=0.1, offset=0),
    ),
    summary=(
        "hn_polynomial_sin on predefined levels, subsets of one grid of 251. Gokmen et al. 2024 "
        "(arXiv:2404.06353)."
    ),
    published=(
        "CIFAR-10, FID 30.48, 100k steps [abs], if this is what was run: the abstract says that predefined "
        "Karras noises keep a change of N from making new levels [abs], the public code makes them anew "
        "[code]. The subset of one grid is our reading. Else as hn_polynomial_sin."
    ),
)
