"""Fills in what MLflow lacks of a search: missing runs, values, tags and files, from the study and the checkpoints.

examples:
  python -m search reconcile digits

Needed after MLflow was unreachable at the end of a run, or after runs were deleted there. It changes
nothing else and may be repeated; a second time it finds nothing to do.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace

from search.commands._options import add_name, add_storage

HELP = "fill in what MLflow lacks of a search"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    add_storage(parser)


def run(args: argparse.Namespace) -> int:
    from search.errors import OperationFailed
    from search.machine.driver import is_driven
    from search.running.search import Search
    from search.running.tracked import models_of, parent_info, projection_of
    from search.tracking import reconcile
    from search.winner.sampling import sampling_of

    search = Search.open(args.name, args.storage)
    result = search.result()
    records = result.records
    projection = projection_of(search)
    try:
        changes = reconcile(records, projection)
        for record in records:
            measured = sampling_of(search.trial_storage, record.number)
            if measured is not None:
                changes += projection.sync_sampling(record, measured)
        status = result.mlflow_status(driven=is_driven(search.folder))
        # The search's own files are written again each time, so they do not count as missing.
        changes += replace(projection.sync_parent(parent_info(search, status, result)), files=0)
        for record, make in models_of(search, result):
            changes += projection.sync_model(record, make)
        projection.sync_leaderboard([row.to_dict() for row in result.board.rows], result.conclusion)
    except OperationFailed:  # which says itself what to do
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise OperationFailed(f"MLflow did not take it ({reason}). Try again when it answers") from error
    counts = asdict(changes)
    if args.json:
        text = json.dumps({"search": search.name, "trials": len(records), "written": counts})
    elif changes:
        parts = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        text = f"MLflow was behind and has all {len(records)} trials of {search.name} now. Written: {parts}."
    else:
        text = f"MLflow has all {len(records)} trials of {search.name}. Nothing to do."
    sys.stdout.write(text + "\n")
    return 0
