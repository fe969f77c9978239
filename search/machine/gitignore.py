"""Which files a `.gitignore` names, by git's rules (gitignore(5)), whether git is installed or not."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One line of a `.gitignore`. matches: the path below the file's folder, without a slash at the end."""

    matches: re.Pattern[str]
    includes_again: bool
    folders_only: bool


def rules_of(lines: Iterable[str]) -> list[Rule]:
    """The rules of the lines, in their order; later ones win."""
    return [*_rules(lines)]


def _rules(lines: Iterable[str]) -> Iterator[Rule]:
    for line in lines:
        text = re.sub(r"(?<!\\)\s+$", "", line.rstrip("\n"))
        if not text or text.startswith("#"):
            continue
        includes_again = text.startswith("!")
        text = text.removeprefix("!")
        folders_only = text.endswith("/")
        text = text.rstrip("/")
        # A slash at the beginning or inside ties a pattern to the folder of its file.
        anywhere = "" if "/" in text else "(?:.*/)?"
        with suppress(re.error):  # such as [z-a], which matches nothing
            yield Rule(re.compile(anywhere + _regex(text.removeprefix("/"))), includes_again, folders_only)


_TOKEN = re.compile(
    r"(?P<folders>\*\*/)|(?P<all>/\*\*$)|(?P<some>\*+)|(?P<one>\?)|\\(?P<plain>.)|(?P<set>\[!?\]?[^\]]*\])|.",
    re.DOTALL,
)
_MEANING = {"folders": "(?:.*/)?", "all": "/.*", "some": "[^/]*", "one": "[^/]"}


def _regex(pattern: str) -> str:
    """The pattern of a shell as a regular expression."""
    return _TOKEN.sub(_meaning, pattern)


def _meaning(token: re.Match[str]) -> str:
    if token["set"]:
        inner = token["set"][1:-1].replace("\\", "\\\\")
        return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return _MEANING.get(token.lastgroup or "", re.escape(token["plain"] or token[0]))


def is_ignored(path: str, is_folder: bool, rules: Sequence[tuple[str, Sequence[Rule]]]) -> bool:
    """Whether the last rule that matches ignores it.

    rules: with the folder of their file, "" or "a/b/"; outermost first.
    """
    for folder, own in reversed(rules):
        if not path.startswith(folder):
            continue
        for rule in reversed(own):
            if (is_folder or not rule.folders_only) and rule.matches.fullmatch(path[len(folder) :]):
                return not rule.includes_again
    return False
