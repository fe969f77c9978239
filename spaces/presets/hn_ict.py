from spaces.curricula.sinusoidal import Sinusoidal
from spaces.grids.karras import KarrasGrid
from spaces.noise.beta_minmax import BetaMinMax
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=BetaMinMax(a=1.5, b=5.0, batch_size=256),
        curriculum=Sinusoidal(s0=20, s1=250, period=4.0, exponent=1.0, delta=1 / 6, amplitude=250, offset=1),
    ),
    summary=(
        "HN-iCT, Beta(1.5, 5) stretched in each batch, quarter sine 20 -> 250. Gokmen et al. 2024 "
        "(arXiv:2411.12181)."
    ),
    published=(
        "No figure recorded. Law and curve [code mselmangokmen/consistency-model-unofficial, 6288e2f]; the "
        "paper's own formulas are not verified. RAdam 1e-4 with betas (.9, .995), batch 512, 256 in each of "
        "two processes, 400k to 800k steps, c = .00054 sqrt(d) elementwise, EMA off in the example runs "
        "[code]: optimizer and elementwise loss are not reproduced."
    ),
)
