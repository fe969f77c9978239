"""What the study keeps of the feature networks that measure samples."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainable.metric.assets import Assets


def facts_of(
    prepared: Mapping[str, "Assets | str"], known: Mapping[str, Any]
) -> dict[str, dict[str, str | None]]:
    """What the study keeps of the judges (`search.policy.trials.JUDGES`). known: what it keeps so far.

    The checksum of one that cannot be had now stays: what it has measured holds.
    """
    facts = dict(known)
    for name, judge in prepared.items():
        if isinstance(judge, str):
            before = known.get(name, {}).get("extractor_sha256")
            facts[name] = {"extractor_sha256": before, "problem": judge}
        else:
            facts[name] = {"extractor_sha256": judge.extractor_sha256, "problem": None}
    return facts
