"""Measures sampling levels on a trial's model and keeps them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from search.errors import OperationFailed
from search.file.spec import SearchSpec
from search.record import TrialRecord
from search.study.trial_storage import DamagedFile, TrialStorage
from search.winner.sampling import sampling_of
from trainable.metric.assets import Assets
from trainable.sampling_levels import measure_trial
from trainable.storage.folder import StorageError
from trainable.task import SAMPLING_FILE
from trainable.trial import device_of


def measure(
    spec: SearchSpec,
    record: TrialRecord,
    assets: Assets,
    nfe: Sequence[int],
    *,
    on_progress: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, Any], str]:
    """Measure the sampling levels on the trial's model and keep them: all that is known now, and where it is.

    What was measured in the same way for other numbers of network evaluations stays.
    nfe: numbers of network evaluations.
    """
    trials = TrialStorage(spec.trials)
    try:
        measured = measure_trial(
            trials.folder(record.number),
            assets=assets,
            network=spec.own_setting.network,
            training=spec.training,
            schedule=record.schedule,
            seed=record.seed,
            num_samples=spec.objective.num_samples,
            num_levels=nfe,
            device=device_of(spec.resources.gpu),
            sigma_start=spec.sampling.sigma_start,
            on_progress=on_progress,
        )
    except (ValueError, StorageError) as error:
        raise OperationFailed(f"trial {record.number} cannot be sampled: {error}") from error
    measured = together(_undamaged(trials, record.number), measured)
    return measured, write_sampling(trials, record, measured)


def _undamaged(trials: TrialStorage, number: int) -> dict[str, Any] | None:
    """What was measured before, None if that cannot be made out: it is replaced then."""
    try:
        return sampling_of(trials, number)
    except DamagedFile:
        return None


# What distances must have in common to stand in one table.
_MEASURED_WITH = (
    *("objective", "num_samples", "extractor_sha256", "data_sha256"),
    *("method", "search_seed", "held_out_seeds"),
)


def together(kept: Mapping[str, Any] | None, measured: Mapping[str, Any]) -> dict[str, Any]:
    """`measured`, and from `kept` the other numbers of network evaluations, if these were measured in the same way."""
    if kept is None or any(kept.get(key) != measured[key] for key in _MEASURED_WITH):
        return dict(measured)
    rows = {key: {**kept[key], **measured[key]} for key in ("best", "baselines")}
    return {
        **measured,
        **{key: dict(sorted(found.items(), key=lambda row: int(row[0]))) for key, found in rows.items()},
        "metrics": {**kept["metrics"], **measured["metrics"]},
        "num_evaluations": kept["num_evaluations"] + measured["num_evaluations"],
    }


def write_sampling(trials: TrialStorage, record: TrialRecord, measured: Mapping[str, Any]) -> str:
    """Keep what was measured (`measure_trial`) beside the trial's model, and return where."""
    kept = {"trial": record.number, "replicate_of": record.replicate_of, **measured}
    return trials.write_json(record.number, SAMPLING_FILE, kept)
