"""Shows the leaderboard of a search: confirmed schedules by their mean over fresh seeds, ties, then the rest.

examples:
  python -m search leaderboard digits
  python -m search leaderboard digits --all
  python -m search leaderboard digits --json

Intervals are 95 % Student t over training seeds; differences to the best baseline are paired by seed and hold
together. Schedules that cannot be told from the best of their group share its rank. What was not confirmed stands
below, with the value seen in the search, which is partly luck. Below the table: the noise between seeds, and what
the trials that early stopping condemned, but an audit let run on, say of the stopping.
"""

import argparse
import json

HELP = "who leads, by how much, and how sure that is"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of a search, or its search file")
    parser.add_argument("--storage", metavar="DIR", default="runs", help="where searches are kept (runs)")
    parser.add_argument("--all", action="store_true", help="every trial, not only the first 12")


def run(args: argparse.Namespace) -> int:
    from search.session import board_of, find_spec, open_store

    spec = find_spec(args.name, args.storage)
    board = board_of(spec, open_store(spec).records())
    if args.json:
        print(json.dumps(board.to_dict(), indent=2, allow_nan=False))
        return 0
    from search.leaderboard import evidence_lines, lines

    rows = lines(board, limit=len(board.rows) if args.all else 12)
    print("\n".join([*rows, "", *evidence_lines(board), "", board.sentence()]))
    return 0
