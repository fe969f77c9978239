from spaces.curricula.ct_sqrt import CTSqrt
from spaces.grids.karras import KarrasGrid
from spaces.noise.uniform import Uniform
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=Uniform(),
        curriculum=CTSqrt(s0=2, s1=150),
    ),
    summary=(
        "Original consistency training, uniform, square root 2 -> 151. Song et al. 2023 (arXiv:2303.01469)."
    ),
    published=(
        "CIFAR-10, FID of one step / two steps: 8.70 / 5.83 [recalled]. RAdam 2e-4, batch 512, 800k steps, EMA "
        ".9999, no dropout; LPIPS distance, weight 1, a teacher that is an average of the student (mu0 .9) "
        "[code openai/consistency_models_cifar10]. Of these the schedule alone is reproduced: the trainer here "
        "has no LPIPS and no teacher average. Its weight 1 is `weight: {name: uniform}`; this preset stays with"
        " the usual weight and distance, which compares levels alone."
    ),
)
