from spaces.gaps.ect import ECTGap
from spaces.losses.pseudo_huber import PseudoHuber
from spaces.noise.lognormal import LogNormal
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule.continuous(
        LogNormal(p_mean=-1.1, p_std=2.0),
        ECTGap(q=4096.0, num_stages=1, k=8.0, b=1.0),
        loss=PseudoHuber(huber_c=1e-9),
    ),
    summary=(
        "Consistency mid-training's last stage, ECT with one fine gap of n(t)/4096. Hu et al. 2025 (arXiv:2509.24526)."
    ),
    published=(
        "CIFAR-10, FID of one step / two steps: 2.74 / 1.97 after 12.8 million images [code sony/cmt, README]. "
        "Law, gap, weight 1/(t - r) and plain L2 norm are those of its code [code]: q 4096 in one stage, with "
        "ECT's n(t), where the README has 1/4096. Departs: r is at least sigma_min, where there it may be 0. "
        "Not in a schedule, and decisive: it starts from weights that were trained on trajectories of a "
        "diffusion model for 38.4 million images; from noise so fine a gap need not train at all. RAdam 1e-4, "
        "batch 128, dropout .2, EMA .9999."
    ),
)
