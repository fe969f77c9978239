"""Fills in what MLflow lacks of a search, from the records of the study and the checkpoints of open trials."""

from collections.abc import Iterable

from search.record import TrialRecord
from search.tracking.projection import Projection
from search.tracking.runs import Changes


def reconcile(records: Iterable[TrialRecord], projection: Projection) -> Changes:
    """What was missing in MLflow and is there now, counted over all `records`.

    Compares every run with its record in full (all values of all metrics, tags, status, files), where live
    tracking trusts what it wrote. Running it again changes nothing. Raises what MLflow raises.
    """
    projection.reload()
    changes = projection.runs.remove_duplicates()
    for record in records:
        changes += projection.sync(record, verify=True)
    return changes
