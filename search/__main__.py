"""`python -m search VERB ...`. Nothing is defined here: Ray pickles what `__main__` defines by value."""

import sys

from search.cli import main

sys.exit(main())
