"""`start`: from which weights every trial starts, where those are not random."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from search.file.holds import SettingSpec
from search.file.model import Section
from search.file.paths import CODE, placed_path
from search.machine.cache_folder import cache_folder
from spaces import SearchSpace
from spaces.checks import MAX_TOTAL_STEPS
from trainable.start.weights import DiffusionStart, Start, weights_for


def _placed(path: str, info: ValidationInfo) -> str:
    """Relative to the search file; where it is not there, the copy that the search has kept."""
    folder = (info.context or {}).get("folder")
    found = placed_path(path, folder)
    kept = None if folder is None else folder / CODE / found.name
    return str(kept if kept is not None and kept.exists() and not found.exists() else found)


class DiffusionModel(Section):
    """Trained once for each seed, with the network, the data and the options of the trials."""

    steps: int = Field(ge=1, le=MAX_TOTAL_STEPS)


class StartSection(Section):
    """One of the two: a diffusion model that is trained first, or a file of weights."""

    diffusion: DiffusionModel | None = None
    checkpoint: Annotated[str, AfterValidator(_placed)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.diffusion is None) == (self.checkpoint is None):
            raise ValueError(
                "must have one of `diffusion` with its `steps`, `checkpoint` with a file of weights"
            )
        return self

    def of(self, setting: SettingSpec, image_shape: tuple[int, int, int]) -> Start:
        """What the trials in a setting start from. ValueError for weights of another network."""
        if self.diffusion is not None:
            return DiffusionStart(steps=self.diffusion.steps)
        assert self.checkpoint is not None
        return weights_for(self.checkpoint, setting.network, image_shape)

    def problem(self, settings: Sequence[SettingSpec]) -> str | None:
        """What is wrong with the file of weights, for one of the settings."""
        if self.checkpoint is None:
            return None
        for setting in settings:
            try:
                self.of(setting, setting.data.glance(cache_folder()).image_shape)
            except ValueError as error:
                return str(error) if not setting.name else f"with {setting.name}: {error}"
        return None

    def resolved(self) -> dict[str, Any]:
        """As a search file has it."""
        if self.diffusion is not None:
            return {"diffusion": {"steps": self.diffusion.steps}}
        return {"checkpoint": self.checkpoint}

    @property
    def named(self) -> dict[str, Any]:
        """The same, of a file its name alone: where it lies says nothing."""
        return self.resolved() if self.checkpoint is None else {"checkpoint": Path(self.checkpoint).name}


def broken(start: StartSection | None, space: SearchSpace, *, is_script: bool) -> str | None:
    """Why a start has no meaning in the search."""
    if start is None:
        return None
    if is_script:
        return "has no meaning where a script trains (trainer.name=command), which has its own. Leave it out"
    if start.diffusion is not None and space.denoises:
        return "has no meaning with the loss denoising, which trains such a model itself. Leave it out"
    return None
