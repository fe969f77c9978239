from spaces.noise.lognormal import LogNormal
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule.denoising(LogNormal(p_mean=-1.2, p_std=1.2)),
    summary="A diffusion model: EDM's loss, law, weight and sampler. Karras et al. 2022 (arXiv:2206.00364).",
    published=(
        "CIFAR-10, unconditional, FID 1.97 with 35 network evaluations: Heun's method in 18 steps [abs]. Law, "
        "weight, preconditioning and sampler are those of its code [code NVlabs/edm]. Departs: levels end at "
        "sigma_min and sigma_max, and are 4,096 quantiles of the law. Not in a schedule: Adam 1e-3, batch 512, 200 "
        "million images, dropout .13, augmentation, EMA half-life .5 million images."
    ),
)
