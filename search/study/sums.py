"""What the study was told of each trial, as checksums in a file beside it: what it loses or what is changed, is seen.

A line is a fact that never changes again: `study ID`, `began NUMBER SUM`, `ended NUMBER SUM`. It is added when the
study has the fact, so a driver that is killed in between leaves the file behind, never ahead; the next driver completes
it. Nothing is synced, which would cost each trial milliseconds: what a power cut takes from its end is completed too.
"""

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import FrozenTrial

from search.errors import OperationFailed
from search.record import State, TrialRecord
from search.study.records import OPTUNA_STATE, canonical
from trainable.storage.atomic import write_atomically

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Facts:
    """What the file says. began, ended: trial number -> checksum. num_unreadable: lines that are none."""

    study_id: str | None = None
    began: Mapping[int, str] = field(default_factory=dict)
    ended: Mapping[int, str] = field(default_factory=dict)
    num_unreadable: int = 0


class Sums:
    """The file, which need not be there. path: None keeps nothing."""

    def __init__(self, path: Path | None):
        self.path = path
        self._descriptor: int | None = None

    def read(self) -> Facts:
        """All facts; of two about the same the later one holds. OperationFailed where the file cannot be read."""
        try:
            lines = self.path.read_bytes().splitlines() if self.path is not None else []
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise OperationFailed(f"{self.path} cannot be read: {error.strerror}") from error
        study_id, unreadable = None, 0
        found: dict[str, dict[int, str]] = {"began": {}, "ended": {}}
        for line in lines:
            match line.decode("ascii", "replace").split(" "):
                case ["study", text]:
                    study_id = text
                case ["began" | "ended" as what, number, text] if number.isdecimal() and len(text) == _DIGITS:
                    found[what][int(number)] = text
                case _:
                    unreadable += 1
        return Facts(study_id, found["began"], found["ended"], unreadable)

    def write(self, facts: Facts) -> None:
        """The file says exactly this."""
        if self.path is None:
            return
        self.close()
        lines = [f"study {facts.study_id}"]
        lines += [f"began {number} {text}" for number, text in sorted(facts.began.items())]
        lines += [f"ended {number} {text}" for number, text in sorted(facts.ended.items())]
        write_atomically(self.path, "".join(f"{line}\n" for line in lines).encode())

    def add(self, what: str, number: int, text: str) -> None:
        """One more fact: "began" or "ended"."""
        if self.path is None:
            return
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(self._descriptor, f"{what} {number} {text}\n".encode())
        except OSError as error:  # it is behind then
            _log.warning("%s cannot be written: %s", self.path, error.strerror)

    def close(self) -> None:
        """Nothing more is added for now."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


_DIGITS = 16


def began_sum(trial: FrozenTrial) -> str:
    """Of what a trial is: its parameters, its schedule, its seed, why it was started."""
    params = {name: _parameter(trial.params[name], of) for name, of in trial.distributions.items()}
    return _sum([params, trial.user_attrs["trial"]])


def ended_sum(record: TrialRecord, outcome: Mapping[str, Any]) -> str:
    """Of how the trial of `record` ends, with its values at the rungs. outcome: what is kept of the end."""
    state = OPTUNA_STATE[record.state]
    value = None if record.state is State.FAILED else record.objective
    curve = [[report.step, report.objective] for report in record.reports]
    return _sum([state.name, value, curve, record.condemned_at, outcome])


def ended_sum_of(trial: FrozenTrial) -> str:
    """The same of a finished trial that is read back."""
    curve = [[step, value] for step, value in sorted(trial.intermediate_values.items())]
    return _sum(
        [
            trial.state.name,
            trial.value,
            curve,
            trial.user_attrs.get("condemned_at"),
            trial.user_attrs.get("outcome"),
        ]
    )


def _parameter(value: Any, distribution: BaseDistribution) -> list[Any]:
    # Of choices, 1 and True are equal, and are not the same text.
    types = tuple(map(type, getattr(distribution, "choices", ())))
    return [float(distribution.to_internal_repr(value)), _as_json(distribution, types)]


@lru_cache(maxsize=1024)
def _as_json(distribution: BaseDistribution, types: tuple[type, ...]) -> str:
    return distribution_to_json(distribution)


def _sum(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:_DIGITS]
