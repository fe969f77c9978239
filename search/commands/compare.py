"""Compares literature presets under one budget: each is trained on the same seeds, nothing is searched.

examples:
  python -m search compare searches/digits.yaml --presets all --seeds 3
  python -m search compare searches/fashion_mnist.yaml --presets ict,ict_short,hang_gu_laplace --seeds 8
  python -m search compare searches/digits.yaml --presets ict,best_schedule.json --at "network: small_unet"

Data, network, training and objective are those of the search file, but for what --at says. The comparison is a search
of its own, called after it with "-compare", that can be interrupted, gone on with and looked at like any other. More
--seeds later add to those that are there. Others are compared to the preset ict, where it is among them: ratios are
paired by seed, and their 95 % intervals hold together.
"""

import argparse
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from search.commands._options import add_dry_run, add_notify, add_output, add_ray_address, add_storage_path
from search.commands._running import RunOptions, carry_out, dry_run
from search.commands._settings import Once, add_at, with_setting

if TYPE_CHECKING:
    from search.file.spec import SearchSpec
    from search.running.search import Search

HELP = "train literature presets on the same seeds and compare them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="search file")
    presets = "names with commas between, or all; a .json file is a schedule of your own"
    parser.add_argument("--presets", metavar="LIST", default="all", help=presets)
    add_at(
        parser, "compare them in another setting, as one entry of `holds_at` in a search file", action=Once
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", default=3, help="training seeds for each (%(default)s)"
    )
    parser.add_argument("--name", help="of the comparison; default: the search's with -compare")
    add_storage_path(parser)
    parser.add_argument(
        "--table", metavar="FILE", help="also write the table here, as Markdown with the sources"
    )
    add_output(parser)
    add_dry_run(parser)
    add_ray_address(parser)
    add_notify(parser)


def run(args: argparse.Namespace) -> int:
    from search.errors import EXIT_OK, InputError
    from search.file.spec import overridden
    from search.machine.output import check_file
    from search.running.search import Search

    if not 3 <= args.seeds <= 1001:
        raise InputError(f"`3 <= --seeds <= 1001` must hold, but got {args.seeds}: fewer tell nothing")
    spec = Search.open(args.file, args.storage).spec
    presets = _all(spec) if args.presets == "all" else list(map(_preset, args.presets.split(",")))
    changes: dict[str, object] = {
        "name": args.name or _name(spec.name, args.at or ""),
        "presets": presets,
        "budget": {"max_trials": len(presets)},
        # The preset's own trial is its first seed.
        "confirm": {"top": 0, "baselines": len(presets), "rounds": [args.seeds - 1]},
        "noise_floor": {"seeds": 0},
        "audit": 0.0,
        "holds_at": {},
        "measures": {"judges": []},  # nothing is called better than a baseline
    }
    if args.storage is not None:
        changes["storage.path"] = args.storage
    if args.at:
        comparable = {"presets": presets, "confirm": {"top": 1, "baselines": 1}}  # what `holds_at` asks for
        changes |= _setting(overridden(spec, comparable), args.at)
    comparison = Search(overridden(spec, changes))
    options = RunOptions.of(args)
    if args.table is not None:
        check_file(Path(args.table), "--table")
        if args.output is not None and os.path.realpath(args.table) == os.path.realpath(args.output):
            raise InputError(f"--table and --output are both {args.table}: give each a file of its own")
    if args.dry_run:
        return dry_run(comparison.spec, on_cluster=args.address is not None, as_json=args.json)
    if _is_there_on_fewer_seeds(comparison):
        comparison = comparison.amended({})
    code = carry_out(comparison, options)
    if code == EXIT_OK and args.table is not None:
        _write_table(comparison, Path(args.table))
    return code


def _name(search: str, setting: str) -> str:
    """Of a comparison that was given none. The end of one that is too long is told from others by its digest."""
    from search.file.messages import LONGEST_NAME

    name = "-".join([search, "compare", *re.findall(r"[A-Za-z0-9_.]+", setting)])
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - len(digest) - 1]}-{digest}"


def _all(spec: "SearchSpec") -> list[object]:
    """Every preset that is sampled as the search's schedules are: consistency models, or diffusion models."""
    from spaces import PRESETS

    wanted = spec.space.denoises
    return [name for name, preset in PRESETS.items() if wanted == preset.schedule.loss.DENOISES]


def _preset(text: str) -> object:
    """A preset's name, or a schedule of one's own from a file."""
    return {"name": Path(text).stem, "file": text} if text.endswith(".json") else text


def _setting(spec: "SearchSpec", text: str) -> dict[str, object]:
    """What `--at` changes of the search."""
    alone = with_setting(spec, text)[0]
    if spec.script is not None:
        (of_script,) = alone.script_settings
        return {"trainer": of_script.trainer, "training": of_script.training}
    (setting,) = alone.settings
    objective = spec.objective.model_copy(update={"extractor": setting.extractor})
    return {
        "data": setting.data,
        "network": setting.network,
        "training": setting.training,
        "objective": objective,
    }


def _is_there_on_fewer_seeds(comparison: "Search") -> bool:
    """Whether this very comparison was started with fewer seeds."""
    from search.file.identity import changed_fields
    from search.running.known import SPEC_FILE

    if not (comparison.folder / SPEC_FILE).exists():
        return False
    before = comparison.header["identity"]
    changed = changed_fields(before, comparison.spec.fingerprint_fields())
    return changed == ["confirm.rounds"] and before["confirm"]["rounds"] < comparison.spec.confirm.rounds


def _write_table(comparison: "Search", path: Path) -> None:
    from search.machine.output import write_file
    from search.screen.comparison import markdown

    write_file(path, markdown(comparison.board()).encode())
