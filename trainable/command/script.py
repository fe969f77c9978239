"""The script that trains trials, as a search file names it. What runs it, `worker.py`, is imported where it is run."""

from dataclasses import dataclass

FILLED_IN = ("schedule", "seed", "folder", "total_steps", "rungs", "python")


@dataclass(frozen=True, kw_only=True)
class Script:
    """What the trials of one setting share.

    command: its words, with {schedule} and the like. code: the folder to run it in; code_sha256: of its files.
    objective, counter: names in its reports. resumes: whether it goes on where it was interrupted. patience_seconds:
    how long it may say nothing.
    """

    command: tuple[str, ...]
    code: str
    code_sha256: str
    objective: str
    counter: str
    resumes: bool
    patience_seconds: float
