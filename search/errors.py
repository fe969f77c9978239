"""What a command may raise on purpose, and the exit code that each means.

A plain ValueError raised in this project's own code is bad input as well (exit code 2).
"""

EXIT_OK = 0
EXIT_FAILED = 1  # the search or the operation failed
EXIT_INPUT = 2  # bad input or usage
EXIT_INTERRUPTED = 130  # Ctrl-C, as shells count it
EXIT_STOPPED = (129, EXIT_INTERRUPTED, 143)  # a closed terminal, Ctrl-C, SIGTERM: it can be gone on with


MOST_LINES = 5  # of one answer on a screen
_MOST_CHARS = 1500  # of a line


class InputError(ValueError):
    """The user's input cannot be used. One line for each problem: rule, value, remedy."""

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class UsageError(InputError):
    """The command line itself is wrong."""


class OperationFailed(RuntimeError):
    """The input was fine, the work failed. One line for each reason: what, why, what to do."""

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


def printable(text: str) -> str:
    """`text` as one line of a screen: what would not be seen, or would move the cursor, is written as in Python.

    Of a long one the middle is left out.
    """
    line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    if len(line) <= _MOST_CHARS:
        return line
    return f"{line[: _MOST_CHARS - 500]} ... {line[-495:]}"
