"""Another setting, as the command line gives it: `--at "network: small_unet"`."""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.file.holds import Elsewhere
    from search.file.spec import SearchSpec


def add_at(parser: argparse.ArgumentParser, text: str, **options: object) -> None:
    """The option `--at`."""
    parser.add_argument("--at", metavar="SETTING", help=text, **options)  # type: ignore[arg-type]


class Once(argparse.Action):
    """A second one is refused, where the last would count and the others be passed over."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "must be given once: give the command once for each setting")
        setattr(namespace, self.dest, values)


def with_setting(spec: "SearchSpec", text: str) -> tuple["SearchSpec", "Elsewhere"]:
    """The search with one more setting where a winner must hold, and that setting; it may be there already.

    text: as one entry of `holds_at` in a search file. InputError for one that cannot be.
    """
    from search.errors import InputError
    from search.file.spec import overridden
    from search.file.yaml12 import parse_document

    entry = parse_document(text, "--at").data
    if not isinstance(entry, dict):
        raise InputError(f"--at must be a mapping such as 'training: {{total_steps: 4x}}', but got {text!r}")
    alone = overridden(spec, {"holds_at": {"settings": [entry]}})
    return alone, alone.holds_at.settings[0]
