"""Options that several verbs have, each with one meaning."""

import argparse
import sys

from search.errors import UsageError
from search.machine.search_folders import DEFAULT_STORAGE


def add_name(parser: argparse.ArgumentParser) -> None:
    """For every verb about one search that was started."""
    parser.add_argument("name", help="name of a search, or its search file")


def add_name_or_latest(
    parser: argparse.ArgumentParser, what: str = "name of a search, or its search file"
) -> None:
    """For every verb that looks at one search and changes nothing; see `named`."""
    parser.add_argument("name", nargs="?", help=f"{what} (default: the search that was written to last)")


def named(args: argparse.Namespace) -> str:
    """The name of the search; where none is given, that of the latest, which is said on stderr."""
    if args.name is None:
        args.name = latest(args.storage)
    name: str = args.name
    return name


def latest(storage: str | None) -> str:
    """The name of the search that was written to last, which is said on stderr. InputError if there is none."""
    from search.running.known import latest_search

    name = latest_search(storage)
    sys.stderr.write(f"note: the latest search is {name}\n")
    return name


def add_file_or_name(parser: argparse.ArgumentParser) -> None:
    """For every verb that takes a search file, new or kept with its search."""
    parser.add_argument("file", help="search file, or the name of a search that was started before")


def add_storage(parser: argparse.ArgumentParser) -> None:
    """For every verb that finds searches by their names."""
    parser.add_argument(
        "--storage",
        metavar="DIR",
        help=f"where searches are kept ({DEFAULT_STORAGE}, or where a search file says)",
    )


def add_storage_path(parser: argparse.ArgumentParser) -> None:
    """For every verb that starts a search from its file."""
    parser.add_argument("--storage", metavar="DIR", help="overrides storage.path")


def add_trials(parser: argparse.ArgumentParser) -> None:
    """For every verb that starts a search from its file and may do more or less of it."""
    parser.add_argument("--trials", type=int, metavar="N", help="overrides budget.max_trials")


def add_output(parser: argparse.ArgumentParser) -> None:
    """For every verb that runs a search to its end."""
    parser.add_argument("--output", metavar="FILE", help="also write the winner here, as `export` does")


def add_notify(parser: argparse.ArgumentParser) -> None:
    """For every verb that runs a search to its end."""
    parser.add_argument(
        "--notify",
        metavar="URL",
        help="POST how it ended there, also a failure: one JSON object with a `text`, as Slack's webhooks take it; a "
        "file that holds the address will do",
    )


def notify_of(args: argparse.Namespace) -> str | None:
    """The address of `--notify`. UsageError for what is none, or where nothing is run."""
    if args.notify is None:
        return None
    from search.machine.notice import address_in

    if getattr(args, "dry_run", False):
        raise UsageError("--notify has no effect with --dry-run: leave one out")
    return address_in(args.notify)


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """For every verb that starts a search from its file."""
    parser.add_argument(
        "--dry-run", action="store_true", help="print the resolved search and its cost, and exit"
    )


def add_ray_address(parser: argparse.ArgumentParser) -> None:
    """For every verb that runs trials."""
    parser.add_argument(
        "--address",
        metavar="RAY",
        help="on a cluster: run the trials of this process there (auto: the Ray of this machine, or HOST:PORT); "
        "http://...: leave it all to a job there, where the verb can be submitted",
    )


def add_cluster(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """For every verb that looks at searches, or starts them elsewhere."""
    parser.add_argument(
        "--address",
        metavar="URL",
        required=required,
        help="the cluster's dashboard, such as http://127.0.0.1:8265"
        + ("" if required else "; default: this machine alone"),
    )


def add_wait(parser: argparse.ArgumentParser) -> None:
    """For every verb that starts a search elsewhere."""
    parser.add_argument(
        "--wait",
        action="store_true",
        help="follow the search to its end, with its exit code (Ctrl-C leaves it running)",
    )


def add_going_on(parser: argparse.ArgumentParser) -> None:
    """For every verb that goes on with a search by its name, here or on a cluster."""
    add_storage(parser)
    add_output(parser)
    add_ray_address(parser)
    add_wait(parser)
    add_notify(parser)
