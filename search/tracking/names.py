"""Names and values that MLflow accepts, and the tags by which runs are found again."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# What MLflow 3 accepts as the name of a metric, parameter or tag on every backend; it also refuses paths
# that are not normalised ("a//b", "../a").
_NAME = re.compile(r"[\w./: -]{1,250}", re.ASCII)
_MAX_PARAM = 6000  # characters of a parameter's value
_MAX_TAG = 5000  # characters of a tag's value, the lowest limit of the backends

# Tags of our runs. MLflow reserves "mlflow."; these two of its own are the published way to nest and to name.
PARENT_RUN = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
ROLE = "search.role"  # "parent" or "trial"
STUDY = "search.study"  # identity of the study, so that two searches of one name are never mixed
NAME = "search.name"
TRIAL = "search.trial"  # the Optuna trial number
PURPOSE = "search.stage"  # the word of the first version
STATE = "search.state"
STEP = "search.step"  # optimizer steps done at the last report: the rung of a stopped trial
PRESET = "search.preset"
REPLICATE_OF = "search.replicate_of"
SETTING = "search.setting"
SCHEDULE = "search.schedule"  # one line for tables
REASON = "search.reason"
MICRO_BATCH = "search.micro_batch"  # images at once, in the second try of a trial that ran out of GPU memory
CONDEMNED_AT = "search.condemned_at"
LEFT_OUT = "search.left_out"  # measurements that MLflow cannot hold
RANK = "search.rank"  # "1 tied"
MEAN = "search.mean"  # over fresh seeds, with its interval
AGAINST = "search.vs_baseline"
SEEN = "search.seen"  # the objective at the last report, with few digits
MODEL = "search.model"  # address of the trained network, for `mlflow.pytorch.load_model`
PLACE = "place"  # metric: the order of the leaderboard
BEST_TRIAL = "search.best_trial"


def is_metric_name(name: str) -> bool:
    """Whether every MLflow backend stores a metric (parameter, tag) of this name."""
    parts = name.split("/")
    return _NAME.fullmatch(name) is not None and not any(part in ("", ".", "..") for part in parts)


def check_metric_name(name: str) -> str:
    """`name` itself; ValueError if MLflow would refuse it as the name of a metric."""
    if not is_metric_name(name):
        raise ValueError(
            f"A metric name has 1 to 250 of the characters A-Z a-z 0-9 _ - . / : and space, but got {name!r}"
        )
    return name


def param_text(value: Any) -> str:
    """`value` as an MLflow parameter: floats with all their digits, cut at MLflow's limit."""
    text = repr(value) if isinstance(value, float) else str(value)
    return text if len(text) <= _MAX_PARAM else text[: _MAX_PARAM - 3] + "..."


def tag_text(value: Any) -> str:
    """`value` as an MLflow tag, cut at MLflow's limit."""
    text = str(value)
    return text if len(text) <= _MAX_TAG else text[: _MAX_TAG - 3] + "..."


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested plain data as MLflow parameters: {"noise": {"mu": -1.5}} gives {"noise.mu": "-1.5"}.

    Lists of plain values become one parameter, lists of mappings one per item. A character that MLflow
    refuses in a name becomes "_".
    """
    flat: dict[str, str] = {}
    for key, value in data.items():
        name = prefix + re.sub(r"[^\w. -]", "_", str(key), flags=re.ASCII)
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        elif isinstance(value, Sequence) and any(isinstance(item, Mapping) for item in value):
            flat |= flatten({str(i): item for i, item in enumerate(value)}, f"{name}.")
        else:
            flat[name[:250]] = param_text(value)
    return flat
