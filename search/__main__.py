"""`python -m search VERB ...`. Nothing is defined here: Ray pickles what `__main__` defines by value."""

import gc

# Imports make many objects and no garbage: to look for it as often as Python does by itself is a tenth of the time of a
# short command.
gc.set_threshold(200_000)

from search.cli import main  # noqa: E402
from search.machine.process_end import leave  # noqa: E402

leave(main())
