"""What an export format is: the form in which other software takes the noise levels of a schedule.

A new format is one file in `search/exports/`: a frozen dataclass on `ExportFormat` that derives the target's own
form and says which levels the target will really use. See `search/exports/k_diffusion.py`. Its fields are options of
the verb `export`, explained there by what the docstring says of them: see `search/exports/diffusers.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from search.errors import InputError
from spaces import LoadedSchedule, load_schedule
from spaces.choice import Choice
from spaces.registry import Registry, name_of, summary_of
from spaces.sparkline import with_density

MAX_RELATIVE_ERROR = 0.01
README = "README.txt"

Levels = tuple[float, ...]  # decreasing, from sigma_max, without a trailing zero


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """An export in the target's own form. Keys of the mappings are numbers of network evaluations.

    files: name -> text. calls: how the levels are used, in the target's own language. wanted: the document's
    levels; used: those that the target will really use, by its own arithmetic. left_out: why a number of
    evaluations cannot be had there. conditions: what must hold for it to mean the same there. warnings: of the
    schedule, `LoadedSchedule.warnings`.
    """

    files: Mapping[str, str]
    calls: Mapping[int, str]
    wanted: Mapping[int, Levels]
    used: Mapping[int, Levels]
    conditions: tuple[str, ...]
    left_out: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def relative_errors(self) -> dict[int, float]:
        """The largest |used - wanted| / wanted, by number of network evaluations."""
        return {
            n: max(abs(u - w) / w for u, w in zip(used, self.wanted[n], strict=True))
            for n, used in self.used.items()
        }


@dataclass(frozen=True, kw_only=True)
class ExportFormat(Choice, ABC):
    """One target.

    TARGET: the software, its version and how it was checked. REMEDY: what to do where the error is too large.
    NEEDS_MODEL: whether the winner's trained model is a part of it. HAS_TRAINING: whether all of the training is.
    DENOISES: whether it can be that of a diffusion model (the loss denoising) too.
    """

    TARGET: ClassVar[str]
    REMEDY: ClassVar[str] = ""
    NEEDS_MODEL: ClassVar[bool] = False
    HAS_TRAINING: ClassVar[bool] = False
    DENOISES: ClassVar[bool] = False

    @abstractmethod
    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        """The target's form of `steps`: number of network evaluations -> levels.

        Raises InputError for a schedule that the target cannot take.
        """

    def render(
        self, document: Mapping[str, Any], *, nfe: Collection[int] = (), accept_error: bool = False
    ) -> Rendered:
        """The export of a document, `noise-schedule/1` or `/2`. nfe: which numbers of network evaluations; none: all.

        Raises ValueError for a document that is not one, InputError for what the target cannot do, and where
        it would use levels that are more than 1 % off, unless accept_error.
        """
        return self.rendered(load_schedule(document), nfe=nfe, accept_error=accept_error)

    def rendered(
        self, loaded: LoadedSchedule, *, nfe: Collection[int] = (), accept_error: bool = False
    ) -> Rendered:
        """What `render` makes of the document that was loaded, without what it copies from it."""
        if loaded.schedule.loss.DENOISES and not self.DENOISES:
            others = ", ".join(name.replace("_", "-") for name, cls in FORMATS.items() if cls.DENOISES)
            raise InputError(
                f"{self.title} samples from a consistency model, and this schedule trains a diffusion model "
                f"(loss denoising). Take one of {others}"
            )
        rendered = self.derive(loaded, _steps(loaded, nfe))
        if not rendered.used:
            reasons = "; ".join(f"{n}: {reason}" for n, reason in rendered.left_out.items())
            raise InputError(
                f"{self.title} has no such number of network evaluations ({reasons}). {self.REMEDY}"
            )
        errors = rendered.relative_errors
        worst = max(errors, key=lambda n: errors[n])
        if errors[worst] > MAX_RELATIVE_ERROR and not accept_error:
            raise InputError(
                f"{self.title} would use other levels, up to {errors[worst]:.1%} off with {worst} network "
                f"evaluations, where {MAX_RELATIVE_ERROR:.0%} is allowed. {self.REMEDY}. "
                "Or take it as it is with --accept-error"
            )
        readme = _readme(self, loaded, rendered)
        return replace(rendered, files={**rendered.files, README: readme}, warnings=loaded.warnings)

    def model_files(self, module: Any) -> dict[str, bytes]:
        """What NEEDS_MODEL adds to the files, from the winner's network with its averaged weights."""
        return {}

    @property
    def title(self) -> str:
        """The name as the command line writes it."""
        return name_of(self).replace("_", "-")


def _steps(loaded: LoadedSchedule, nfe: Collection[int]) -> dict[int, Levels]:
    """The document's levels for these numbers of network evaluations."""
    sampling = loaded.sampling
    schedule = loaded.schedule
    usual = {schedule.loss.num_evaluations: schedule.sampled_at}
    have = usual if sampling is None else dict(sampling.steps)
    missing = sorted(set(nfe) - set(have))
    if missing:
        raise InputError(
            f"there are no levels for {', '.join(map(str, missing))} network evaluations, only for "
            f"{', '.join(map(str, have))}. Find them first: python -m search sampling NAME"
        )
    return {n: have[n] for n in sorted(nfe or have)}


def _readme(target: ExportFormat, loaded: LoadedSchedule, rendered: Rendered) -> str:
    confirmed = "confirmed on fresh seeds" if loaded.confirmed else "NOT confirmed on fresh seeds"
    lines = [
        f"{target.title}: {summary_of(type(target))}",
        f"Target: {target.TARGET}",
        f"Schedule ({confirmed}), with its density over ln sigma:",
        f"  {with_density(loaded.schedule)}",
        *loaded.warnings,
    ]
    if not loaded.checked:
        lines.append(
            "The document has no checksum: how it was confirmed and measured is as it stands there, unchecked."
        )
    errors = rendered.relative_errors
    for n, call in rendered.calls.items():
        used = ", ".join(f"{sigma:.6g}" for sigma in rendered.used[n])
        wanted = ", ".join(f"{sigma:.6g}" for sigma in rendered.wanted[n])
        lines += [
            "",
            f"{n} network evaluation{'s' if n > 1 else ''}: {call}",
            f"  levels {wanted}",
            f"  used   {used} (largest relative error {errors[n]:.2g})",
        ]
    for n, reason in rendered.left_out.items():
        lines += ["", f"{n} network evaluation{'s' if n > 1 else ''}: not possible, {reason}"]
    lines += ["", "It means the same there if", *(f"- {condition}" for condition in rendered.conditions)]
    if loaded.schedule.unusual and not target.HAS_TRAINING:
        parts = ", ".join(f"{part} {choice.describe()}" for part, choice in loaded.schedule.unusual.items())
        lines += ["", f"Not in these files, but in best_schedule.json: {parts}"]
    start = (loaded.searched_at or {}).get("start")
    if start:
        lines += ["", f"It was found for trainings that start from other weights than random ones: {start}"]
    return "\n".join(lines) + "\n"


FORMATS: Registry[ExportFormat] = Registry("search.exports", ExportFormat, "export format")  # type: ignore[type-abstract]
