"""What a shell line starts Ray with: the environment and the options of its `ray start`."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RayStart:
    """env: variables that `ray start` sees because of this line. options: `--name` -> value ("" without one)."""

    env: Mapping[str, str]
    options: Mapping[str, str]


def ray_start_in(line: str) -> RayStart | None:
    """The `ray start` of a shell line, None if it has none. Raises ValueError for an unfinished quote.

    Knows what a start line needs: commands after ; && || |, `export A=b`, `A=b command` and `unset A`. A plain `A=b`
    sets a shell variable that no process sees, so it does not count unless it was exported before.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()")
    lexer.whitespace_split = True
    lexer.commenters = ""
    exported: dict[str, str] = {}
    for words in _commands(list(lexer)):
        own: dict[str, str] = {}
        while words and _is_assignment(words[0]):
            name, _, value = words.pop(0).partition("=")
            own[name] = value
        if not words:
            exported.update({name: value for name, value in own.items() if name in exported})
        elif words[0] == "export":
            for word in filter(_is_assignment, words[1:]):
                name, _, exported[name] = word.partition("=")
        elif words[0] == "unset":
            for name in words[1:]:
                exported.pop(name, None)
        elif words[0].rpartition("/")[2] == "ray" and words[1:2] == ["start"]:
            return RayStart({**exported, **own}, _options(words[2:]))
    return None


def _commands(words: list[str]) -> list[list[str]]:
    commands: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set(";&|()"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command]


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def _options(words: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, _, options_value = word.partition("=")
            options[name] = options_value
        elif name and not options[name]:
            options[name] = word
    return options
