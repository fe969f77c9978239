"""Command lines of every verb: options in any order, with values of the wrong type, very long, empty, unprintable."""

import functools
import re
import shutil
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from search.cli import commands
from tests.fuzz.answers import answer_to, check, hold, not_in_a_test, shares
from tests.version_0_2_0 import KEPT

FILES = [
    "x.yaml",
    "small.yaml",
    "old.json",
    "folder",
    "missing.yaml",
    "picture.png",
    "s3://a/b",
    "/dev/null/x",
]
NAMES = [
    "x",
    "old",
    "digits",
    "noise",
    "presets",
    "diffusers",
    "k-diffusion",
    "all",
    "ict,ecm",
    "random",
    "asha",
]
ADDRESSES = [
    "http://127.0.0.1:9",
    "http://127.0.0.1:9/",
    "127.0.0.1:9",
    "http://",
    "https://user:pw@127.0.0.1:9",
    "ftp://a",
]
NUMBERS = [
    "0",
    "1",
    "2",
    "3",
    "3,4",
    "-1",
    "1.5",
    "1e3",
    "nan",
    "inf",
    "9" * 40,
    "9" * 5000,
    "0x10",
    "١٢",
    "1_000",
]
ODD = [
    "",
    " ",
    "-",
    "--",
    "---",
    "=",
    "a\nb\nc\nd\ne\nf",
    "\x1b[2J",
    "\r",
    "\u202e",
    "\udcff",
    "x" * 5000,
    "é" * 300,
]
ODD += ["~", "~nobody1/x", "..", "../..", "%s", "{}", "*", "'", '"', "@x.yaml", "a/b", "日本", "\U0001f600"]
# What a value is for, by the word that stands for it in the help.
FITTING = {"N": NUMBERS, "K": NUMBERS, "H": NUMBERS, "LIST": NUMBERS + NAMES, "PORT": NUMBERS, "INT": NUMBERS}
FITTING |= {
    "FILE": FILES,
    "PATH": FILES,
    "DIR": ["runs", *FILES],
    "URL": ADDRESSES,
    "RAY": ["auto", *ADDRESSES],
}
WORDS = st.sampled_from([*FILES, *NAMES, *ADDRESSES, *NUMBERS, *ODD]) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0/"), max_size=12
)


@functools.cache
def options_of(verb: str) -> list[tuple[str, str]]:
    """(an option of the verb, the word for its value or nothing), as its help has them."""
    shown = answer_to([verb, "--help"]).out
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)(?: ([A-Z]\S*))?", shown, re.MULTILINE)
    return [(option, value) for option, value in options if option != "--help"]


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A verb with some of its options and mostly one word, in any order; now and then without a verb, or with two."""
    verb = draw(st.sampled_from(sorted(commands())))
    words = st.sampled_from(["old", "x.yaml", "old.json", "noise"]) | WORDS
    parts: list[list[str]] = [[draw(words)] for _ in range(draw(st.sampled_from([0, 1, 1, 1, 1, 2])))]
    for option, kind in draw(st.lists(st.sampled_from(options_of(verb)), max_size=4)):
        value = [draw(st.sampled_from(FITTING.get(kind, NAMES)) | WORDS)] if kind else []
        joined = value and draw(st.booleans())
        parts.append([f"{option}={value[0]}"] if joined else [option, *value])
    parts = draw(st.permutations(parts))
    at = draw(st.sampled_from([0, 0, 0, 0, len(parts)]))
    verbs = draw(
        st.sampled_from([[[verb]]] * 8 + [[], [["list"], [verb]], [[verb.upper()]], [["--help"], [verb]]])
    )
    return [word for part in [*parts[:at], *verbs, *parts[at:]] for word in part]


def only_this_machine(host: Any, *args: Any, **options: Any) -> NoReturn:
    raise socket.gaierror(socket.EAI_NONAME, "no other machine is asked in a test")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that command lines name; nothing that trains, serves or goes elsewhere is begun."""
    (tmp_path / "x.yaml").write_text("name: x\ndata: digits\n")
    (tmp_path / "small.yaml").write_text("name: small\ndata: digits\nbudget: {max_trials: 4}\n")
    (tmp_path / "old.json").write_bytes((KEPT / "export.json").read_bytes())
    (tmp_path / "folder").mkdir()
    shutil.copytree(KEPT / "storage", tmp_path / "runs")
    (tmp_path / "home").mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEDULE_SEARCH_HOME", str(tmp_path / "home"))
    for what in (
        "search.running.runner.run_search",
        "search.running.cost.cost_of",
        "search.cluster.head.start.in_background",
        "search.cluster.head.start.in_foreground",
        "search.checks.here.check_rehearsal",
        "search.tracking.server.mlflow_server",
        "search.checks.head.findings",
        "search.simulator.quality.repeat_search",
    ):
        monkeypatch.setattr(what, not_in_a_test)
    monkeypatch.setattr(socket, "getaddrinfo", only_this_machine)
    return tmp_path


@shares(quick=60, long=400)
def test_a_command_line_is_answered_in_words(share: settings, here: Path) -> None:
    hold(check, command_lines(), share)
