"""`python -m search VERB ...`. Nothing is defined here: Ray pickles what `__main__` defines by value."""

import gc
import sys

from search.cli import main

code = main()
gc.freeze()  # else Python, when it ends, looks for garbage in all that was imported: a fifth of a short command's time
sys.exit(code)
