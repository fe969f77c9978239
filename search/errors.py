"""What a command may raise on purpose, and the exit code that each means.

A plain ValueError raised in this project's own code is bad input as well (exit code 2).
"""

EXIT_OK = 0
EXIT_FAILED = 1  # the search or the operation failed
EXIT_INPUT = 2  # bad input or usage
EXIT_INTERRUPTED = 130  # Ctrl-C, as shells count it
EXIT_STOPPED = (129, EXIT_INTERRUPTED, 143)  # a closed terminal, Ctrl-C, SIGTERM: it can be gone on with


class InputError(ValueError):
    """The user's input cannot be used. One line: rule, value, remedy."""


class UsageError(InputError):
    """The command line itself is wrong."""


class OperationFailed(RuntimeError):
    """The input was fine, the work failed. One line: what, why, what to do."""
