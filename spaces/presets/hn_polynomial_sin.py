from spaces.curricula.sinusoidal import Sinusoidal
from spaces.grids.karras import KarrasGrid
from spaces.noise.polynomial_jittered import PolynomialJittered
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=PolynomialJittered(degree=4.0, batch_size=128, commit="994cbf8"),
        curriculum=Sinusoidal(s0=20, s1=250, period=2.0, exponent=1.5, delta=0.1, offset=0),
    ),
    summary=(
        "High Noise Scheduling's P5, polynomial with its jitter, half sine 20 -> 250 -> 30. Gokmen et al. "
        "2024 (arXiv:2404.06353)."
    ),
    published=(
        "CIFAR-10, FID 30.48, 100k steps [abs]. Curve and jitter [code "
        "mselmangokmen/consistency-model-unofficial, 9e604e9]; that the degree is 4 here too is assumed; the "
        "paper's own formulas are not verified. Optimizer, loss and the doubt about the number of updates as "
        "in high_noise_p3."
    ),
)
