from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from search.export import export_text
from search.export_format import ExportFormat, Levels, Rendered
from spaces import LoadedSchedule


@dataclass(frozen=True, kw_only=True)
class Json(ExportFormat):
    """The document itself, noise-schedule/1: everything, for software that reads JSON (docs/export.md)."""

    TARGET: ClassVar[str] = "spaces.load_schedule and any reader of JSON"

    def render(
        self, document: Mapping[str, Any], *, nfe: Collection[int] = (), accept_error: bool = False
    ) -> Rendered:
        rendered = super().render(document, nfe=nfe, accept_error=accept_error)
        return Rendered(**{**vars(rendered), "files": {"best_schedule.json": export_text(document)}})

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        return Rendered(files={}, calls={}, wanted=steps, used=steps, conditions=())
