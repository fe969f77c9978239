"""What a start from a diffusion model is worth: distances on the way, with it and without, and the noise between seeds.

    python -m bench.quality.start_gain searches/digits.yaml --presets ict,ect,cmt --start 2000 --seeds 6

Each preset is trained on the same seeds from random weights and from a diffusion model of the same network, which is
trained once for each seed and is not counted in the steps of a trial.
"""

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.arguments import whole_number
from bench.figures import machine, ratios, table
from search.errors import EXIT_INPUT
from search.file.spec import SearchSpec, load_spec
from search.machine.cache_folder import cache_folder
from spaces import PRESETS
from trainable.metric.assets import prepare
from trainable.setting import Setting
from trainable.start.weights import DiffusionStart
from trainable.task import WORST_OBJECTIVE, TrialTask
from trainable.trial import TrialWorker

_PARTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the budget, at which is measured

Curve = Mapping[int, float]


def rungs_of(total_steps: int) -> tuple[int, ...]:
    """Steps at which the distance is measured."""
    return tuple(sorted({max(1, round(part * total_steps)) for part in _PARTS}))


def curve(
    worker: TrialWorker, preset: str, seed: int, rungs: tuple[int, ...], folder: str, place: str
) -> Curve:
    """The distance at each rung of one trial; place: where its search keeps what its trials start from."""
    task = TrialTask(
        number=seed,
        schedule=PRESETS[preset].schedule.to_dict(),
        seed=seed,
        rungs=rungs,
        folder=folder,
        search_location=place,
    )
    worker.begin(task)
    while (progress := worker.advance()).outcome is None:
        pass
    found = {report["step"]: report["objective"] for report in progress.reports}
    return {rung: found.get(rung, WORST_OBJECTIVE) for rung in rungs}


def row_of(rung: int, plain: Sequence[Curve], started: Sequence[Curve]) -> list[str]:
    """Both geometric means, their ratio seed by seed, and the standard deviation of both logarithms."""
    logs = [[math.log(each[rung]) for each in curves] for curves in (plain, started)]
    means = [math.exp(statistics.fmean(log)) for log in logs]
    noise = [statistics.stdev(log) for log in logs]
    change = ratios([each[rung] for each in started], [each[rung] for each in plain])
    return [str(rung), *(f"{mean:.3g}" for mean in means), change.text(), *(f"{sd:.2f}" for sd in noise)]


def measured(spec: SearchSpec, presets: Sequence[str], steps: int, seeds: int) -> None:
    """Train and print a table for each preset."""
    own = spec.own_setting
    assets = prepare(own.data, own.extractor, cache_folder())
    setting = Setting(assets, own.network, own.training, spec.objective.num_samples)
    workers = (TrialWorker(setting), TrialWorker(replace(setting, start=DiffusionStart(steps=steps))))
    rungs = rungs_of(own.training.total_steps)
    print(f"{machine()}; diffusion models of {steps} steps, {seeds} seeds, {assets.objective}")
    with tempfile.TemporaryDirectory(prefix="start-") as place:
        for preset in presets:
            curves = [
                [
                    curve(worker, preset, seed, rungs, f"{place}/{preset}-{arm}-{seed}", place)
                    for seed in range(seeds)
                ]
                for arm, worker in enumerate(workers)
            ]
            head = ["step", "random weights", "start", "ratio [least, most]", "sd of ln", "with start"]
            print(f"\n{preset}\n{table(head, [row_of(rung, *curves) for rung in rungs])}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.start_gain", description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--presets", default="ict,ect,cmt")
    parser.add_argument(
        "--start", type=whole_number, default=2000, help="steps of the diffusion models (%(default)s)"
    )
    parser.add_argument("--seeds", type=whole_number, default=6)
    args = parser.parse_args(arguments)
    try:
        measured(load_spec(args.file), args.presets.split(","), args.start, args.seeds)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
