"""What benchmarks take on their command lines."""

import argparse


def whole_number(text: str) -> int:
    """A number of things, 1 at least; for `type` of an argument."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"a whole number of 1 and more is needed, but got {text!r}")
    return int(text)
