"""What may be chosen: noise schedules as pure mathematics, and the search space over them.

noise_distribution.py, noise/   how often each noise level is trained
curriculum.py, curricula/       how many noise levels are used when
grid.py, grids/                 where the noise levels lie
schedule.py                     the three together: NoiseSchedule
equality.py                     when two of them are the same to training
export_document.py, load.py     the exported JSON, and reading it back
search_space.py                 what a search may propose
preset.py, presets/             schedules of the literature
"""

from spaces.curriculum import CURRICULA, Curriculum
from spaces.document.format import export_json_schema
from spaces.document.load import LoadedSchedule, load_schedule
from spaces.document.schema import schedule_json_schema
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
