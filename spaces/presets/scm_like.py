from spaces.gaps.constant_ratio import ConstantRatio
from spaces.losses.squared_l2 import SquaredL2
from spaces.noise.lognormal import LogNormal
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule
from spaces.weights.learned_uncertainty import LearnedUncertainty

PRESET = Preset(
    schedule=NoiseSchedule.continuous(
        LogNormal(p_mean=-1.0, p_std=1.4),
        ConstantRatio(q=1024.0),
        weight=LearnedUncertainty(),
        loss=SquaredL2(),
    ),
    summary=(
        "Like sCM's training in continuous time: its law, its learned weight, a fine gap and the squared norm. Lu & "
        "Song 2024 (arXiv:2410.11081)."
    ),
    published=(
        "sCT on CIFAR-10, FID of one step / two steps: 2.85 / 2.06 [text sCM]. Law and learned weight are sCM's [code "
        "FastGen]; its loss is the limit of an infinitely small gap, whose gradient is, level by level, that of the "
        "squared norm; here the gap is t/1024 [ours], which float32 tells apart. Its u is linear in the network's "
        "embedding of t, here in fixed waves. Left out, and what makes it stable there: the normalised tangent with "
        "its warm-up, TrigFlow's network. Not in a schedule: it starts from a diffusion model; trained from sigma 800 "
        "on, sampled from 80 [code FastGen]."
    ),
)
