"""Checks a plugin: does each choice in a folder of your own keep what ours keep?

examples:
  python -m search check ./mine
  python -m search check ./mine ./ours --json

A plugin is a folder with folders like ours in it: mine/noise/weibull.py, mine/data/stripes.py (docs/plugins.md). A
search takes it with `plugins: [./mine]`. The promises are those that our own choices are tested for. Exit code 1 where
one is not kept.
"""

import argparse
import json
from dataclasses import asdict, dataclass

from search.errors import EXIT_FAILED, EXIT_OK

HELP = "does a folder of your own choices keep what ours keep?"


@dataclass(frozen=True)
class _Checked:
    """One choice. promises: how many there are; broken: of these, each in one line."""

    kind: str
    name: str
    promises: int
    broken: list[str]

    def lines(self) -> list[str]:
        kept = f"ok    {self.kind} {self.name}: {self.promises} promises kept"
        return [f"fail  {self.kind} {self.name}: {line}" for line in self.broken] or [kept]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="of a plugin")


def run(args: argparse.Namespace) -> int:
    from search.contracts import promises_of
    from search.file.plugins import load_plugins

    plugins = load_plugins(*args.folders)
    checked = []
    for plugin in plugins:
        for kind, name in plugin.choices():
            promises = promises_of(kind)
            broken = [line for promise in promises if (line := promise(name)) is not None]
            checked.append(_Checked(kind, name, len(promises), broken))
            if not args.json:
                print("\n".join(checked[-1].lines()), flush=True)
    failed = sum(bool(each.broken) for each in checked)
    code = EXIT_FAILED if failed else EXIT_OK
    if args.json:
        sums = {plugin.name: plugin.sha256 for plugin in plugins}
        choices = [asdict(each) for each in checked]
        print(
            json.dumps({"ok": not failed, "exit_code": code, "plugins": sums, "choices": choices}, indent=2)
        )
    else:
        print(f"{len(checked)} choices: {failed} with a promise that is not kept")
    return code
