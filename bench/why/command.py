"""`python -m bench why`: trains what is missing (a quarter of a CPU-hour in all), then writes the page.

OMP_NUM_THREADS=1 nice python -m bench why   # into bench/why/results.json after each run; again: goes on
python -m bench why --report                 # trains nothing: looks at the transfer table again, writes the page
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.figures import heading, machine, versions
from bench.resumable import exit_code_of
from bench.transfer.recording import rows_in
from bench.transfer.schedules import kept
from bench.transfer.settings import SETTINGS
from bench.transfer.table import rows_of, together
from bench.why.laws import wanted
from bench.why.measuring import Measuring
from bench.why.page import Page
from bench.why.results import RESULTS, Results
from bench.why.rule import judged
from search.machine.checkout import ROOT, git_commit
from trainable.storage.atomic import write_atomically

PAGE = ROOT / "docs/why-schedules-transfer.md"
_FOLDER = Path("runs/transfer")


def main(arguments: Sequence[str]) -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench why", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--report", action="store_true", help="train nothing, write the page")
    parser.add_argument(
        "--folder", type=Path, default=_FOLDER, help=f"what is not in the transfer table yet ({_FOLDER})"
    )
    args = parser.parse_args(arguments)

    def work() -> None:
        results = Results.read(RESULTS)
        if not args.report:
            _train(results)
        _report(results, args.folder)

    return exit_code_of(work)


def _train(results: Results) -> None:
    print(heading(), flush=True)
    made = {"git_commit": git_commit(), "machine": machine(), "versions": versions()}
    measure = Measuring.here()
    missing = [run for run in wanted() if not results.has(run)]
    for count, run in enumerate(missing, start=1):
        row = measure(run)
        results.add(row, made)
        results.write(RESULTS)
        last = f"{row['frechet_TL'][-1][-1]:.4g}" if row["frechet_TL"] else "diverged"
        key = " ".join(map(str, run.key))
        print(f"{count}/{len(missing)}: {key}: {last} in {row['cpu_seconds']} CPU s", flush=True)


def _report(results: Results, folder: Path) -> None:
    rows = {
        setting.name: together(setting, rows_of(setting), rows_in(folder, setting.name))
        for setting in SETTINGS
    }
    results.judge(judged(rows, kept()))
    results.write(RESULTS)
    write_atomically(PAGE, Page(results).text().encode())
    num_missing = sum(not results.has(run) for run in wanted())
    print(f"{len(results.rows)} runs, {num_missing} missing: {PAGE}")
