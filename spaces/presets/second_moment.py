from spaces.curricula.ct_sqrt import CTSqrt
from spaces.grids.karras import KarrasGrid
from spaces.noise.loss_second_moment import LossSecondMoment
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=LossSecondMoment(),
        curriculum=CTSqrt(s0=2, s1=150),
    ),
    summary=(
        "Adaptive, p follows the root second moment of the loss, on CT's levels 2 -> 151. After Nichol & Dhariwal "
        "2021 (arXiv:2102.09672)."
    ),
    published=(
        "None for consistency models. The sampler and its importance weights are in the code of CT [code "
        "openai/consistency_models], whose published models train uniform levels; that the sampler's source is "
        "the paper is [recalled]; the curriculum is CT's. The weight 1/(sigma_{i+1} - sigma_i) times 1/(M p_i) is "
        "ours: the expected objective is that of uniform sampling. Departs: moments of 32 fixed bins of the "
        "index instead of the last ten losses of each level."
    ),
)
