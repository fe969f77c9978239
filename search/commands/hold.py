"""Shows where the finding of a search holds: in another network, at more steps, on other data.

examples:
  python -m search hold digits --at "training: {total_steps: 4x}"
  python -m search hold digits --at "network: {name: unet, channels: [16, 32]}" --at "data: fashion_mnist"

The best trials of the confirmation and the best preset are trained there on fresh seeds, and a few others besides. A
search does it by itself where its file has `holds_at`; this is for later. It is done whatever the budget of time that
the search had.
"""

import argparse
from typing import TYPE_CHECKING

from search.commands import _cluster
from search.commands._options import add_going_on, add_name
from search.commands._running import RunOptions, carry_out
from search.commands._settings import add_at, with_setting

if TYPE_CHECKING:
    from search.running.search import Search

HELP = "show where the finding of a search holds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    text = "what is other than in the search, as one entry of `holds_at` in a search file; may be repeated"
    add_at(parser, text, action="append", required=True)
    parser.add_argument("--top", type=int, metavar="K", help="how many of the best confirmed trials")
    parser.add_argument("--seeds", type=int, metavar="N", help="fresh seeds where fewer do not decide")
    add_going_on(parser)


def run(args: argparse.Namespace) -> int:
    from search.errors import InputError
    from search.machine.urls import is_jobs_address
    from search.running.search import Search

    if args.seeds is not None and not 2 <= args.seeds <= 1000:
        raise InputError(f"`2 <= --seeds <= 1000` must hold, but got {args.seeds}")
    if args.top is not None and not 1 <= args.top <= 100:
        raise InputError(f"`1 <= --top <= 100` must hold, but got {args.top}")
    if is_jobs_address(args.address):
        return _cluster.resubmit(args, "hold", _cluster.given(args, "at", "top", "seeds"))
    _cluster.refuse_wait(args)
    search = Search.open(args.name, args.storage)
    _check_can_compare(search)
    return carry_out(search.amended(_changes(search, args)), RunOptions.of(args))


def _check_can_compare(search: "Search") -> None:
    """Raise InputError for a finished search of which nothing could be compared elsewhere."""
    from search.errors import InputError
    from search.record import Purpose

    result = search.result()
    confirmed = {row.record.purpose for row in result.board.rows if row.confirmed}
    if result.finished and not {Purpose.SEARCH, Purpose.BASELINE} <= confirmed:
        raise InputError(
            f"search {search.name!r} has nothing to compare in another setting: no proposal, or no preset, is "
            f"confirmed. Go on with it first: {search.command('extend')} --trials N"
        )


def _changes(search: "Search", args: argparse.Namespace) -> dict[str, object]:
    """The section `holds_at` with what the command line adds; a setting that is there already is not added."""
    holds_at = search.spec.holds_at
    settings = list(holds_at.settings)
    for text in args.at:
        _, setting = with_setting(search.spec, text)
        if setting not in settings:
            settings.append(setting)
    changes: dict[str, object] = {"settings": settings}
    if args.top is not None:
        changes["top"] = args.top
    if args.seeds is not None:
        changes["rounds"] = [n for n in holds_at.rounds if n < args.seeds] + [args.seeds]
    return {"holds_at": holds_at.model_copy(update=changes)}
