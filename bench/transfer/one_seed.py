"""How seldom the preset that is far behind on one seed is the better one: a part of the page.

`search.evidence.holding` leaves such presets out in other settings.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bench.transfer.agreement import Array
from bench.transfer.schedules import Chosen
from bench.transfer.settings import SETTINGS
from search.evidence.holding import FAR_BEHIND

TEXT = f"""A search leaves out presets with more than {FAR_BEHIND:g} times the distance of another one on the first
seed of a setting of `holds_at`. **Pairs**: of two presets, on either seed, of which one is so far behind. **Better
after all**: in the geometric mean of both seeds, the one behind is the better one."""


def lines(scores_of: Mapping[str, Array], order: Sequence[Chosen]) -> Iterator[Sequence[str]]:
    """Rows of the table, with its head first. scores_of: ln of the distances (S, seeds), by setting."""
    yield ("setting", "presets", "pairs", "better after all")
    presets = [index for index, chosen in enumerate(order) if chosen.origin.startswith("preset ")]
    for setting in SETTINGS:
        scores_PR = scores_of[setting.name][presets]
        scores_PR = scores_PR[~np.isnan(scores_PR).any(axis=1)]
        if len(scores_PR) < 2:
            continue
        behind = [
            one.mean() < other.mean()
            for one, other in itertools.permutations(scores_PR, 2)
            for seed in range(scores_PR.shape[1])
            if one[seed] - other[seed] > np.log(FAR_BEHIND)
        ]
        yield (setting.text, str(len(scores_PR)), str(len(behind)), str(sum(behind)))
