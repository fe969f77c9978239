from spaces.curricula.constant import Constant
from spaces.grids.karras import KarrasGrid
from spaces.noise.polynomial import Polynomial
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=Polynomial(degree=4.0),
        curriculum=Constant(levels=20),
    ),
    summary=(
        "High Noise Scheduling's P3, polynomial on 20 levels, without its jitter. "
        "Gokmen et al. 2024 (arXiv:2404.06353)."
    ),
    published=(
        "CIFAR-10, FID 33.54, its lognormal baseline 66.51, 100k steps [abs]. Degree 4 and a constant "
        "number of levels [abs]; 20 levels from the public parameter file [code "
        "mselmangokmen/consistency-model-unofficial], whose degree is 2.5. Departs: the published "
        "index is jittered and drawn by batch position, which moves much mass out of the lowest "
        "levels. A counter in that code advances once per GPU, so 100k steps may be 50k updates [code]."
    ),
)
