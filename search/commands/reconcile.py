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
    from search.run.result import Result
    from search.run.session import find_spec, open_store
    from search.run.tracked import parent_info, projection_of
    from search.tracking import reconcile
    from search.winner.sampling import sampling_of

    spec = find_spec(args.name, args.storage)
    store = open_store(spec)
    result = Result.read(spec, store)
    records = result.records
    projection = projection_of(spec, store)
    try:
        changes = reconcile(records, projection)
        for record in records:
            measured = sampling_of(spec.trials, record.number)
            if measured is not None:
                changes += projection.sync_sampling(record, measured)
        status = result.mlflow_status(driven=is_driven(spec.folder))
        # The search's own files are written again each time, so they do not count as missing.
        changes += replace(projection.sync_parent(parent_info(spec, store, status, result)), files=0)
        projection.sync_leaderboard([row.to_dict() for row in result.board.rows])
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise OperationFailed(f"MLflow did not take it ({reason}). Try again when it answers") from error
    counts = asdict(changes)
    if args.json:
        text = json.dumps({"search": spec.name, "trials": len(records), "written": counts})
    elif changes:
        parts = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        text = f"MLflow was behind and has all {len(records)} trials of {spec.name} now. Written: {parts}."
    else:
        text = f"MLflow has all {len(records)} trials of {spec.name}. Nothing to do."
    sys.stdout.write(text + "\n")
    return 0
