"""The kinds of choices: what may be listed and, where a search file has a field for it, chosen there.

A new kind is one line here, and one field of the search file that takes it (`choice("...")` in choices.py).
"""

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """One folder of choices. registry: where it is, as `module:NAME`; imported on use, since most bring torch.

    field: of a search file, None where the choices stand elsewhere in it (`space`, `presets`).
    """

    registry: str
    field: str | None = None

    def choices(self) -> Any:
        """The `Choices` of the folder: by name."""
        module, _, name = self.registry.partition(":")
        return getattr(importlib.import_module(module), name)


# By the names that `list` knows.
KINDS = {
    "noise": Kind("spaces:NOISE"),
    "curricula": Kind("spaces:CURRICULA"),
    "grids": Kind("spaces:GRIDS"),
    "gaps": Kind("spaces:GAPS"),
    "weights": Kind("spaces:WEIGHTS"),
    "losses": Kind("spaces:LOSSES"),
    "presets": Kind("spaces:PRESETS"),
    "data": Kind("trainable.dataset:DATASETS", "data"),
    "networks": Kind("trainable.network:NETWORKS", "network"),
    "extractors": Kind("trainable.extractor:EXTRACTORS", "extractor"),
    "trainers": Kind("trainable.trial_trainer:TRAINERS", "trainer"),
    "metrics": Kind("trainable.metric.sample_metric:METRICS", "metric"),
    "algorithms": Kind("search.algorithm:ALGORITHMS", "algorithm"),
    "stopping": Kind("search.stopping_rule:STOPPING", "stopping"),
    "optimizer_strategies": Kind("trainable.optimizer_strategy:OPTIMIZER_STRATEGIES", "optimizer_strategy"),
}


def registry_of(field: str) -> Any:
    """The registry of the choices for a field of a search file."""
    (kind,) = (kind for kind in KINDS.values() if kind.field == field)
    return kind.choices()
