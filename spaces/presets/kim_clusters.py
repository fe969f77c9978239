from spaces.curricula.difficulty_clusters import DifficultyClusters
from spaces.grids.karras import KarrasGrid
from spaces.noise.lognormal import LogNormal
from spaces.preset import Preset
from spaces.schedule import NoiseSchedule

PRESET = Preset(
    schedule=NoiseSchedule(
        grid=KarrasGrid(rho=7.0),
        noise=LogNormal(p_mean=-1.1, p_std=2.0),
        curriculum=DifficultyClusters(levels=20, num_clusters=20, fraction=0.5, order="easy_to_hard"),
    ),
    summary=(
        "Task difficulty, 20 clusters of levels from noisy to clean, over iCT's distribution. Kim et al. "
        "2024 (arXiv:2403.10348)."
    ),
    published=(
        "None for consistency models: the paper trains diffusion models. Order, and clusters that stay once "
        "joined [abs]; 20 clusters [code, third party; recalled]. Fixed stages over half of the budget for "
        "its pacing by the loss, and 20 levels, are ours."
    ),
)
