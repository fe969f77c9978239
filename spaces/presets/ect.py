from spaces.gaps.ect import ECTGap
from spaces.losses.pseudo_huber import PseudoHuber
from spaces.noise.lognormal import LogNormal
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule.continuous(
        LogNormal(p_mean=-1.1, p_std=2.0),
        ECTGap(q=2.0, num_stages=8, k=8.0, b=1.0),
        loss=PseudoHuber(huber_c=1e-9),
    ),
    summary=(
        "Easy consistency tuning with its continuous levels, gap, weight and plain L2 norm. Geng et al. 2024 "
        "(arXiv:2406.14548)."
    ),
    published=(
        "CIFAR-10, FID of one step / two steps: 3.86 / 2.15 at 200k steps, 3.60 / 2.11 at 400k [code "
        "locuslab/ect, README]. Law, gap, weight 1/(t - r) and norm (c = 0; here 1e-9 per root of the number of"
        " values) are those of its code [code, branch main]. Departs: r is at least sigma_min, where there it "
        "may be 0; levels end at sigma_min and sigma_max; each of the 8 stages is an eighth of the run. Not in "
        "a schedule: it starts from the weights of a trained diffusion model, RAdam 1e-4, batch 128, dropout "
        ".2, EMA .9999."
    ),
)
