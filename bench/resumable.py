"""A benchmark that takes hours: what it has recorded is kept when it is interrupted, and the same command goes on."""

import signal
import sys
from collections.abc import Callable

from search.errors import EXIT_INPUT, EXIT_INTERRUPTED, EXIT_OK


def exit_code_of(work: Callable[[], None]) -> int:
    """Do the work; an interruption, bad input and a full disk are one line. SIGTERM is as Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the first is ignored by what a shell starts with &
        signal.signal(number, signal.default_int_handler)
    try:
        work()
    except KeyboardInterrupt:
        sys.stderr.write(
            "interrupted: the run at work is lost, the others are kept; the same command goes on\n"
        )
        return EXIT_INTERRUPTED
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_INPUT
    return EXIT_OK
