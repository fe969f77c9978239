"""The leaderboard in MLflow's own interface: a saved view of the table of runs.

MLflow keeps what its "Share" button saves as JSON in a tag of the experiment, and opens it when the address
names the tag. Unlike `orderByKey` in an address this also says which columns are shown (by default no
metric is). Read off the interface of MLflow 3.17; one that no longer knows the tag shows an unsorted table.
"""

import json

from search.tracking import names

TAG = "mlflow.sharedViewState."  # plus the view's key
# Says that the experiment holds training runs; without it MLflow guesses, and may open its page for agents.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


# Of the trials' tags those that a leaderboard shows, with their widths in pixels.
_TAG_COLUMNS = {
    names.RANK: 100,
    names.STATE: 110,
    names.STEP: 100,
    names.PURPOSE: 110,
    names.SCHEDULE: 520,
}


def leaderboard_view(parent_run_id: str, objective: str) -> tuple[str, str]:
    """(key, state): the trials of one search by ascending objective, replicates left out.

    Nested runs are shown flat when sorted by a metric, so the filter names the parent.
    """
    metric = f"metrics.`{objective}`"
    widths = {metric: 120, f"metrics.`{objective}_confirmed`": 170}
    widths |= {f"tags.`{tag}`": width for tag, width in _TAG_COLUMNS.items()}
    own = f"tags.`{names.PARENT_RUN}` = '{parent_run_id}'"
    state = {
        "orderByKey": metric,
        "orderByAsc": True,
        "searchFilter": f"{own} and tags.`{names.PURPOSE}` != 'confirm'",
        "selectedColumns": list(widths),
        "columnOrder": list(widths),
        "columnWidths": widths,
    }
    return f"leaderboard-{parent_run_id[:12]}", json.dumps(state)


def address(experiment_id: str, key: str) -> str:
    """Path and fragment of a saved view, with the menus for training instead of those for agents."""
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={key}&workflowType=machine_learning"
