"""What there is to do next, given what lies here: for a command line without a verb."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from search.machine.search_folders import DEFAULT_STORAGE

_MOST_FILES = 3


def show() -> int:
    """Print it; returns the exit code."""
    print("\n".join(next_steps()))
    return 0


def next_steps() -> Iterator[str]:
    """A sentence on what lies here, then command lines with what they do."""
    from search.running.known import known_searches, latest_search

    if not known_searches():
        yield f"There is no search in {DEFAULT_STORAGE}/ yet."
        yield from _lines({f"run {file}": "run a search, or go on with it" for file in _search_files()})
        yield from _lines({"doctor": "is this machine ready?", "list noise": "what may be searched"})
    else:
        yield from _about(latest_search())
    yield "All verbs: python -m search --help"


def _search_files() -> list[str]:
    """Search files of the present folder, or the one to begin with."""
    files = sorted(Path("searches").glob("*.yaml"))[:_MOST_FILES]
    return [str(file) for file in files] or ["FILE"]


def _about(name: str) -> Iterator[str]:
    from search.running.known import folder_of
    from search.running.statuses import statuses_of

    (status,) = statuses_of({name: folder_of(name)})
    yield _sentence(status)
    yield from _lines({f"{verb} {name}": what for verb, what in _VERBS[status["state"]].items()})


def _sentence(status: dict[str, Any]) -> str:
    if status["problem"]:
        return f"The latest search, {status['name']}, cannot be read: {status['problem']}"
    ended = status["trials"]["ended"]
    text = f"The latest search, {status['name']}, is {status['state']}: {ended} trials have ended."
    return f"{text} {status['finding']}" if status["finding"] else text


_VERBS = {
    "running": {
        "watch": "how it goes, as it goes on",
        "leaderboard": "who leads so far",
        "stop": "stop it; it can go on",
    },
    "stopped": {
        "resume": "go on with it",
        "leaderboard": "who leads so far",
        "report": "one page with its pictures",
    },
    "finished": {
        "report": "one page with its pictures",
        "leaderboard": "who leads, and how sure that is",
        "export": "write the winner to best_schedule.json",
    },
    "unreadable": {"report": "one page with what can be read"},
}


def _lines(commands: dict[str, str]) -> Iterator[str]:
    for command, what in commands.items():
        yield f"  python -m search {command:<40} {what}"
