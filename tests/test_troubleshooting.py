"""docs/troubleshooting.md has an entry for every message of the code, and none for a message that is gone."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "troubleshooting.md"
HOLE = "…"  # what a message has from its surroundings; in an entry, anything
MIN_WORDS = 2  # of a message or an entry: fewer are only a frame for another text, or match by chance
# What is raised at somebody who writes code: a wrong call is no message to a user.
FOR_PROGRAMMERS = {"AssertionError", "AttributeError", "TypeError"}
# What holds a message until it is shown.
ALSO_TOLD = {"DamagedFile", "NoWinner", "Problem", "Unusable", "_fail"}
Assigned = dict[str, list[ast.expr]]
WORD = re.compile(r"[A-Za-z]{2,}")
# Under which heading a new message belongs, by where it is raised.
HEADINGS = {
    "install.py": "Setting up",
    "search/machine/script_folder": "Scripts",
    "trainable/command": "Scripts",
    "search/machine": "Setting up",
    "search/file": "Search file",
    "spaces": "Search file",
    "search/engine": "Starting",
    "trainable": "Data, networks and checkpoints",
    "search/cluster": "Clusters",
    "search/tracking": "MLflow",
    "search/study": "What a search keeps",
    "search/winner": "Leaderboard and export",
    "search/export": "Leaderboard and export",
    "search/simulator": "Simulation",
}


@dataclass(frozen=True)
class Message:
    """What a line of the code says, with … for what it fills in."""

    where: str
    text: str


def texts_of(node: ast.expr, assigned: Assigned) -> list[str]:
    """What the expression may be, as far as the code has it in words; a name is what its function assigned to it."""
    match node:
        case ast.Constant(value=str(value)):
            return [value]
        case ast.JoinedStr(values=values):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in values)
            parts = [part.value for part in values if isinstance(part, ast.FormattedValue)]
            is_a_frame = len(WORD.findall(text)) < MIN_WORDS
            return [text, *(inner for part in parts if is_a_frame for inner in texts_of(part, assigned))]
        case ast.BinOp(left=left, right=right, op=ast.Add()):
            return [a + b for a in texts_of(left, assigned) for b in texts_of(right, assigned)]
        case ast.IfExp(body=body, orelse=other):
            return texts_of(body, assigned) + texts_of(other, assigned)
        case ast.BoolOp(values=values) | ast.List(elts=values) | ast.Tuple(elts=values):
            return [text for value in values for text in texts_of(value, assigned)]
        case ast.Subscript(value=ast.JoinedStr() as value):  # cut to a length
            return texts_of(value, assigned)
        case ast.Name(id=name) if name in assigned:
            return [text for value in assigned[name] for text in texts_of(value, {})]
    return [HOLE]


def is_error(name: str) -> bool:
    named = name.endswith(("Error", "Failed", "Misfit", "Refused"))
    return (named or name in ALSO_TOLD) and name not in FOR_PROGRAMMERS


def said_by(node: ast.AST) -> list[ast.expr]:
    """What is shown to the user: by a call, or by a function that only words a message."""
    if isinstance(node, ast.FunctionDef) and re.match("message$|_why", node.name):
        return [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return) and inner.value]
    if not isinstance(node, ast.Call):
        return []
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    to_the_screen = ast.unparse(node.func) in ("sys.stderr.write", "found.append") or (
        name == "print" and any(keyword.arg == "file" for keyword in node.keywords)
    )
    return (
        [*node.args, *(keyword.value for keyword in node.keywords)] if is_error(name) or to_the_screen else []
    )


def messages_of(path: Path) -> Iterator[Message]:
    tree = ast.parse(path.read_bytes())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for scope in [*functions, tree]:
        assigned: dict[str, list[ast.expr]] = {}
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                assigned.setdefault(node.targets[0].id, []).append(node.value)
        for node in ast.walk(scope):
            for said in said_by(node):
                for text in texts_of(said, assigned):
                    plain = " ".join(text.replace("`", "").split())
                    if len(WORD.findall(re.sub("^(error|warning): ", "", plain))) >= MIN_WORDS:
                        yield Message(f"{path.relative_to(ROOT)}:{node.lineno}", plain)


PATHS = [ROOT / "install.py"]
PATHS += [
    path for folder in ("search", "trainable", "spaces") for path in sorted((ROOT / folder).rglob("*.py"))
]
MESSAGES = sorted(
    {message for path in PATHS for message in messages_of(path)}, key=lambda message: message.where
)


def entries() -> dict[str, re.Pattern[str]]:
    """Each entry of the page as it is written, and what it matches."""
    found = {}
    for block in re.findall(r"^- (.*?)(?=\n- |\n\n|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        head = re.match(r"(`[^`]+`(, )?)+", " ".join(block.split()))
        for entry in re.findall(r"`([^`]+)`", head[0] if head else ""):
            parts = (re.escape(part) for part in entry.split(HOLE))
            found[entry] = re.compile(".*".join(parts), re.IGNORECASE)
    return found


ENTRIES = entries()


def heading_for(where: str) -> str:
    return next((title for start, title in HEADINGS.items() if where.startswith(start)), "Commands")


def test_every_message_has_an_entry() -> None:
    missing = [
        f"{message.where} says: {message.text}\n  add under '## {heading_for(message.where)}' of {PAGE.name}: "
        f"- `{message.text[:60]}`: what it means and what to do"
        for message in MESSAGES
        if not any(entry.search(message.text) for entry in ENTRIES.values())
    ]
    assert not missing, "\n".join([f"{len(missing)} messages have no entry:", *missing])


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_is_a_message_of_the_code(entry: str) -> None:
    assert len(WORD.findall(entry)) >= MIN_WORDS, f"{entry!r} says too little to be found by"
    assert any(ENTRIES[entry].search(message.text) for message in MESSAGES), (
        f"no line of the code says {entry!r}: take it out of {PAGE.name}, or write it as the message is now"
    )


def test_the_headings_are_those_of_the_page() -> None:
    titles = re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)
    assert {*HEADINGS.values(), "Commands"} <= set(titles)
