"""What a driver and a worker say to each other about a trial: plain data, and the names of a trial's files."""

from dataclasses import dataclass
from typing import Any

# Diverged trials get this objective: finite, so that stopping rules and samplers can compare it
# (Ray's `nan < cutoff` is False), and worse than any real Frechet distance.
WORST_OBJECTIVE = 1e9

OWN = ""  # the setting of the search itself, beside which there are those of `holds_at`

# Outcomes of a trial besides "complete", "diverged" and "failed".
OUT_OF_MEMORY = "oom"  # also the first word of a failed trial's reason
NO_STORAGE = "no storage"

# Files in a trial's folder beside its checkpoints: a grid of samples; of an adaptive trial, the schedule with fixed
# probabilities that it had come to at its last report; the sampling levels that were measured with its model.
SAMPLES_FILE, FOUND_FILE, SAMPLING_FILE = "samples.png", "found_schedule.json", "sampling.json"

# Files in the folder of a trial that a script trains: its schedule, what it reports, its output; what was read so far.
SCHEDULE_FILE, REPORTS_FILE, OUTPUT_FILE, READ_FILE = (
    "schedule.json",
    "reports.jsonl",
    "output.log",
    "read.json",
)


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """What the driver sends to a worker.

    rungs: steps at which to measure and report, increasing, the last is the full budget K.
    folder: location (`trainable/storage/location.py`) of the trial's checkpoints and files, keyed by its number.
    micro_batch: images that go through the network at once, None: the whole batch.
    setting: name of what it is trained in (`trainable/setting.py`), of those that the worker was given.
    search_location, mark: location of the search's trials, and the name of a file that its driver has put there; None:
    nobody looks for it.
    """

    number: int
    schedule: dict[str, Any]
    seed: int
    rungs: tuple[int, ...]
    folder: str
    micro_batch: int | None = None
    setting: str = OWN
    search_location: str | None = None
    mark: str | None = None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a worker answers: all reports so far (a driver that missed some finds them here).

    outcome: None while the trial can go on, else "complete", "diverged", "failed" with its reason; OUT_OF_MEMORY where
    the GPU's memory was not enough; NO_STORAGE with the reason where the trial is not over, but no trial can go on.
    smaller_micro_batch: for OUT_OF_MEMORY, what to try instead; None: there is nothing.
    notes: what the user should know, in one line each; told once.
    """

    number: int
    step: int
    reports: list[dict[str, Any]]
    outcome: str | None = None
    reason: str | None = None
    smaller_micro_batch: int | None = None
    notes: tuple[str, ...] = ()
