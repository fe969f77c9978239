"""What a least share of the draws at both ends does to the winner that a cheap setting names: a part of the page."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bench.transfer.agreement import Array
from bench.transfer.schedules import Chosen
from bench.transfer.settings import SETTINGS, Setting
from spaces.thin_ends import ends

SHARES = (0.0, 0.05, 0.1)
PROXIES = ("film_mlp_2000", "mlp_2000", "fast_waves_1000", "small_unet_500")
TEXT = (
    "A search may be told to propose only schedules of which a share of the draws is below sigma .3, and as many above "
    "1\n(`space.ends`). Of those, what the proxy ranks first, and its Frechet distance over that of ict in each other "
    "setting of\nthe digits, by the number of the setting in the first table; `-`: not recorded there."
)


def lines(scores_of: Mapping[str, Array], order: Sequence[Chosen], baseline: int) -> Iterator[Sequence[str]]:
    """Rows of the table, with its head first. scores_of: (S, R) by setting. baseline: index of ict."""
    shown = [setting for setting in SETTINGS if setting.data == "digits"]
    yield ("proxy, least share", "schedules", "winner", *(str(SETTINGS.index(s) + 1) for s in shown))
    least_S = np.array([least(chosen) for chosen in order])
    means_of = {setting.name: _means(scores_of[setting.name]) for setting in shown}
    for proxy in (setting for setting in shown if setting.name in PROXIES):
        means_S = means_of[proxy.name]
        for share in SHARES:
            allowed_S = np.flatnonzero((least_S >= share) & ~np.isnan(means_S))
            if len(allowed_S):
                winner = int(allowed_S[means_S[allowed_S].argmin()])
                ratios = (_ratio(means_of[setting.name], winner, baseline) for setting in shown)
                yield (_label(proxy, share), str(len(allowed_S)), order[winner].origin, *ratios)


def least(chosen: Chosen) -> float:
    found = ends(chosen.schedule, 2000)
    return min(found.below, found.above)


def _means(scores_SR: Array) -> Array:
    """Over the seeds that are recorded, (S,); NaN where none is."""
    counts_S = (~np.isnan(scores_SR)).sum(axis=1)
    means_S: Array = np.where(counts_S > 0, np.nansum(scores_SR, axis=1) / np.maximum(counts_S, 1), np.nan)
    return means_S


def _ratio(means_S: Array, winner: int, baseline: int) -> str:
    ratio = float(np.exp(means_S[winner] - means_S[baseline]))
    return "-" if np.isnan(ratio) else f"{ratio:.2f}"


def _label(proxy: Setting, share: float) -> str:
    return f"{proxy.text}, {f'{100 * share:g} %' if share else 'none'}"
