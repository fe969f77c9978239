"""What a driver and a worker say to each other about a trial: plain data."""

from dataclasses import dataclass
from typing import Any

# Diverged trials get this objective: finite, so that stopping rules and samplers can compare it
# (Ray's `nan < cutoff` is False), and worse than any real Frechet distance.
WORST_OBJECTIVE = 1e9


NO_STORAGE = "no storage"


OUT_OF_MEMORY = "oom"  # an outcome, and the first word of a failed trial's reason


FOUND_FILE = "found_schedule.json"


SAMPLES_FILE = "samples.png"


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """What the driver sends to a worker: plain data.

    rungs: steps at which to measure and report, increasing, the last is the full budget K.
    folder: location (`trainable/storage/open.py`) of the trial's checkpoints and sample grid, keyed by its number.
    micro_batch: images that go through the network at once, None: the whole batch.
    search_location, mark: location of the search's trials, and the name of a file that its driver has put there; None:
    it is not     looked for.
    """

    number: int
    schedule: dict[str, Any]
    seed: int
    rungs: tuple[int, ...]
    folder: str
    micro_batch: int | None = None
    search_location: str | None = None
    mark: str | None = None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a worker answers: all reports so far (a driver that missed some finds them here).

    outcome: None while the trial can go on, else "complete", "diverged", "failed" with its reason; "oom" where the
    GPU's memory was not enough; NO_STORAGE with the reason where the trial is not over, but no trial can go on.
    smaller_micro_batch: for "oom", what to try instead; None: there is nothing.
    found_schedule: of an adaptive trial, the schedule with fixed probabilities that it had come to at the last
    report, as `NoiseSchedule.to_dict` gives it; None for static schedules and before the first report.
    """

    number: int
    step: int
    reports: list[dict[str, Any]]
    outcome: str | None = None
    reason: str | None = None
    found_schedule: dict[str, Any] | None = None
    smaller_micro_batch: int | None = None
