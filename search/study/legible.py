"""What can still be read of a damaged study."""

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from search.errors import InputError
from search.record import TrialRecord
from search.study import whole
from search.study.database import is_missing, open_storage
from search.study.records import record_of
from search.study.rows import trial_ids

_UNREADABLE = (*whole.UNREADABLE, SQLAlchemyError, StorageInternalError)


def legible_trials(url: str, name: str) -> list[TrialRecord]:
    """The trials of the study that can be read one by one, by number; [] where nothing can.

    Nobody has checked that they are as they were written: to be looked at, not to be relied on. Replicates of trials
    that are lost are left out.
    """
    found: dict[int, TrialRecord] = {}
    if is_missing(url):
        return []
    try:
        storage = open_storage(url)
        ids = trial_ids(storage, storage.get_study_id_from_name(name))
    except (*_UNREADABLE, InputError):
        return []
    for trial_id, number in sorted(ids, key=lambda each: each[1]):
        try:
            found[number] = record_of(storage.get_trial(trial_id))
        except _UNREADABLE:
            continue
    storage.engine.dispose()
    return [r for r in found.values() if r.replicate_of is None or r.replicate_of in found]
