from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from search.errors import InputError
from search.export_format import ExportFormat, Levels, Rendered
from search.winner.document import export_text
from spaces import LoadedSchedule
from spaces.document.strict_json import MAX_BYTES


@dataclass(frozen=True, kw_only=True)
class Json(ExportFormat):
    """The document itself, noise-schedule/1 or /2: everything, for software that reads JSON (docs/export.md)."""

    DENOISES: ClassVar[bool] = True
    TARGET: ClassVar[str] = "spaces.load_schedule and any reader of JSON"

    def render(
        self, document: Mapping[str, Any], *, nfe: Collection[int] = (), accept_error: bool = False
    ) -> Rendered:
        rendered = super().render(document, nfe=nfe, accept_error=accept_error)
        return replace(rendered, files=document_file(document))

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        return Rendered(files={}, calls={}, wanted=steps, used=steps, conditions=())


def document_file(document: Mapping[str, Any]) -> dict[str, str]:
    """The document as a file: name -> text. InputError where it is larger than what is read back."""
    text = export_text(document)
    if len(text) > MAX_BYTES:
        raise InputError(
            f"the document would have {len(text)} bytes, and no more than {MAX_BYTES} are read back: the "
            "curriculum changes its number of levels too often"
        )
    return {"best_schedule.json": text}
