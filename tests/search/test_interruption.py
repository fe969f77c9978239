"""Ctrl-C: asked for once it stops what runs, wherever the search is."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

import search.engine.ray_here
import search.running.preparing
from search.file.spec import load_spec
from search.machine.interruption import Interruption
from search.running.driver import unless_interrupted
from search.running.runner import run_search
from search.running.search import Search

ROOT = Path(__file__).parents[2]


class View:
    """Keeps the phases that it is shown."""

    def __init__(self) -> None:
        self.phases: list[str] = []

    def phase(self, name: str, total: int) -> None:
        self.phases.append(name)

    def waiting(self, *_: object) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    """Installed; the handlers are as before at the end."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
    before = {number: signal.getsignal(number) for number in numbers}
    hook = sys.unraisablehook
    made = Interruption(insist_seconds=0.01)
    made.install()
    yield made
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_raises_only_where_nothing_is_open(
    interruption: Interruption, number: signal.Signals
) -> None:
    with interruption.raising():
        pass
    signal.raise_signal(number)
    assert interruption.is_set()
    with pytest.raises(KeyboardInterrupt), interruption.raising():
        raise AssertionError("what was interrupted before is not begun")


def test_a_signal_in_the_block_leaves_it_at_once(interruption: Interruption) -> None:
    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not left")

    with pytest.raises(KeyboardInterrupt), interruption.raising():
        work()
    assert interruption.is_set()


def test_a_signal_that_python_loses_is_raised_again(
    interruption: Interruption, capsys: pytest.CaptureFixture[str]
) -> None:
    class Loses:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def work() -> None:
        Loses()
        assert interruption.is_set()
        time.sleep(60)
        raise AssertionError("not left")

    with pytest.raises(KeyboardInterrupt), interruption.raising():
        work()
    assert capsys.readouterr().err == ""


def test_a_search_is_left_while_its_data_is_prepared_and_ray_starts(
    interruption: Interruption, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy.yaml").write_text(f"name: toy\ndata: digits\nstorage: {{path: {tmp_path / 'runs'}}}\n")

    starts: list[str] = []

    def start_ray(*_: Any, is_wanted: Callable[[], bool]) -> None:
        starts.append("begun")
        while is_wanted():
            time.sleep(0.01)
        starts.append("left")

    def prepare(*_: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("prepared to the end")

    monkeypatch.setattr(search.engine.ray_here, "start_ray", start_ray)
    monkeypatch.setattr(search.running.preparing, "prepare", prepare)
    view: Any = View()
    with pytest.raises(KeyboardInterrupt):
        run_search(Search(load_spec(tmp_path / "toy.yaml")), interrupted=interruption, view=view)
    assert view.phases == ["preparing data and feature network"]
    assert starts == ["begun", "left"]
    assert [path.name for path in (tmp_path / "runs" / "toy").iterdir()] == [".lock"]


def test_what_is_measured_at_the_end_is_left_and_there_is_nothing_to_keep(interruption: Interruption) -> None:
    def measure() -> Any:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("measured to the end")

    assert unless_interrupted(interruption, lambda: 7) == 7
    assert unless_interrupted(interruption, measure) is None
    assert interruption.is_set()
    assert unless_interrupted(interruption, lambda: 7) is None


TAKES = """
import ctypes, os, signal, threading
from search.machine.interruption import keeping_signals

def take():
    with keeping_signals():  # as Ray's C++ does, of which Python knows nothing
        ctypes.CDLL(None).signal(signal.SIGTERM, None)

signal.signal(signal.SIGTERM, lambda *_: print("handled"))
thread = threading.Thread(target=take)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_signals_that_another_thread_takes_are_handled_as_before() -> None:
    done = subprocess.run([sys.executable, "-c", TAKES], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n")
