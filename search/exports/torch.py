from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from search.errors import InputError
from search.export_format import ExportFormat, Levels, Rendered
from search.exports.json import document_file
from spaces import LoadedSchedule

_SAMPLER = Path(__file__).with_name("_schedule_sampler.py")


@dataclass(frozen=True, kw_only=True)
class Torch(ExportFormat):
    """`schedule_sampler.py`, which draws the levels of each training step and needs torch alone, and the document."""

    DENOISES: ClassVar[bool] = True
    TARGET: ClassVar[str] = "a training loop in torch; drawn from in tests/search/test_schedule_sampler.py"
    HAS_TRAINING: ClassVar[bool] = True

    def render(
        self, document: Mapping[str, Any], *, nfe: Collection[int] = (), accept_error: bool = False
    ) -> Rendered:
        rendered = super().render(document, nfe=nfe, accept_error=accept_error)
        return replace(rendered, files={**document_file(document), **rendered.files})

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        training = loaded.training
        if training is None:
            raise InputError("--format torch needs the stages of an export, which a schedule alone has not")
        if training.loss is None:
            loss = "the loss of a pair of levels is that of the script which was searched with"
        else:
            denoises = loaded.schedule.loss.DENOISES
            what = "whose noise is to go" if denoises else "of student and teacher on the same noise"
            constant = f", c = {training.huber_c:g} sqrt(values of an image)" if training.huber_c else ""
            loss = f"the loss of an image, {what}, is weight times {loaded.schedule.loss.TEXT}{constant}"
        return Rendered(
            files={"schedule_sampler.py": _SAMPLER.read_text()},
            calls={
                n: 's = ScheduleSampler.load("best_schedule.json"); t, r, weight = s.draw(batch_size, step), and then '
                f"s.sampling_levels[{n}]"
                for n in steps
            },
            wanted=steps,
            used=steps,
            conditions=(
                loss,
                "`step` counts the training's optimiser steps from 0; of a training of another length it is scaled, as "
                "the file says",
                "a denoiser takes `draw_sigma` instead, with a weight of its own: that of `draw` is for pairs",
            ),
        )
