"""What was measured, as a small JSON file of one line for each run."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.why.laws import Run
from bench.why.rule import Judged
from search.errors import InputError
from spaces import NoiseSchedule
from trainable.storage.atomic import write_atomically

RESULTS = Path(__file__).parent / "results.json"


@dataclass
class Results:
    """made: where the runs were trained, and with which code. rows: of runs, as `Measuring` gives them.

    judged: what the rule says and what the transfer table had when it was looked at.
    """

    made: list[Mapping[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Nothing where there is no file. InputError where it is something else."""
        if not path.exists():
            return cls()
        try:
            document = json.loads(path.read_bytes())
            found = [Judged(**each) for each in document["judged"]]
            return cls(list(document["made"]), [dict(row) for row in document["rows"]], found)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} holds no results of this benchmark: take it from git again") from error

    def of(self, setting: str, law: str, seed: int) -> dict[str, Any] | None:
        """The row of a run, if it is there."""
        key = (setting, law, seed)
        return next((row for row in self.rows if (row["setting"], row["law"], row["seed"]) == key), None)

    def has(self, run: Run) -> bool:
        """Whether the run is there, with the same schedule."""
        row = self.of(*run.key)
        return row is not None and NoiseSchedule.from_dict(row["schedule"]) == run.schedule

    def add(self, row: Mapping[str, Any], made: Mapping[str, Any]) -> None:
        """Keep a row, in place of one of the same run."""
        key = (row["setting"], row["law"], row["seed"])
        self.rows = [each for each in self.rows if (each["setting"], each["law"], each["seed"]) != key]
        if made not in self.made:
            self.made.append(made)
        self.rows.append({**row, "made": self.made.index(made)})

    def judge(self, found: Iterable[Judged]) -> None:
        """Take in what the transfer table has now; what it had before and lacks is kept."""
        known = {each.origin: each for each in self.judged}
        for each in found:
            before = known[each.origin].ratios if each.origin in known else {}
            known[each.origin] = replace(each, ratios={**before, **each.ratios})
        self.judged = list(known.values())

    def write(self, path: Path) -> None:
        """All of it, or the file as it was."""
        rows, found = (
            ",\n".join(json.dumps(each, separators=(",", ":"), allow_nan=False) for each in part)
            for part in (self.rows, [each.to_dict() for each in self.judged])
        )
        text = f'{{"made": {json.dumps(self.made)},\n"rows": [\n{rows}\n],\n"judged": [\n{found}\n]}}\n'
        write_atomically(path, text.encode())
