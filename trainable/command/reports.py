"""What a script reports, line by line, and what of it counts: the objective at each rung.

A line is a JSON object with the counter (such as `step`) and, where the model was measured, the objective. Its other
numbers become metrics, the names in `files` artifacts.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainable.task import WORST_OBJECTIVE

FILES = "files"  # key of the names of files in a report
_MOST_FILES = 100


class ScriptFailed(RuntimeError):
    """What a script did wrong, in one line."""


@dataclass
class Reports:
    """The reports of one trial, as far as they were read.

    objective, counter: their names. rungs: increasing. taken: what counts, a report for each rung so far, with step,
    objective, time_ms and metrics. at: where the counter stands. goes_on: whether it went on after the last rung.
    """

    objective: str
    counter: str
    rungs: Sequence[int]
    taken: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    at: float = 0.0
    num_lines: int = 0
    goes_on: bool = False
    _metrics: dict[str, float] = field(default_factory=dict)
    _seen: dict[str, None] = field(default_factory=dict)
    _before: float | None = None  # the counter in the last line since the script was started

    @property
    def next_rung(self) -> int | None:
        """The first rung without a report, None: all have one."""
        return self.rungs[len(self.taken)] if len(self.taken) < len(self.rungs) else None

    def started(self) -> None:
        """The script is started, perhaps again: its counter may stand lower than before."""
        self._before = None

    def take(self, line: str, time_ms: int, *, may_go_back: bool = False) -> bool:
        """Read a line; whether it is the report of a rung. Raises ScriptFailed.

        may_go_back: of lines from before, of which it is not known where the script was started again.
        """
        self.num_lines += 1
        report = self._parsed(line)
        at = self._number(report, self.counter)
        if at is None or not 0 <= at < math.inf:
            raise ScriptFailed(
                f"report {self.num_lines} must have a number `{self.counter}` >= 0, but is {line.strip():.80}"
            )
        if self._before is not None and at < self._before and not may_go_back:
            raise ScriptFailed(
                f"its reports go back from {self.counter} {self._before:g} to {at:g}. Only a script that was started "
                "again may do that"
            )
        self.goes_on = self.goes_on or (self.next_rung is None and at > self.at)
        self._before = self.at = at
        self._seen |= dict.fromkeys(report)
        self._take_metrics(report)
        self._take_files(report)
        return self._take_rung(report, at, time_ms)

    def _parsed(self, line: str) -> Mapping[str, Any]:
        try:
            report = json.loads(line)
        except (ValueError, RecursionError):
            report = None
        if not isinstance(report, dict):
            raise ScriptFailed(f"report {self.num_lines} is no JSON object: {line.strip():.80}")
        return report

    def _number(self, report: Mapping[str, Any], key: str) -> float | None:
        value = report.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            return float(value)
        except OverflowError:
            return math.inf

    def _take_metrics(self, report: Mapping[str, Any]) -> None:
        for key in report:
            value = self._number(report, key)
            if value is not None and key != self.counter:
                self._metrics[key] = value

    def _take_files(self, report: Mapping[str, Any]) -> None:
        names = report.get(FILES, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ScriptFailed(f"`{FILES}` of report {self.num_lines} must be a list of names of files")
        self.files = list(dict.fromkeys([*self.files, *names]))[:_MOST_FILES]

    def _take_rung(self, report: Mapping[str, Any], at: float, time_ms: int) -> bool:
        rung, index = self.next_rung, len(self.taken)
        if rung is None or at < rung:
            return False
        if index + 1 < len(self.rungs) and at >= self.rungs[index + 1]:
            raise ScriptFailed(
                f"it passed over the rung at {self.counter} {rung}: no report from there to {at:g} had "
                f"`{self.objective}`. Report at {', '.join(map(str, self.rungs))}, or soon after each"
            )
        if self.objective not in report:
            return False
        self.taken.append(self._report(self._value(report), rung, time_ms))
        self._metrics = {}
        return True

    def _value(self, report: Mapping[str, Any]) -> float:
        """The objective; WORST_OBJECTIVE where it is not finite: a diverged trial is a result."""
        given = report[self.objective]
        value = math.nan if given is None else self._number(report, self.objective)
        if value is None:
            raise ScriptFailed(
                f"`{self.objective}` must be a number, but report {self.num_lines} has {given!r:.60}"
            )
        if value < 0:
            raise ScriptFailed(
                f"`{self.objective}` must be >= 0, since schedules are compared by ratios, but report "
                f"{self.num_lines} has {value:g}. Report another measure, lower is better"
            )
        return value if value < WORST_OBJECTIVE else WORST_OBJECTIVE

    def _report(self, value: float, rung: int, time_ms: int) -> dict[str, Any]:
        diverged = not value < WORST_OBJECTIVE
        metrics = {self.objective: value} if diverged else {**self._metrics, self.objective: value}
        if not diverged and self.at != rung:
            metrics[self.counter] = self.at
        return {"step": rung, "objective": value, "time_ms": time_ms, "metrics": metrics}

    @property
    def has_diverged(self) -> bool:
        return bool(self.taken) and not self.taken[-1]["objective"] < WORST_OBJECTIVE

    def check_complete(self) -> None:
        """ScriptFailed unless each rung has its report, of a script that ended well."""
        rung = self.next_rung
        if rung is None:
            return
        if not self.num_lines:
            raise ScriptFailed("it ended without a report")
        if self.objective not in self._seen:
            keys = ", ".join(key for key in self._seen if key not in (self.counter, FILES)) or "nothing else"
            raise ScriptFailed(f"none of its reports has `{self.objective}`; they have {keys:.100}")
        raise ScriptFailed(
            f"it ended at {self.counter} {self.at:g} without a report at the rung {self.counter} {rung} "
            f"of {self.rungs[-1]}"
        )
