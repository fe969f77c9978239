"""The leaderboard in MLflow's own interface: a saved view of the table of runs.

MLflow keeps what its "Share" button saves as JSON in a tag of the experiment, and opens it when the address
names the tag. Unlike `orderByKey` in an address this also says which columns are shown (by default no
metric is). Read off the interface of MLflow 3.17; one that no longer knows the tag shows an unsorted table.
"""

import json

from search.record import Purpose
from search.tracking import names

TAG = "mlflow.sharedViewState."  # plus the view's key
# Says that the experiment holds training runs; without it MLflow guesses, and may open its page for agents.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


# Of the trials' tags those that a leaderboard shows, with their widths in pixels. Metrics would have all their digits.
_COLUMNS = {
    names.RANK: 90,
    names.MEAN: 150,
    names.AGAINST: 150,
    names.SEEN: 110,
    names.STATE: 100,
    names.STEP: 90,
    names.SCHEDULE: 620,
}
_REPLICATES = (Purpose.NOISE, Purpose.REPLICATE, Purpose.CONFIRM, Purpose.HOLD)


def leaderboard_view(parent_run_id: str, objective: str, *, ranked: bool = False) -> tuple[str, str]:
    """(key, state): the trials of one search as its leaderboard has them, replicates left out.

    ranked: whether the trials have their places there; without them by ascending objective, as while a search runs.
    Nested runs are shown flat when sorted by a metric, so the filter names the parent.
    """
    widths = {f"tags.`{tag}`": width for tag, width in _COLUMNS.items()}
    own = [f"tags.`{names.PARENT_RUN}` = '{parent_run_id}'"]
    own += [f"tags.`{names.PURPOSE}` != '{purpose}'" for purpose in _REPLICATES]
    state = {
        "orderByKey": f"metrics.`{names.PLACE if ranked else objective}`",
        "orderByAsc": True,
        "searchFilter": " and ".join(own),
        "selectedColumns": list(widths),
        "columnOrder": list(widths),
        "columnWidths": widths,
    }
    return f"leaderboard-{parent_run_id[:12]}", json.dumps(state)


def address(experiment_id: str, key: str) -> str:
    """Path and fragment of a saved view, with the menus for training instead of those for agents."""
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={key}&workflowType=machine_learning"
