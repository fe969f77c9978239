"""MLflow as a projection of the study: everything here can be rebuilt from the trial records.

`Runs` knows the runs that are there, `Projection` brings one to the state of one record (blocking, idempotent),
`ProjectionProcess` does so in a process of its own, `Tracker` feeds it on a thread while a search runs, `reconcile`
does so for all records of a search afterwards. MLflow is imported at the first connection only, so that commands
which need none start quickly.
"""

from search.tracking.names import check_metric_name
from search.tracking.process import ProjectionProcess
from search.tracking.projection import ParentInfo, Projection
from search.tracking.reconcile import reconcile
from search.tracking.runs import Changes
from search.tracking.tracker import Leftover, Tracker

__all__ = [
    "Changes",
    "Leftover",
    "ParentInfo",
    "Projection",
    "ProjectionProcess",
    "Tracker",
    "check_metric_name",
    "reconcile",
]
