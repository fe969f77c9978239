"""What may be chosen: noise schedules as pure mathematics, and the search space over them.

noise_distribution.py, noise/   how often each noise level is trained
adaptive_noise.py               families that follow the training
curriculum.py, curricula/       how many noise levels are used when
grid.py, grids/                 where the noise levels lie
gap.py, gaps/                   how far apart the two levels of a pair are
continuous.py                   levels drawn from a law itself, without a grid
heun.py                         the levels at which a diffusion model is sampled
weight.py, weights/             how much each pair of levels counts
loss.py, losses/                the distance of student and teacher
ideal_loss.py                   that distance in a closed form
schedule.py, stage.py, checks.py          all of these together: NoiseSchedule, and what it must keep
equality.py                     when two of them are the same to training
preset.py, presets/             schedules of the literature
space/                          what a search may propose
document/                       the exported JSON, its schemas, and reading it back
choice.py, registry.py          one choice is one file in its folder
"""

from typing import TYPE_CHECKING, Any

from spaces.curriculum import CURRICULA, Curriculum
from spaces.gap import GAPS, Gap
from spaces.grid import GRIDS, Grid
from spaces.grids.karras import KarrasGrid
from spaces.loss import LOSSES, Loss
from spaces.noise_distribution import NOISE, IndexLaw, NoiseDistribution, SigmaLaw
from spaces.preset import PRESETS, Preset
from spaces.schedule import NoiseSchedule
from spaces.space.search_space import SearchSpace
from spaces.stage import Stage
from spaces.weight import WEIGHTS, Weight

if TYPE_CHECKING:
    from spaces.document.load import LoadedSchedule, load_schedule
    from spaces.document.schema import export_json_schema, schedule_json_schema

__all__ = [
    "CURRICULA",
    "GAPS",
    "GRIDS",
    "LOSSES",
    "NOISE",
    "PRESETS",
    "WEIGHTS",
    "Curriculum",
    "Gap",
    "Grid",
    "IndexLaw",
    "KarrasGrid",
    "LoadedSchedule",
    "Loss",
    "NoiseDistribution",
    "NoiseSchedule",
    "Preset",
    "SearchSpace",
    "SigmaLaw",
    "Stage",
    "Weight",
    "export_json_schema",
    "load_schedule",
    "schedule_json_schema",
]


def __getattr__(name: str) -> Any:
    """The document and its schemas, imported by whoever reads or writes one."""
    if name in ("LoadedSchedule", "load_schedule"):
        from spaces.document import load

        return getattr(load, name)
    if name in ("export_json_schema", "schedule_json_schema"):
        from spaces.document import schema

        return getattr(schema, name)
    raise AttributeError(f"module 'spaces' has no attribute {name!r}")
