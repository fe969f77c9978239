"""Finds the noise levels to sample at in 2, 3 and 4 network evaluations, and measures what they are worth.

examples:
  python -m search sampling digits
  python -m search sampling digits --nfe 2
  python -m search sampling digits --trial 17 --json

The levels are optimised on a trained model, on one seed of latents and noise; the distances shown are means
over other seeds, for the levels found and for those of the literature. By default the model is the
winner's replicate with the median confirmed value. The result is kept in that trial's folder as
sampling.json, beside what was found there before for other numbers of evaluations, and `export` takes it. Models
are kept of the best trials and of replicates on fresh seeds.
"""

import argparse
import json
import sys

from search.commands._options import add_name, add_storage

HELP = "find the noise levels to sample at in a few steps"

_MAX_NFE = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_name(parser)
    add_storage(parser)
    parser.add_argument("--trial", type=int, metavar="N", help="sample from this trial's model")
    parser.add_argument(
        "--nfe", metavar="LIST", default="2,3,4", help="numbers of network evaluations (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    from search.errors import InputError
    from search.machine.cache_folder import usable_cache
    from search.running.search import Search
    from search.running.tracked import track_sampling
    from search.winner.measured_sampling import measure
    from search.winner.sampling import lines, trial_to_measure
    from trainable.metric.assets import prepare
    from trainable.trial import device_of

    num_levels = _numbers(args.nfe)
    search = Search.open(args.name, args.storage)
    spec = search.spec
    if spec.script is not None:
        raise InputError(
            f"search {search.name!r} has no model of ours to sample from: a script trains it. Its export has the "
            "schedule, and levels are chosen in its own code"
        )
    found = search.result()
    record = trial_to_measure(found.records, found.board.winner, args.trial, search.name)
    setting = spec.own_setting
    with usable_cache() as cache:
        assets = prepare(setting.data, setting.extractor, cache, device_of(spec.resources.gpu))
    search.check_measured_with(assets)
    measured, path = measure(
        spec, record, assets, num_levels, on_progress=lambda line: print(line, file=sys.stderr, flush=True)
    )
    behind = track_sampling(search, record)
    if behind:
        sys.stderr.write(f"warning: {behind}\n")
    if args.json:
        print(json.dumps({"trial": record.number, "file": str(path), **measured}, indent=2, allow_nan=False))
        return 0
    whose = "" if record.replicate_of is None else f", a replicate of trial {record.replicate_of}"
    print(
        f"{search.name}: model of trial {record.number}{whose}; {measured['num_samples']} samples, means over "
        f"{len(measured['held_out_seeds'])} held-out seeds, lower is better"
    )
    print("\n".join([*lines(measured), f"Written: {path}"]))
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    from search.errors import UsageError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 3 and 2 <= int(part) <= _MAX_NFE for part in parts):
        raise UsageError(f"`--nfe` is numbers from 2 to {_MAX_NFE}, like 2,3,4, but got {text!r}")
    return tuple(sorted({int(part) for part in parts}))
