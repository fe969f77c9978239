"""What matters for a low objective: each option of the space, and each band of ln sigma.

Optuna's PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255; conditional options: arXiv:2601.20800): how much the best
tenth of the trials differ from all in one option. It draws nothing at random, unlike fANOVA with its forest: the same
trials give the same importances, and there is no seed to vary. What is uncertain is which trials were drawn, and with
which noise: the spread is that over resampled trials. People think in bands, families have other options: the share of
the training in a band is an option that every schedule has.
"""

import contextlib
import hashlib
import itertools
import json
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, distribution_to_json
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.algorithms._view import view_of
from search.record import SEARCHED, TrialRecord, has_diverged
from search.report.densities import bands
from search.report.found import Found
from search.report.kept import keep, kept

FEWEST = 20  # trials from which importances say something: two of them are the best tenth
_MOST = 200  # trials that are looked at: more tell little more, and take their time
_RESAMPLED = 8
_NUM_BANDS = 8
_BEST = 0.1
_KEPT = (
    "importances.json"  # in the folder of a search: scikit-learn and two seconds are needed to work them out
)


@dataclass(frozen=True)
class Importances:
    """step: where the objective was taken. options, bands: of each `name`, `mean`, `low`, `high` (shares of 1)."""

    step: int
    num_trials: int
    options: tuple[dict[str, Any], ...]
    bands: tuple[dict[str, Any], ...]


def importances(found: Found) -> Importances | None:
    """None where too few trials have values."""
    searched = [r for r in found.records if r.purpose in SEARCHED and r.replicate_of is None]
    step = _step(searched)
    values = {} if step is None else _values(searched, step)
    if step is None or len(values) < FEWEST:
        return None
    chosen = sorted(random.Random("importance").sample(sorted(values), min(_MOST, len(values))))
    key = _key(found, step, {number: values[number] for number in chosen})
    ours = _kept(found.folder, key)
    if ours is None:
        ours = _worked_out(found, step, chosen, values)
        keep(found.folder, _KEPT, key, asdict(ours))
    return ours


def _key(found: Found, step: int, values: Mapping[int, float]) -> str:
    """Checksum of all that the importances follow from."""
    trials = {
        number: [value, dict(found.by_number[number].params), repr(found.by_number[number].schedule)]
        for number, value in values.items()
    }
    searched = {name: distribution_to_json(one) for name, one in found.distributions.items()}
    rules = [FEWEST, _MOST, _RESAMPLED, _NUM_BANDS, _BEST]
    return hashlib.sha256(json.dumps([rules, step, searched, trials]).encode()).hexdigest()


def _kept(folder: Path | None, key: str) -> Importances | None:
    found = kept(folder, _KEPT, key)
    with contextlib.suppress(LookupError, TypeError):
        if found is not None:
            return Importances(
                **{**found, "options": tuple(found["options"]), "bands": tuple(found["bands"])}
            )
    return None


def _worked_out(found: Found, step: int, chosen: Sequence[int], values: Mapping[int, float]) -> Importances:
    own = {number: dict(found.by_number[number].params) for number in chosen}
    options = _shares(own, found.distributions, values)
    edges, shares = bands({number: found.by_number[number].schedule for number in chosen}, _NUM_BANDS)
    names = [f"sigma {low:.3g} to {high:.3g}" for low, high in itertools.pairwise(edges)]
    in_bands = {
        number: dict(zip(names, found_shares, strict=True)) for number, found_shares in shares.items()
    }
    whole = {name: FloatDistribution(0.0, 1.0) for name in names}
    return Importances(step, len(chosen), options, _shares(in_bands, _narrowed(whole, in_bands), values))


def _narrowed(
    distributions: Mapping[str, FloatDistribution], params: Mapping[int, Mapping[str, float]]
) -> dict[str, BaseDistribution]:
    """To the range that the values have: most shares are far from 1. Without what does not vary."""
    found: dict[str, BaseDistribution] = {}
    for name in distributions:
        seen = [own[name] for own in params.values()]
        if min(seen) < max(seen):
            found[name] = FloatDistribution(min(seen), max(seen))
    return found


def _step(records: Sequence[TrialRecord]) -> int | None:
    """The furthest rung that half of the trials with a value have reached: beyond it only good ones are left."""
    reached = [report.step for record in records for report in record.reports]
    num_trials = sum(bool(record.reports) for record in records)
    return max((step for step in set(reached) if reached.count(step) * 2 >= num_trials), default=None)


def _values(records: Sequence[TrialRecord], step: int) -> dict[int, float]:
    """Objective at the step by trial number. A diverged trial has the worst, and is the worst."""
    found = {}
    for record in records:
        if not record.params:
            continue  # a preset outside the space
        at_step = next((report.objective for report in record.reports if report.step == step), None)
        if at_step is None and record.reports and has_diverged(record.reports[-1].objective):
            at_step = record.reports[-1].objective
        if at_step is not None:
            found[record.number] = at_step
    return found


def _shares(
    params: Mapping[int, Mapping[str, Any]],
    distributions: Mapping[str, BaseDistribution],
    values: Mapping[int, float],
) -> tuple[dict[str, Any], ...]:
    """Importance of each parameter as a share of all, the largest first, with its spread over resampled trials."""
    trials = [
        FrozenTrial(
            number=number,
            trial_id=number,
            state=TrialState.COMPLETE,
            value=values[number],
            datetime_start=None,
            datetime_complete=None,
            params={name: value for name, value in own.items() if name in distributions},
            distributions={name: distributions[name] for name in own if name in distributions},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )
        for number, own in params.items()
    ]
    names = sorted({name for trial in trials for name in trial.params})
    draw = random.Random("resampled")
    rounds = [trials, *(draw.choices(trials, k=len(trials)) for _ in range(_RESAMPLED))]
    found = [_importance(each, names) for each in rounds]
    rows = [
        {
            "name": name,
            "mean": round(found[0][name], 4),
            "low": round(min(each[name] for each in found), 4),
            "high": round(max(each[name] for each in found), 4),
        }
        for name in names
    ]
    return tuple(sorted(rows, key=lambda row: -float(row["mean"])))


def _importance(trials: Sequence[FrozenTrial], names: Sequence[str]) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator  # scikit-learn comes with it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental, and of ties
        evaluator = PedAnovaImportanceEvaluator(target_quantile=_BEST)
        drawn = sorted({name for trial in trials for name in trial.params})
        raw = evaluator.evaluate(view_of(_numbered(trials), StudyDirection.MINIMIZE), drawn)
    total = sum(raw.values()) or 1.0
    return {name: raw.get(name, 0.0) / total for name in names}


def _numbered(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials with ids of their own: a trial that was drawn twice counts twice."""
    numbered = []
    for index, trial in enumerate(trials):
        own = FrozenTrial.__new__(FrozenTrial)
        own.__dict__.update(trial.__dict__, _trial_id=index, number=index)
        numbered.append(own)
    return numbered
