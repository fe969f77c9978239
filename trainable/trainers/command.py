import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainable.command.script import FILLED_IN, Script
from trainable.trial_trainer import Slice, TrialTrainer

if TYPE_CHECKING:
    from trainable.command.worker import ScriptWorker

_NEEDED = ("schedule", "seed", "folder")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_. -]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Command(TrialTrainer):
    """A script of your own, one process for each trial: docs/own-script.md has its contract.

    command: its words; {schedule}, {seed}, {folder}, {total_steps}, {rungs} and {python} are filled in. folder: of its
    code, shipped to the workers. objective: what it reports, lower is better. rungs_by: the counter in its reports, in
    which training.total_steps is given. resumes: whether it goes on from its own checkpoints. patience: seconds for
    which it may say nothing.
    """

    command: tuple[str, ...]
    folder: str
    objective: str
    rungs_by: str = "step"
    resumes: bool = True
    patience: float = 3600.0

    RUNS_ON: ClassVar[bool] = True
    PATHS: ClassVar[tuple[str, ...]] = ("folder",)

    def __post_init__(self) -> None:
        missing = [name for name in _NEEDED if not any(f"{{{name}}}" in word for word in self.command)]
        if not self.command or missing:
            named = ", ".join(f"{{{name}}}" for name in missing)
            raise ValueError(
                f"`command` must have {named} in it, which the script needs, but got {list(self.command)}"
            )
        known = {f"{{{name}}}" for name in FILLED_IN}
        for word in self.command:
            if "\0" in word:
                raise ValueError(f"`command` must be words without a zero byte, but got {word!r:.60}")
            for found in re.findall(r"\{[a-z_]+\}", word):
                if found not in known:
                    raise ValueError(f"`command` can have {', '.join(sorted(known))} in it, but got {found}")
        for option, value in (("objective", self.objective), ("rungs_by", self.rungs_by)):
            if not _NAME.fullmatch(value):
                raise ValueError(
                    f"`{option}` must be a name that MLflow takes for a metric, but got {value!r:.60}"
                )
        if self.objective == self.rungs_by:
            raise ValueError(
                f"`objective` and `rungs_by` must be two names, but got {self.objective!r} for both"
            )
        if not self.patience > 0:
            raise ValueError(f"`patience > 0` must hold, in seconds, but got patience={self.patience!r}")

    def worker(self, setting: Script, share: Slice) -> "ScriptWorker":
        from trainable.command.slice import environment_of
        from trainable.command.worker import ScriptWorker

        return ScriptWorker(setting, environment_of(share))

    def whole_pass(self, setting: Script) -> int:
        return 1
