"""Reports of trials that train nothing. They know no Ray, which must not be imported before its settings are there."""

import random
from typing import Any


def toy_reports(number: int, steps: tuple[int, ...], objective: str) -> list[dict[str, Any]]:
    """Reports of trial `number` at `steps`, shaped like those of a real trial."""
    reports = []
    for step in steps:
        value = random.Random(f"{number}/{step}").uniform(50, 150)
        metrics = {objective: value, "loss": value / 100, "train_seconds": step / 500}
        reports.append({"step": step, "objective": value, "time_ms": 1000 * step, "metrics": metrics})
    return reports
