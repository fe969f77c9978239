from spaces.curricula.exponential import Exponential
from spaces.grids.karras import KarrasGrid
from spaces.noise.lognormal import LogNormal
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=LogNormal(p_mean=-1.1, p_std=2.0),
        curriculum=Exponential(s0=2, doublings=7, s1=150),
    ),
    summary=(
        "iCT for short runs, 2 -> 150: improved_consistency_models_cifar10_pytorch by LYMDLUT, "
        "after Song & Dhariwal 2023 (arXiv:2310.14189)."
    ),
    published=(
        "CIFAR-10, FID 40.7 after 200 epochs and 34.2 after 500, batch 128 per process, EMA .99, the "
        "best of four settings there [code, README]. Other settings are not stated."
    ),
)
