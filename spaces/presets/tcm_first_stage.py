from spaces.gaps.ect import ECTGap
from spaces.losses.pseudo_huber import ICT_HUBER_C, PseudoHuber
from spaces.noise.lognormal import LogNormal
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule
from spaces.weights.edm import EDM

PRESET = Preset(
    schedule=NoiseSchedule.continuous(
        LogNormal(p_mean=-0.8, p_std=1.6),
        ECTGap(q=4.0, num_stages=4, k=8.0, b=1.0),
        weight=EDM(),
        loss=PseudoHuber(huber_c=ICT_HUBER_C),
    ),
    summary=(
        "Truncated consistency models' first stage on ImageNet-64, ECT with a gap that quarters and EDM's weight. "
        "Lee et al. 2024 (arXiv:2410.14895)."
    ),
    published=(
        "ImageNet-64, FID of one step / two steps after both stages: 2.88 / 2.31 (EDM2-S) [code, README of TCM]. Law, "
        "q 4, the limit of 1 - 1/256 on r/t, weight 1/c_out^2 and c .06 (here as .00054 per root of the number of "
        "values, 12,288 there) are its command line [code, README]; ECT's n(t) with k 8, b 1 is the default of ECT's "
        "code. Departs: r is at least sigma_min, where there it may be 0; each of the 4 stages is a quarter of the "
        "run. On CIFAR-10 its first stage is the preset ect with c 1e-8 and ten stages of 25,000 steps, the last of "
        "which goes on. Not in a schedule: it starts from a diffusion model, Adam 1e-3, batch 2048, dropout .4. Its "
        "second stage trains t >= 1 against a frozen first stage, which the trainer here has not."
    ),
)
