"""How good the schedules are that different searches export, at equal compute, on recorded learning curves.

    nice -n 15 python -m bench.quality.search_quality searches/digits.yaml --workers 2

Every contender is a whole search through the real conductor (`search/simulator/`), played many times at several
numbers of trials. They differ in the algorithm, the stopping rule, and whether the winner is confirmed on fresh seeds
or given out for the value seen. What the file does for other settings, `holds_at` and `space.ends`, is left out. Writes
docs/search-quality.md with its plot, and all results as JSON beside them; `--render` makes the page anew from those. An
interrupted run goes on where it stopped.

A search file with a gap, a weight or a loss in its space (`bench/quality/digits_recipe.yaml`) is played with fewer
contenders; its results stand in a file of their own, and are a section of the page.
"""

import argparse
import hashlib
import itertools
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.arguments import whole_number
from bench.figures import heading
from bench.quality.quality_page import (
    INTERVALS,
    STOCK,
    STOCK_HALVING,
    STOCK_LATE,
    YARDSTICK,
    Cell,
    page,
    plot,
    qualities,
)
from bench.quality.stock_search import StockTPE, best_observed
from search.algorithm import Algorithm
from search.errors import EXIT_INPUT
from search.evidence.leaderboard import Leaderboard
from search.file.spec import SearchSpec, load_spec, overridden
from search.machine.checkout import git_commit
from search.simulator.quality import Exported, exported, repeat_search
from search.simulator.replay import Curves
from search.simulator.table import FOLDER, CurveTable, check_recorded, read_table, table_path
from spaces import PRESETS
from spaces.registry import name_of
from trainable.storage.atomic import write_atomically

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ALGORITHMS = ("random", "tpe", "same_rung_tpe", "density_gp")
OF_RECIPES = ("random", "tpe", "same_rung_tpe", "cmaes", "density_gp")
RESULTS, RECIPE_RESULTS = "search-quality.json", "search-quality-recipe.json"
# Ray's rungs are the budget divided by powers of the reduction factor, the first its `grace_period`: (rungs, factor).
RAYS_RUNGS = {STOCK: ((0.25,), 4.0), STOCK_HALVING: ((0.125, 0.25, 0.5), 2.0), STOCK_LATE: ((0.5,), 2.0)}
TRIALS = (10, 20, 40, 60, 80)
MORE_TRIALS = {YARDSTICK: (160, 320)}  # what it takes others to be as good
CONCURRENT = 2


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A search to compare. changes: to the search file. algorithm: one that no search file can name."""

    label: str
    changes: Mapping[str, Any]
    algorithm: Algorithm | None = None
    export: Callable[[Leaderboard], Exported] = exported

    def spec(self, spec: SearchSpec, trials: int) -> SearchSpec:
        """Its search file, at a number of trials."""
        changed = overridden(spec, {**self.changes, "budget.max_trials": trials})
        return changed if self.algorithm is None else changed.model_copy(update={"algorithm": self.algorithm})


def contenders(spec: SearchSpec) -> list[Contender]:
    """All of them, of a file that is `alone`. Where nothing else is said, rungs and confirmation are its."""
    plain: dict[str, Any] = {"confirm": {"top": 0}, "audit": 0.0}
    no_floor = {"noise_floor": {"seeds": 0}}
    if spec.space.unusual:
        by_asha: dict[str, Any] = {"stopping": {"name": "asha", "rungs": spec.stopping.rungs}}
        return [
            Contender(
                label=f"{algorithm}, asha{told}", changes={"algorithm": algorithm, **by_asha, **changes}
            )
            for algorithm in OF_RECIPES
            for told, changes in (("", {**plain, **no_floor}), (", confirmed", {}))
        ]

    def rule(name: str, **options: Any) -> dict[str, Any]:
        return {"name": name} if name == "none" else {"name": name, "rungs": spec.stopping.rungs, **options}

    found = [
        Contender(
            label=label,
            changes={**plain, **no_floor, "stopping": rule("asha", rungs=rungs, reduction_factor=factor)},
            algorithm=StockTPE(),
            export=best_observed,
        )
        for label, (rungs, factor) in RAYS_RUNGS.items()
    ]
    for algorithm in ALGORITHMS:
        for name in ("none", "asha", "asha_margin"):
            changes = {
                "algorithm": algorithm,
                "stopping": rule(name),
                **({"audit": 0.0} if name == "none" else {}),
            }
            # The margin is the measured noise: its floor stays.
            floor = {} if name == "asha_margin" else no_floor
            label = f"{algorithm}, {name}"
            found.append(Contender(label=label, changes={**changes, **plain, **floor}))
            found.append(Contender(label=f"{label}, confirmed", changes=changes))
    others = {
        "asha at 0.25 and 0.5, confirmed": {"stopping": rule("asha", rungs=[0.25, 0.5])},
        "asha at 0.5 and 0.75, confirmed": {"stopping": rule("asha", rungs=[0.5, 0.75])},
        "asha by quarters, confirmed": {"stopping": rule("asha", reduction_factor=4.0)},
        "asha, long race": {"confirm": {"top": 4, "baselines": 2, "rounds": [2, 4, 8]}},
        "asha, short race": {"confirm": {"top": 2, "baselines": 1, "rounds": [2, 4]}},
    }
    asha = {"algorithm": "density_gp", "stopping": rule("asha")}
    return [
        *found,
        *(
            Contender(label=f"density_gp, {text}", changes={**asha, **changes})
            for text, changes in others.items()
        ),
        Contender(label="density_gp, asha, best mean of the race", changes=asha, export=best_mean),
    ]


def alone(spec: SearchSpec) -> SearchSpec:
    """Without what a search does for other settings: the curves are of its own, where the best often fail elsewhere."""
    return overridden(spec, {"holds_at": {}, "space": replace(spec.space, ends=None)})


def best_mean(board: Leaderboard) -> Exported:
    """The best confirmed mean, where the product takes the simplest of those that are tied with it."""
    if not board.best:
        return exported(board)
    return Exported(board.best[0], board.baseline, claims=board.best[0].is_better)


# Playing


class Player:
    """Plays one cell at a time."""

    def __init__(self, spec: SearchSpec, table: Path, repeats: int):
        self._spec, self._repeats = spec, repeats
        self._curves = Curves(read_table(table))

    def __call__(self, contender: Contender, trials: int) -> Cell:
        spec = contender.spec(self._spec, trials)
        began = time.process_time()
        found = list(repeat_search(spec, self._curves, range(self._repeats), CONCURRENT, contender.export))
        return Cell(
            contender.label,
            trials,
            [round(one.compute, 4) for one in found],
            [round(one.regret, 5) for one in found],
            sum(one.claims for one in found),
            sum(one.false for one in found),
            round(time.process_time() - began, 1),
        )


_player: Player  # of this process of the pool


def _start(*arguments: Any) -> None:
    global _player
    _player = Player(*arguments)


def _play(cell: tuple[Contender, int]) -> Cell:
    return _player(*cell)


def play(
    spec: SearchSpec, table: Path, repeats: int, workers: int, skip: Container[tuple[str, int]]
) -> Iterator[Cell]:
    """Every contender at every number of trials but those to skip, the longest first, as they get done."""
    cells = [
        (contender, trials)
        for trials in sorted({*TRIALS, *itertools.chain(*MORE_TRIALS.values())}, reverse=True)
        for contender in contenders(spec)
        if trials in (*TRIALS, *MORE_TRIALS.get(contender.label, ()))
        and (contender.label, trials) not in skip
    ]
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _start, (spec, table, repeats)) as pool:
        yield from pool.imap_unordered(_play, cells)


class Kept:
    """Cells that an interrupted run has played, in a file that the next run goes on with.

    identity: of what is played. Cells of anything else are thrown away.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]):
        self.path = path
        head = json.dumps({"identity": identity}, sort_keys=True)
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines[1:] if line.endswith("\n")] if lines[:1] == [head + "\n"] else []
        write_atomically(path, "".join([head, "\n", *whole]).encode())
        self.cells = [Cell(**json.loads(line)) for line in whole]

    def add(self, cell: Cell) -> None:
        """Keep one more."""
        self.cells.append(cell)
        with self.path.open("a") as file:
            file.write(json.dumps(vars(cell)) + "\n")


