from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from search.errors import InputError
from search.export_format import ExportFormat, Levels, Rendered
from search.exports._karras_index import BOUNDS, GRID_POINTS, KarrasIndex
from spaces import LoadedSchedule


@dataclass(frozen=True, kw_only=True)
class OpenAI(ExportFormat):
    """Flags of image_sample.py in openai/consistency_models: `--sampler multistep --steps N --ts ...`.

    grid_points: --steps. `--ts` are positions in a Karras grid of so many points, rho 7; the last one is its end, where
    no network evaluation is made.
    """

    grid_points: int = GRID_POINTS

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = BOUNDS
    TARGET: ClassVar[str] = (
        "openai/consistency_models at commit e32b69e: read, not run; diffusers visits the same levels at the same "
        "positions in tests/conformance"
    )
    REMEDY: ClassVar[str] = f"Raise --grid-points (--steps there; default {GRID_POINTS})"

    def derive(self, loaded: LoadedSchedule, steps: Mapping[int, Levels]) -> Rendered:
        sigma_data = loaded.sigma_data
        if sigma_data != 0.5:
            raise InputError(
                f"openai-cm has sigma_data=0.5 fixed in its code, but this schedule was found with {sigma_data:g}: "
                "export to another format"
            )
        grid = loaded.schedule.grid
        sigma_max = next(iter(steps.values()))[0]  # where sampling starts
        index = KarrasIndex(grid.sigma_min, sigma_max, self.grid_points)
        positions = {n: index.indices(levels) for n, levels in steps.items()}
        flags = {
            n: f"--training_mode consistency_training --sampler multistep --steps {self.grid_points} "
            f"--ts {','.join(map(str, [*ks, self.grid_points - 1]))} "
            f"--sigma_min {grid.sigma_min!r} --sigma_max {sigma_max!r} --clip_denoised False"
            for n, ks in positions.items()
        }
        return Rendered(
            files={f"flags_nfe{n}.txt": f"{text}\n" for n, text in flags.items()},
            calls={n: f"python image_sample.py {text} ..." for n, text in flags.items()},
            wanted=steps,
            used={n: tuple(index.sigma(k) for k in ks) for n, ks in positions.items()},
            conditions=(
                "--training_mode has `consistency` in it: only then c_skip and c_out are those of consistency models",
                "sigma_data is 0.5 and rho 7: both are fixed in its code",
                "the network takes t = 250 ln(sigma), 1000 times the ln(sigma)/4 that it is trained with here",
                "--clip_denoised is False: else each denoised image is cut to [-1, 1]; the final ones always are",
            ),
        )
