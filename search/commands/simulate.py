"""Plays a search through on recorded learning curves, many times, and says how good what it exports is.

examples:
  python -m search simulate searches/digits.yaml
  python -m search simulate searches/digits.yaml --algorithm random --stopping none --repeats 50
  python -m search simulate searches/digits.yaml --trials 10 20 40 80 --json
  python -m search simulate searches/digits.yaml --repeats 1 --page played.html

The conductor, the algorithm, the stopping rule and the confirmation are those of a real search; only the training is
replaced by the curves of the nearest recorded schedule. Regret: mean over all recorded seeds of the schedule that
the search exports, minus that of the best schedule recorded. Compute: steps trained, in budgets of one trial.
Interquartile means over the repeats, with 95 % bootstrap intervals. The settings of `holds_at` are played too, where
curves of 60 schedules and more were recorded in them (docs/transfer.md).
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.commands._options import add_file_or_name, add_storage

if TYPE_CHECKING:
    from search.file.spec import SearchSpec
    from search.simulator.quality import Repeat
    from search.simulator.replay import Curves

HELP = "how good is what this search would export? on recorded curves"

# As many as the two cores that the curves were recorded on; the result should not depend on this machine.
_CONCURRENT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file_or_name(parser)
    parser.add_argument("--algorithm", metavar="NAME", help="another algorithm, at its default options")
    parser.add_argument("--stopping", metavar="NAME", help="another stopping rule, at its default options")
    parser.add_argument("--repeats", type=int, default=50, metavar="N", help="searches played (50)")
    parser.add_argument(
        "--trials", type=int, nargs="+", metavar="N", help="overrides budget.max_trials; one row for each"
    )
    parser.add_argument(
        "--concurrent",
        type=int,
        metavar="N",
        help=f"trials at a time (resources.max_concurrent, or {_CONCURRENT})",
    )
    parser.add_argument("--curves", metavar="FILE", help="a table of curves (the one shipped for the data)")
    parser.add_argument(
        "--page", metavar="FILE", help="the page of the first search played, one for each of --trials"
    )
    add_storage(parser)


def run(args: argparse.Namespace) -> int:
    from search.errors import InputError
    from search.file.spec import overridden
    from search.machine.output import check_file
    from search.running.search import Search
    from search.simulator.quality import repeat_search
    from search.simulator.replay import Curves
    from search.simulator.table import check_recorded, read_table, table_path, tables_elsewhere
    from spaces.registry import name_of

    if not 1 <= args.repeats <= 100_000:
        raise InputError(f"`1 <= --repeats <= 100000` must hold, but got {args.repeats}")
    spec = Search.open(args.file, args.storage).spec
    if spec.script is not None:
        raise InputError(
            f"search {spec.name!r} cannot be simulated: curves are recorded of our own training, not of a script"
        )
    given = {
        "algorithm": args.algorithm,
        "stopping": args.stopping,
        "resources.max_concurrent": args.concurrent,
    }
    own = {"algorithm": name_of(spec.algorithm), "stopping": name_of(spec.stopping)}
    # What the file names already keeps the file's options.
    changes = {
        field: value for field, value in given.items() if value is not None and value != own.get(field)
    }
    spec = overridden(spec, changes)
    budgets = args.trials or [spec.budget.max_trials]
    specs = [overridden(spec, {"budget.max_trials": trials}) for trials in budgets]
    if args.page is not None:
        check_file(Path(args.page), "--page")
    table = read_table(Path(args.curves) if args.curves else table_path(spec))
    check_recorded(table, spec, spec.stopping.steps(spec.training.total_steps))
    curves = Curves(table)
    elsewhere = {name: Curves(there) for name, there in tables_elsewhere(spec).items()}
    if args.page is not None:
        _write_page(specs, curves, elsewhere, Path(args.page))
    rows = []
    for one in specs:
        max_concurrent = one.resources.max_concurrent or _CONCURRENT
        found = repeat_search(one, curves, range(args.repeats), max_concurrent, elsewhere=elsewhere)
        rows.append(_row(one.budget.max_trials, list(found)))
    resolved = spec.resolved()
    result = {
        "name": spec.name,
        "algorithm": resolved["algorithm"],
        "stopping": resolved["stopping"],
        "confirm": resolved["confirm"],
        "repeats": args.repeats,
        "schedules": len(table.schedules),
        "best_true_value": curves.best,
        "elsewhere": {name: len(there.table.schedules) for name, there in elsewhere.items()},
        "left_out": [setting.name for setting in spec.settings if setting.name not in elsewhere],
        "statistic": "interquartile mean with 95 % percentile bootstrap interval over repeats",
        "rows": rows,
    }
    print(json.dumps(result, indent=2, allow_nan=False) if args.json else "\n".join(_lines(result)))
    return 0


def _write_page(
    specs: "Sequence[SearchSpec]", curves: "Curves", elsewhere: "Mapping[str, Curves]", path: Path
) -> None:
    from search.machine.output import write_file
    from search.running.page import page_text
    from search.running.reported import simulated
    from search.simulator.quality import played

    searches = [
        played(one, curves, 0, one.resources.max_concurrent or _CONCURRENT, elsewhere) for one in specs
    ]
    found = [simulated(spec, search.records) for spec, search in searches]
    write_file(path, page_text(found).encode())


def _row(max_trials: int | None, found: "list[Repeat]") -> dict[str, Any]:
    from search.simulator.quality import interval

    best = found[0].true_value - found[0].regret
    values = {
        "compute": [one.compute for one in found],
        "hours": [one.seconds / 3600 for one in found],
        "true_value": [one.true_value for one in found],
        "regret": [one.regret for one in found],
        "relative_regret": [one.regret / best for one in found],
    }
    return {
        "max_trials": max_trials,
        **{name: vars(interval(of_repeats)) for name, of_repeats in values.items()},
        "claims": sum(one.claims for one in found),
        "false_claims": sum(one.false for one in found),
        "elsewhere": {
            name: vars(interval([one.elsewhere[name] for one in found])) for name in found[0].elsewhere
        },
        "holds": sum(one.holds for one in found),
    }


def _lines(result: dict[str, Any]) -> list[str]:
    lines = [
        f"{result['name']}: {result['algorithm']['name']}, {result['stopping']['name']}, "
        f"{result['repeats']} searches on {result['schedules']} recorded schedules, "
        f"the best worth {result['best_true_value']:.2f}",
        f"{'trials':>6} {'compute':>20} {'regret':>20} {'relative':>18}  claims, false",
    ]
    for row in result["rows"]:
        relative = [f"{100 * row['relative_regret'][key]:.0f}" for key in ("mean", "low", "high")]
        lines.append(
            f"{row['max_trials'] or '-':>6} {_text(row['compute'], 1):>20} {_text(row['regret'], 2):>20} "
            f"{f'{relative[0]} [{relative[1]}, {relative[2]}] %':>18}  {row['claims']}, {row['false_claims']}"
        )
        lines += [
            f"{'':>6} with {name}, over the best baseline there: {_text(ratio, 2)}"
            for name, ratio in row["elsewhere"].items()
        ]
        if row["elsewhere"]:
            lines.append(f"{'':>6} claims that hold in all of these: {row['holds']}")
    return [
        *lines,
        *(f"No curves were recorded with {name}: it is left out." for name in result["left_out"]),
        "",
        "compute: steps trained, confirmation included, in budgets of one trial. regret: true mean of the exported",
        "schedule minus the best one's. Interquartile mean [95 % bootstrap]. claims: searches that call their",
        "schedule better than the best baseline; false: it is not.",
    ]


def _text(value: dict[str, float], digits: int) -> str:
    return f"{value['mean']:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"
