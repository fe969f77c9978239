"""What shell lines run, as far as it is certain: their commands, and what each `ray start` sees and is told."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Not a shell: what is not understood is refused (ValueError), so that a rule never passes what it did not read.
_SUBSTITUTION = r"\$\((?:[^()]|\([^()]*\))*\)"
_PART = rf"""'[^']*'|"(?:[^"\\]|\\.)*"|\\.|{_SUBSTITUTION}|[<>]&|&>|[^\s;&|()'"\\`]"""
_TOKEN = re.compile(
    rf"(?P<blank>[ \t\r]+)|(?P<comment>\#[^\n]*)|(?P<word>(?:{_PART})+)|(?P<operator>&&|\|\||;;|\|&|[;&|()\n])",
    re.DOTALL,
)
_CONTROL = re.compile(
    r"if|then|else|elif|fi|for|while|until|do|done|case|esac|function|select|coproc|time|[!{}]|\[\["
)
_IN_ORDER = (";", "\n", None)  # None: the end of the line
_LOOKS_LIKE_A_START = re.compile(r"\bray\b[^;&|\n]*?\bstart\b")
_OURS = "search.gpu_node"  # what it prints sets nothing but CUDA's variables and RAY_GPUS
_VARIABLES = ("$RAY_GPUS",)  # of these it is known what they hold


@dataclass(frozen=True)
class Command:
    """A simple command. certain: it is run in the line's own shell, whatever the commands before it did."""

    words: tuple[str, ...]
    certain: bool


@dataclass(frozen=True)
class RayStart:
    """env: variables that `ray start` sees because of this line. options: `--name` -> value ("" without one)."""

    env: Mapping[str, str]
    options: Mapping[str, str]


def ray_starts_in(text: str) -> tuple[list[RayStart], bool]:
    """Every `ray start` of shell text that is understood, and whether these are all that there may be.

    An export counts where it is a command of its own, at the beginning or after `;`. Where it is uncertain whether it
    is run (behind && or ||, in a pipe, in the background, in parentheses), its variables count as not set.
    """
    try:
        starts = _starts(commands_in(text))
    except ValueError:
        starts = []
    return starts, len(starts) >= len(_LOOKS_LIKE_A_START.findall(text))


def _starts(commands: Sequence[Command]) -> list[RayStart]:
    exported: dict[str, str] = {}
    starts = []
    for command in commands:
        words, own = list(command.words), dict[str, str]()
        while words and _is_assignment(words[0]):
            name, _, value = words.pop(0).partition("=")
            own[name] = value
        if not words:
            changed = {name: value for name, value in own.items() if name in exported}
        elif words[0] == "export" and not any(word.startswith("-") for word in words):
            changed = {name: value for name, _, value in (w.partition("=") for w in words[1:] if "=" in w)}
        elif words[0] in ("export", "unset", "declare", "typeset", "readonly"):
            changed = {}
            for word in words[1:]:
                exported.pop(word.partition("=")[0], None)
        elif words[0] in ("eval", "source", ".") and _OURS not in " ".join(words):
            exported.clear()
            continue
        else:
            if words[0].rpartition("/")[2] == "ray" and words[1:2] == ["start"] and _is_plain(words[2:]):
                starts.append(RayStart({**exported, **own}, _options(words[2:])))
            continue
        for name, value in changed.items():
            exported.pop(name, None)
            if command.certain:
                exported[name] = value
    return starts


def commands_in(text: str) -> list[Command]:
    """The simple commands of shell text. ValueError for what is none: control structures, functions, here-documents."""
    commands: list[Command] = []
    words: list[str] = []
    before: str | None = ";"
    depth = 0

    def end(operator: str | None) -> None:
        nonlocal words, before
        if words:
            if _CONTROL.fullmatch(words[0]):
                raise ValueError(f"control structure {words[0]!r}")
            certain = depth == 0 and before in _IN_ORDER and operator in (*_IN_ORDER, "&&", "||")
            commands.append(Command(tuple(words), certain))
        elif operator == "\n" and before in ("&&", "||", "|", "|&"):
            return  # the line goes on
        words, before = [], operator

    for token in _tokens(text.replace("\\\n", "")):
        kind, found = token.lastgroup, token[0]
        if kind == "word":
            words.append(_unquoted(found))
        elif kind == "operator":
            if found == "(" and words:
                raise ValueError("a function, or a parenthesis in a word")
            end(found)
            depth += (found == "(") - (found == ")")
    end(None)
    return commands


def _tokens(text: str) -> list[re.Match[str]]:
    tokens: list[re.Match[str]] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"not understood: {text[at : at + 20]!r}")
        tokens.append(match)
        at = match.end()
    return tokens


def _unquoted(word: str) -> str:
    plain = ""
    for part in re.findall(_PART, word, re.DOTALL):
        if part == "<" and plain.endswith("<"):
            raise ValueError("here-document")
        if part[0] == '"' and (part.count("(") != part.count(")") or part.count("`") % 2):
            raise ValueError("quotes inside a substitution")
        if part[0] == "'":
            plain += part[1:-1]
        elif part[0] == '"':
            plain += re.sub(r"\\([\"$`\\])", r"\1", part[1:-1])
        else:
            plain += part[1:] if part[0] == "\\" else part
    return plain


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def _is_plain(words: Sequence[str]) -> bool:
    """Whether no word may turn out to be options that do not stand there."""
    return not any(word.startswith("$") and word not in _VARIABLES for word in words)


def _options(words: Sequence[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    name = ""
    for word in words:
        if re.match(r"&>|\d*[<>]", word):
            continue
        if word.startswith("--"):
            name, _, options_value = word.partition("=")
            options[name] = options_value
        elif name and not options[name]:
            options[name] = word
    return options
