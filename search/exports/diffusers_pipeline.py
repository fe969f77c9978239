import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from search.errors import InputError
from search.export_format import Levels, Rendered
from search.exports._karras_index import GRID_POINTS
from search.exports.diffusers import VERSION, Diffusers
from spaces import LoadedSchedule


@dataclass(frozen=True, kw_only=True)
class DiffusersPipeline(Diffusers):
    """The winner's trained model, for diffusers' ConsistencyModelPipeline.from_pretrained; of network diffusers_unet.

    grid_points: num_train_timesteps.
    """

    grid_points: int = GRID_POINTS

    TARGET: ClassVar[str] = f"diffusers {VERSION}, loaded and sampled with in tests/conformance"
    NEEDS_MODEL: ClassVar[bool] = True

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        rendered = super().derive(loaded, steps)
        index = {
            "_class_name": "ConsistencyModelPipeline",
            "_diffusers_version": VERSION,
            "scheduler": ["diffusers", "CMStochasticIterativeScheduler"],
            "unet": ["diffusers", "UNet2DModel"],
        }
        scheduler = rendered.files["scheduler_config.json"]
        return replace(
            rendered,
            files={
                "model_index.json": json.dumps(index, indent=2) + "\n",
                "scheduler/scheduler_config.json": scheduler,
                "call_arguments.json": rendered.files["call_arguments.json"],
            },
            conditions=(
                "the pipeline is loaded from this folder: ConsistencyModelPipeline.from_pretrained(FOLDER)",
                "it takes `latents` of RGB images only; for others it draws its noise itself, by `generator`",
                *(text for text in rendered.conditions if not text.startswith("the network takes")),
            ),
        )

    def model_files(self, module: Any) -> dict[str, bytes]:
        """The averaged weights of a trained model: unet/config.json, unet/diffusion_pytorch_model.safetensors."""
        if not hasattr(module, "unet"):
            raise InputError(
                "--format diffusers-pipeline writes a UNet2DModel, and this search's network is another one. Search "
                "with `network: diffusers_unet`, or take the levels alone with --format diffusers"
            )
        # A copy: the weights of a trainer are views of one tensor, which would all be written.
        unet = type(module.unet).from_config(module.unet.config)
        unet.load_state_dict(module.unet.state_dict())
        with tempfile.TemporaryDirectory() as folder:
            unet.save_pretrained(folder)
            return {f"unet/{path.name}": path.read_bytes() for path in Path(folder).iterdir()}
