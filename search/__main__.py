"""`python -m search VERB ...`. Nothing is defined here: Ray pickles what `__main__` defines by value."""

import gc
import sys

# Imports make many objects and no garbage: to look for it as often as Python does by itself is a tenth of the time of a
# short command, and to look through all of them when it ends is a fifth.
gc.set_threshold(200_000)

from search.cli import main  # noqa: E402

code = main()
gc.freeze()
sys.exit(code)
