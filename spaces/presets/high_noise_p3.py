from spaces.curricula.constant import Constant
from spaces.grids.karras import KarrasGrid
from spaces.noise.polynomial_jittered import PolynomialJittered
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=PolynomialJittered(degree=4.0, batch_size=128, commit="994cbf8"),
        curriculum=Constant(levels=20),
    ),
    summary=(
        "High Noise Scheduling's P3, polynomial on 20 levels, with its jitter. Gokmen et al. 2024 "
        "(arXiv:2404.06353)."
    ),
    published=(
        "CIFAR-10, FID 33.54, its lognormal baseline 66.51, 100k steps [abs]. Degree 4 and a constant number "
        "of levels [abs]; jitter, 20 levels and batch 256, 128 in each of two processes [code "
        "mselmangokmen/consistency-model-unofficial, 9e604e9], whose degree is 2.5; the paper's table of "
        "models is not verified. RAdam 1e-4, c = .001 sqrt(d), elementwise, raw sigma to the network, no EMA "
        "[code]: not reproduced. A counter in that code advances once per GPU, so 100k steps may be 50k "
        "updates [code]."
    ),
)
