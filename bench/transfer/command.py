"""`python -m bench transfer`: records how schedules do in many settings, and writes the page on it.

nice -n 19 python -m bench transfer --minutes 60   # trains what is missing, into runs/transfer; again: goes on
python -m bench transfer --report                  # takes that into table, simulator and docs/transfer.md
"""

import argparse
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from bench.figures import heading
from bench.resumable import exit_code_of
from bench.transfer.measuring import Recorders
from bench.transfer.page import Page
from bench.transfer.recording import Folder, Row, pieces, rows_in, work
from bench.transfer.schedules import kept
from bench.transfer.settings import SEEDS, SETTINGS
from bench.transfer.table import on_all_seeds, rows_of, together, write
from search.machine.checkout import ROOT
from search.simulator.table import FEWEST_ELSEWHERE, FOLDER
from trainable.storage.atomic import write_atomically

_FOLDER = Path("runs/transfer")
_PAGE = ROOT / "docs/transfer.md"


def main(arguments: Sequence[str]) -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench transfer", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--folder", type=Path, default=_FOLDER, help=f"where curves are kept at first ({_FOLDER})"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="begin no trial after that long (until all is there); each takes minutes",
    )
    parser.add_argument(
        "--data",
        choices=sorted({setting.data for setting in SETTINGS}),
        help="only settings of this data set (all)",
    )
    parser.add_argument(
        "--report", action="store_true", help="train nothing: take the folder into the table, write the page"
    )
    parser.add_argument(
        "--anew", action="store_true", help="train what the table has already too, to compare with it"
    )
    args = parser.parse_args(arguments)
    if args.report:
        return exit_code_of(lambda: _report(args.folder, _PAGE))
    return exit_code_of(lambda: _record(args.folder, args.minutes, args.data, anew=args.anew))


def _rows(path: Path) -> dict[str, list[Row]]:
    """All that is recorded, by setting: in the table and in the folder."""
    return {
        setting.name: together(setting, rows_of(setting), rows_in(path, setting.name)) for setting in SETTINGS
    }


def _record(path: Path, minutes: float | None, data: str | None, *, anew: bool) -> None:
    began = time.monotonic()
    rows = {setting.name: rows_in(path, setting.name) for setting in SETTINGS} if anew else _rows(path)
    folder = Folder(path, rows)
    wanted = pieces([setting for setting in SETTINGS if data in (None, setting.data)], kept())
    num_missing = sum(not folder.has(piece) for piece in wanted)
    print(f"{heading()}\n{len(wanted) - num_missing} of {len(wanted)} trials are there", flush=True)
    work(
        wanted,
        folder,
        Recorders(rows),
        lambda: minutes is None or time.monotonic() - began < 60 * minutes,
        lambda text: print(f"{datetime.now():%H:%M:%S} {text}", flush=True),
    )
    folder.close()


def _report(path: Path, page: Path) -> None:
    order = kept()
    rows = _rows(path)
    for setting in SETTINGS:
        if rows[setting.name]:
            write(setting, rows[setting.name], order)
        whole = on_all_seeds(rows[setting.name])
        if len(whole) >= FEWEST_ELSEWHERE * len(SEEDS):  # enough for the simulator to play on
            write(setting, whole, order, FOLDER / setting.data)
    write_atomically(page, Page(rows, order).text().encode())
    print(f"{sum(map(len, rows.values()))} trials: {page}")
