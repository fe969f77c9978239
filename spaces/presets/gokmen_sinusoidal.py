from spaces.curricula.sinusoidal import Sinusoidal
from spaces.grids.karras import KarrasGrid
from spaces.noise.polynomial import Polynomial
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=Polynomial(degree=4.0),
        curriculum=Sinusoidal(s0=20, s1=250, period=2.0, exponent=1.5, delta=0.1, offset=0),
    ),
    summary=(
        "High Noise Scheduling's P5, polynomial with a half sine 20 -> 250 -> 30, without its jitter. "
        "Gokmen et al. 2024 (arXiv:2404.06353)."
    ),
    published=(
        "CIFAR-10, FID 30.48, 100k steps [abs]. The curve is the author's [code "
        "mselmangokmen/consistency-model-unofficial, 9e604e9]; that it goes up and down [abs]; the "
        "paper's own formula and that the degree is 4 here too are not verified. Departs: no jitter, "
        "as in gokmen_constant, and the same doubt about the number of updates."
    ),
)
