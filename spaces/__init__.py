"""What may be chosen: noise schedules as pure mathematics, and the search space over them.

noise_distribution.py, noise/   how often each noise level is trained
adaptive_noise.py               families that follow the training
curriculum.py, curricula/       how many noise levels are used when
grid.py, grids/                 where the noise levels lie
schedule.py                     the three together: NoiseSchedule
equality.py                     when two of them are the same to training
preset.py, presets/             schedules of the literature
space/                          what a search may propose
document/                       the exported JSON, its schemas, and reading it back
choice.py, registry.py          one choice is one file in its folder
"""

from spaces.curriculum import CURRICULA, Curriculum
from spaces.document.load import LoadedSchedule, load_schedule
from spaces.document.schema import export_json_schema, schedule_json_schema
from spaces.grid import GRIDS, Grid
from spaces.grids.karras import KarrasGrid
from spaces.noise_distribution import NOISE, IndexLaw, NoiseDistribution, SigmaLaw
from spaces.preset import PRESETS, Preset
from spaces.schedule import NoiseSchedule, Stage
from spaces.space.search_space import SearchSpace

__all__ = [
    "CURRICULA",
    "GRIDS",
    "NOISE",
    "PRESETS",
    "Curriculum",
    "Grid",
    "IndexLaw",
    "KarrasGrid",
    "LoadedSchedule",
    "NoiseDistribution",
    "NoiseSchedule",
    "Preset",
    "SearchSpace",
    "SigmaLaw",
    "Stage",
    "export_json_schema",
    "load_schedule",
    "schedule_json_schema",
]