def default_label(spec: SearchSpec) -> str:
    """The contender that the search file itself is."""
    own = overridden(spec, {"budget.max_trials": TRIALS[-1]}).resolved()
    for contender in contenders(spec):
        if contender.algorithm is None and contender.spec(spec, TRIALS[-1]).resolved() == own:
            return contender.label
    raise ValueError(
        f"search file: its algorithm {own['algorithm']} with stopping {own['stopping']} is none of the contenders: "
        "add it to `contenders` in bench/quality/search_quality.py"
    )


def main(arguments: Sequence[str]) -> int:
    """Play, compare, write."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.quality.search_quality", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("file", help="search file")
    parser.add_argument(
        "--repeats", type=whole_number, default=50, help="of every contender at every number of trials (50)"
    )
    parser.add_argument("--workers", type=whole_number, default=1, help="processes (1)")
    parser.add_argument("--curves", type=Path, help="a table of curves (the one shipped for the data)")
    parser.add_argument("--output", type=Path, default=DOCS, help="folder of what is written (docs)")
    parser.add_argument(
        "--render", action="store_true", help="play nothing: make page and plot of the results there"
    )
    args = parser.parse_args(arguments)
    output = args.output
    try:
        spec = alone(load_spec(args.file))
        if not args.render:
            path = args.curves or table_path(spec)
            check_recorded(read_table(path), spec, spec.stopping.steps(spec.training.total_steps))
            results = output / (RECIPE_RESULTS if spec.space.unusual else RESULTS)
            document = {"file": args.file, "curves": path.name}
            document |= _played(spec, path, read_table(path), args.repeats, args.workers, results)
            write_atomically(results, _text_of(document).encode())
            results.with_suffix(".partial").unlink()
        text = _write_page(output, spec, args.curves)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_INPUT
    print(text)
    return 0


def _write_page(output: Path, spec: SearchSpec, curves: Path | None) -> str:
    """The page and its plot, of the results in the folder. curves: a table instead of the one shipped for `spec`."""
    document = json.loads((output / RESULTS).read_bytes())
    data, is_recipe = name_of(spec.data), bool(spec.space.unusual)
    table = read_table(FOLDER / f"{data}.json" if is_recipe or curves is None else curves)
    recipe = None
    if (output / RECIPE_RESULTS).exists():
        other = json.loads((output / RECIPE_RESULTS).read_bytes())
        recipe = other, read_table(curves if is_recipe and curves else FOLDER / other["curves"])
    text = page(document, table, recipe)
    write_atomically(output / "search-quality.md", text.encode())
    plot(output / "search-quality.png", qualities(document), document["default"])
    return text


def _text_of(document: Mapping[str, Any]) -> str:
    """JSON with a line for each cell."""
    rest = {key: value for key, value in document.items() if key != "cells"}
    cells = ",\n".join(json.dumps(cell) for cell in document["cells"])
    return f'{json.dumps(rest, indent=1)[:-2]},\n "cells": [\n{cells}\n ]\n}}\n'


def _played(
    spec: SearchSpec, path: Path, table: CurveTable, repeats: int, workers: int, results: Path
) -> dict[str, Any]:
    default = default_label(spec)
    commit = git_commit()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    identity = {"search": spec.resolved(), "curves": sha256, "repeats": repeats, "git_commit": commit}
    kept = Kept(results.with_suffix(".partial"), identity)
    skip = {(cell.label, cell.trials) for cell in kept.cells}
    for cell in play(spec, path, repeats, workers, skip):
        kept.add(cell)
        print(
            f"{len(kept.cells)}: {cell.label}, {cell.trials} trials, {cell.cpu_seconds:.0f} CPU s", flush=True
        )
    order = [contender.label for contender in contenders(spec)]
    cells = sorted(kept.cells, key=lambda cell: (order.index(cell.label), cell.trials))
    curves = Curves(table)
    document = {
        "about": {
            "heading": heading().splitlines()[:3],
            "git_commit": commit,
            "repeats": repeats,
            "intervals": INTERVALS,
        },
        "default": default,
        "best": curves.best,
        "preset": spec.presets[0],
        "best_preset": min(curves.true_value(PRESETS[name].schedule) for name in spec.presets),
        "cells": [vars(cell) for cell in cells],
    }
    return document


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
