"""What every command answers, whatever it is given: an exit code that is known, few lines, no traceback, in time."""

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.cli import main
from search.errors import EXIT_FAILED, EXIT_INPUT, EXIT_OK, OperationFailed

MOST_LINES = 5
MOST_CHARS = 2000  # of a line
MOST_CPU_SECONDS = 60  # so that other work on this machine does not count

# The same inputs on every run. With FUZZ_ANEW=1 the slow tests take others each time: hypothesis prints how to repeat a
# failure.
_QUICK = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
_LONG = settings(_QUICK, derandomize="FUZZ_ANEW" not in os.environ, print_blob=True)
_SLOW = (
    pytest.mark.integration,
    pytest.mark.timeout(1800),
)  # to find the smallest input that fails takes long


def shares(quick: int, long: int) -> pytest.MarkDecorator:
    """Run the test as `share`: with `quick` inputs always, with `long` ones among the slow tests."""
    return pytest.mark.parametrize(
        "share",
        [
            pytest.param(settings(_QUICK, max_examples=quick), id="share"),
            pytest.param(settings(_LONG, max_examples=long), id="long", marks=_SLOW),
        ],
    )


def hold(holds: Callable[[Any], object], inputs: st.SearchStrategy[Any], share: settings) -> None:
    """`holds(given)` raises nothing, for the share of `inputs`."""

    @share
    @given(inputs)
    def test(given: Any) -> None:
        holds(given)

    test()


def not_in_a_test(*args: Any, **options: Any) -> NoReturn:
    """In place of what would train, serve or go elsewhere."""
    raise OperationFailed("this is not done in a test")


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it printed."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str


def answer_to(arguments: Sequence[str]) -> Answer:
    """Run the command line in this process. AssertionError if it takes more than the stated time."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]), _in_time(arguments):
        code = main(arguments)
        sys.stdout.flush()
    out, err = (_written(stream) for stream in streams)
    return Answer(tuple(arguments), code, out, err)


def check(arguments: Sequence[str]) -> Answer:
    """The answer to the command line; AssertionError unless it is one that a person can use."""
    answer = answer_to(arguments)
    code, out, err = answer.code, answer.out, answer.err
    assert code in (EXIT_OK, EXIT_FAILED, EXIT_INPUT), answer
    assert "(unexpected" not in err and "Traceback" not in err + out, answer
    lines = err.removesuffix("\n").split("\n") if err else []
    assert len(lines) <= MOST_LINES, answer
    assert all(line.isprintable() and len(line) <= MOST_CHARS for line in lines), answer
    assert all(line.startswith(("error: ", "warning: ", "note: ")) for line in lines), answer
    if code == EXIT_INPUT:
        assert lines and lines[-1].startswith("error: ") and len(lines[-1]) > len("error: "), answer
    if code != EXIT_OK and "--json" in arguments:
        assert json.loads(out)["exit_code"] == code, answer
    return answer


class _TooLong(BaseException):
    """No `except Exception` of a command shall take it."""


@contextlib.contextmanager
def _in_time(arguments: Sequence[str]) -> Iterator[None]:
    def end(signum: int, frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_SECONDS)
    try:
        yield
    except _TooLong:
        raise AssertionError(f"no answer in {MOST_CPU_SECONDS} s: {arguments}") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
