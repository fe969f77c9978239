"""Reads an exported schedule back: strictly, without executing anything.

What may stand in it: `format.py` and docs/export.md.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from spaces.curriculum import CURRICULA
from spaces.document import strict_json
from spaces.document.agreement import (
    check_evidence,
    check_holds_at,
    check_measures,
    check_sampling,
    check_weighting,
    checked_stages,
)
from spaces.document.checksum import is_checked
from spaces.document.format import (
    FORMATS,
    Document,
    HoldsAtPart,
    MeasurePart,
    PairsDocument,
    SamplingPart,
    format_of,
    loss_and_weighting,
)
from spaces.grid import GRIDS
from spaces.noise_distribution import NOISE
from spaces.registry import Registry, adapter, name_of, one_line
from spaces.schedule import USUAL, NoiseSchedule
from spaces.stage import Stage
from spaces.thin_ends import thin_end

_MAX_MESSAGE = 300
_NOMINAL_STEPS = 2000  # of a bare schedule: stages have about the same shares of a training of any length


@dataclass(frozen=True, kw_only=True)
class Training:
    """What to train with. stages: those of the schedule for a budget of total_steps.

    loss, weighting: the document's words for them. huber_c: pseudo-Huber constant per square root of the
    number of values of an image; None: a loss without it. sigma_data: standard deviation that the scalings assume.
    These four are None where a script of its own was trained.
    """

    total_steps: int
    stages: tuple[Stage, ...]
    loss: str | None
    weighting: str | None
    huber_c: float | None
    sigma_data: float | None


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Noise levels to sample at. steps: number of network evaluations -> levels, decreasing from sigma_max.

    distances: mean distance on held-out noise by number of network evaluations; empty if none was measured.
    measured: how, as it stands in the document.
    """

    sigma_min: float
    sigma_max: float
    steps: Mapping[int, tuple[float, ...]]
    distances: Mapping[int, float] = field(default_factory=dict)
    measured: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class LoadedSchedule:
    """A schedule and what its document says of it; of a bare schedule, the schedule and nothing else.

    confirmed: whether its value was confirmed on fresh seeds. sampling: None in exports of version 0.1.0.
    objective, evidence, provenance: as they stand in the document. Evidence and provenance are facts for
    people: other keys may come. searched_at: in what it was searched; None in exports of version 0.2.0. holds_at: what
    was found in other settings. measures: what other measures than the objective say. checked: whether the document's
    checksum holds over all that is here; without one, as before version 0.3, only what the document says twice is
    checked: the schedule's numbers, its ends, the mean.
    """

    schedule: NoiseSchedule
    confirmed: bool | None = None
    training: Training | None = None
    sampling: Sampling | None = None
    objective: Mapping[str, Any] | None = None
    searched_at: Mapping[str, Any] | None = None
    holds_at: tuple[HoldsAtPart, ...] = ()
    measures: tuple[MeasurePart, ...] = ()
    evidence: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] | None = None
    checked: bool = False

    @property
    def sigma_data(self) -> float:
        """Standard deviation of the data that the scalings assume; EDM's 0.5 where nothing is said."""
        return (self.training.sigma_data if self.training is not None else None) or 0.5

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where, and by what, the schedule is shown to be worse than a baseline of the literature; a sentence each.

        The last says why it may be worse where it was not tried (`spaces.thin_ends`), if that is so.
        """
        baseline = (self.evidence or {}).get("baseline") or "the baseline"
        worse = (
            *(
                _where_text(part, part.baseline or baseline)
                for part in self.holds_at
                if part.verdict == "worse"
            ),
            *(_by_what_text(part, baseline) for part in self.measures if part.verdict == "worse"),
        )
        if self.training is None or self.training.sigma_data is None:
            thin = thin_end(self.schedule, _NOMINAL_STEPS)
        else:
            thin = thin_end(self.schedule, self.training.total_steps, self.training.sigma_data)
        return (*worse, *([f"It {thin}."] if thin else []))


def _where_text(part: HoldsAtPart, baseline: str) -> str:
    return f"It does not hold with {part.setting}: there its distance is {part.ratio:.3g} times that of {baseline}."


def _by_what_text(part: MeasurePart, baseline: str) -> str:
    evaluations = (
        f"{part.network_evaluations} network evaluation{'s' if part.network_evaluations > 1 else ''}"
    )
    return f"It is worse by {part.name} at {evaluations}: {_change_text(part)} {baseline}."


def _change_text(part: MeasurePart) -> str:
    if part.ratio is not None:
        return f"{part.ratio:.3g} times that of"
    return f"{part.difference:+.3g} from that of"


def load_schedule(source: str | os.PathLike[str] | Mapping[str, Any]) -> LoadedSchedule:
    """The schedule of an export: of the JSON file at a path, of its content, or of a bare `to_dict()`.

    Raises ValueError in one line for a file that cannot be read, for anything unknown, missing, of the
    wrong type or out of bounds, and where the plain numbers are not those of the schedule.
    """
    where = str(source)[-100:] if isinstance(source, str | os.PathLike) else "schedule"
    try:
        written = strict_json.load(source) if isinstance(source, str | os.PathLike) else source
        data = strict_json.plain_copy(written)
        if not isinstance(data, dict):
            raise ValueError(f"an object is needed, but got {data!r:.60}")
        if "format" in data or "training" in data:
            return _from_document(data)
        return LoadedSchedule(schedule=NoiseSchedule.from_dict(data))
    except ValidationError as error:
        message = _first_problem(error)
    except ValueError as error:
        message = str(error)
    raise ValueError(_printable(f"{where}: {message}"))


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "missing":
        return f"{'.'.join(map(str, first['loc']))} is missing"
    return one_line(error, "").lstrip(".: ")


def _printable(message: str) -> str:
    """One line, whatever was quoted in it."""
    line = "".join(letter if letter.isprintable() else " " for letter in message)
    return line if len(line) <= _MAX_MESSAGE else f"{line[: _MAX_MESSAGE - 3]}..."


def _from_document(data: dict[str, Any]) -> LoadedSchedule:
    version = data.get("format")
    if version not in FORMATS:
        raise ValueError(f"`format` must be {' or '.join(map(repr, FORMATS))}, but got {version!r:.60}")
    # Through JSON, where a strict dataclass may be written as an object.
    cls = (Document, PairsDocument)[FORMATS.index(version)]
    document: Document = adapter(cls).validate_json(adapter(Any).dump_json(data))
    schedule, training = _schedule(document), document.training
    if version != format_of(schedule):
        raise ValueError(f"`format` must be {format_of(schedule)!r} for this schedule, but got {version!r}")
    stages = checked_stages(schedule, training)
    check_weighting(schedule, training)
    if document.describe != schedule.describe():
        raise ValueError(
            f"`describe` must be the schedule's, {schedule.describe()!r:.120}, but got {document.describe!r:.60}"
        )
    check_evidence(document.confirmed, document.evidence)
    check_holds_at(document.holds_at)
    check_measures(document.measures)
    if document.sampling is not None:
        check_sampling(document.sampling, document.objective, schedule, stages)
    return LoadedSchedule(
        schedule=schedule,
        confirmed=document.confirmed,
        training=Training(
            total_steps=training.total_steps,
            stages=stages,
            loss=training.loss,
            weighting=None if training.loss is None else loss_and_weighting(schedule)[1]["name"],
            huber_c=training.huber_c_over_sqrt_d,
            sigma_data=training.sigma_data,
        ),
        sampling=None if document.sampling is None else _sampling(document.sampling, data["sampling"]),
        objective=data["objective"],
        searched_at=data.get("searched_at"),
        holds_at=tuple(document.holds_at),
        measures=tuple(document.measures),
        evidence=document.evidence,
        provenance=document.provenance,
        checked=is_checked(data),
    )


def _schedule(document: Document) -> NoiseSchedule:
    _need_plugins(document)
    try:
        schedule = NoiseSchedule.from_dict(document.schedule)
    except ValueError as error:
        part = re.match(rf"(grid|noise|curriculum|uniform_floor|{'|'.join(USUAL)})[.:]", str(error))
        raise ValueError(f"schedule{'.' if part else ': '}{error}") from None
    if schedule.noise.ADAPTIVE:
        raise ValueError(
            f"schedule.noise must have fixed probabilities, but {name_of(schedule.noise)} adapts in training: "
            "an export holds the probabilities that it had at the end"
        )
    if schedule.weight.LEARNED:
        raise ValueError(
            f"schedule.weight must be fixed, but {name_of(schedule.weight)} is learned in training: an export holds "
            "the weight that it had at the end"
        )
    return schedule


def _need_plugins(document: Document) -> None:
    """ValueError for a part that is a plugin's which this process does not have."""
    plugins = document.provenance.get("plugins")
    later = {part: registry for part, (registry, _) in USUAL.items()}
    registries: dict[str, Registry[Any]] = {"noise": NOISE, "grid": GRIDS, "curriculum": CURRICULA, **later}
    for part, registry in registries.items():
        described = document.schedule.get(part)
        name = described.get("name", "") if isinstance(described, Mapping) else ""
        if isinstance(plugins, Mapping) and plugins and name and name not in registry:
            named = ", ".join(f"{plugin} (checksum {str(sha256)[:12]})" for plugin, sha256 in plugins.items())
            raise ValueError(
                f"schedule.{part} is {name!r:.60} of a plugin that is not here: {named:.200}. Name its folder: "
                "--plugin FOLDER (in Python search.file.plugins.load_plugins), or use training.stages, whose plain "
                "numbers need no plugin"
            )


def _sampling(part: SamplingPart, data: Mapping[str, Any]) -> Sampling:
    distances = part.measured.distances if part.measured else {}
    return Sampling(
        sigma_min=part.sigma_min,
        sigma_max=part.sigma_max,
        steps={int(key): tuple(levels) for key, levels in part.steps.items()},
        distances={int(key): value for key, value in distances.items()},
        measured=data.get("measured"),
    )
