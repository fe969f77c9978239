"""The sections of a search file: each a strict model with its defaults and the rules of its own fields."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from search.evidence.race import RaceRules
from search.file.choices import choice
from search.file.model import Section
from search.file.values import (
    checked_mlflow_uri,
    checked_nfe,
    checked_rounds,
    checked_stack,
    checked_storage,
    checked_study_url,
    device_share,
    gpu_share,
)
from trainable.extractor import Extractor


def nothing_is_defaults(value: Any) -> Any:
    """`budget:` with nothing below it means its defaults, as if it were left out."""
    return {} if value is None else value


class Objective(Section):
    """What is minimised: the Frechet distance between the features of samples and of real images."""

    # None: the one that the data set names.
    extractor: Annotated[Extractor, choice("extractor")] | None = None
    num_samples: int = Field(default=2000, ge=2, le=1_000_000)  # images per distance


class Budget(Section):
    """When the search ends: whichever comes first. Confirmation runs are not counted as trials, but as time."""

    # Presets are counted; null: as many as the time allows.
    max_trials: int | None = Field(default=24, ge=1, le=1_000_000)
    max_hours: float | None = Field(default=None, gt=0)  # wall-clock, while the search runs
    # Of slices: resources.cpu for an hour costs that much.
    max_cpu_hours: float | None = Field(default=None, gt=0)
    max_gpu_hours: float | None = Field(default=None, gt=0)

    @property
    def is_timed(self) -> bool:
        """Whether there is a limit of time."""
        return (self.max_hours, self.max_cpu_hours, self.max_gpu_hours) != (None, None, None)


class NoiseFloor(Section):
    """How the noise between seeds is measured: the first preset on fresh seeds, before anything is proposed."""

    seeds: int = Field(default=3, ge=0, le=1000)


class Confirm(Section):
    """What is retrained on fresh seeds before a winner is named: a race in rounds."""

    top: int = Field(default=4, ge=0, le=100)  # the best trials
    baselines: int = Field(default=2, ge=0, le=100)  # and the best presets besides
    rounds: Annotated[list[int], AfterValidator(checked_rounds)] = Field(default_factory=lambda: [2, 4, 8])
    max_trials: int | None = Field(default=None, ge=2, le=1_000_000)  # the race ends before it exceeds them

    @model_validator(mode="after")
    def _nothing_at_all(self) -> Self:
        if self.top == 0 and "baselines" not in self.model_fields_set:
            self.__dict__["baselines"] = 0  # `top: 0` alone means no confirmation
        return self

    @property
    def rules(self) -> RaceRules | None:
        """The race, None where nothing is confirmed."""
        if self.top == 0 and self.baselines == 0:
            return None
        return RaceRules(
            top=self.top, baselines=self.baselines, rounds=tuple(self.rounds), max_trials=self.max_trials
        )


class Sampling(Section):
    """Where sampling starts, and sampling levels that are optimised for the winner when the search is over."""

    # The noise level of every sample's first step, where training goes beyond it; None: the highest that is trained.
    sigma_start: float | None = Field(default=None, gt=0)
    # Numbers of network evaluations, none: not at all.
    nfe: Annotated[list[int], AfterValidator(checked_nfe)] = Field(default_factory=list)


class Resources(Section):
    """What one trial gets, and how many may run at once."""

    cpu: Annotated[float, BeforeValidator(device_share)] = 1.0
    gpu: Annotated[float, BeforeValidator(gpu_share)] = 0.0  # of a card: 1/n, or whole ones
    max_concurrent: int | None = Field(default=None, ge=1, le=100_000)  # None: as many as fit
    # Images that go through the network at once, None: the whole batch. Fewer need less memory and more time; the
    # training is the same up to rounding.
    micro_batch: int | None = Field(default=None, ge=1)
    # Trials that a worker trains together, each as if alone; "auto": as many as a probe finds quicker on this CPU.
    stack: Annotated[int | Literal["auto"], BeforeValidator(checked_stack)] = 1

    def trials_on(self, cpus: float, gpus: float) -> int:
        """How many trials a machine with so much has room for."""
        by_cpu = math.floor(cpus / self.cpu + 1e-6) if self.cpu else math.inf
        by_gpu = math.inf
        if 0 < self.gpu < 1:  # of each card, what is left is nobody's
            by_gpu = math.floor(gpus) * math.floor(1 / self.gpu)
        elif self.gpu:
            by_gpu = math.floor(gpus / self.gpu)
        return int(min(by_cpu, by_gpu))


class Storage(Section):
    """Where results are kept. `path`: a folder, relative to the current directory, or s3://BUCKET/PATH, gs://BUCKET/PATH
    for what the trials keep; the rest is then in the state folder of this machine. `study_url`, `mlflow_uri`: without a
    password, which PGPASSWORD or ~/.pgpass and MLFLOW_TRACKING_PASSWORD give."""

    path: Annotated[str, AfterValidator(checked_storage)] = "runs"
    study_url: Annotated[str, AfterValidator(checked_study_url)] | None = None
    mlflow_uri: Annotated[str, AfterValidator(checked_mlflow_uri)] | None = None


class Tracking(Section):
    """What MLflow gets beside what the search goes by."""

    system_metrics: bool = False  # what each trial uses of CPU, memory and GPU, looked at when it reports
