"""What a Ray of our own is started without: a dashboard, an autoscaler, and who sends workers' logs to the driver.

Nobody looks at a private Ray from outside, its machines are one, and its logs stay in their files. Each of these is a
Python process that takes half a second to a second of a CPU, which the workers then lack to begin. `include_dashboard`
and `log_to_driver` leave them running, with less to do.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from search.engine.start_watch import replaced


@contextmanager
def without_what_only_watches() -> Iterator[None]:
    """A Ray that is started in this block has a GCS, a raylet and its two agents only, the dashboard's a minimal one.

    Through attributes that Ray 2.60 calls private: no other file touches these.
    """
    from ray._private import node, utils

    def none(self: Any, **options: Any) -> None:
        """Start nothing."""

    def missing() -> Exception:
        """As where Ray is installed without what a dashboard needs."""
        return ImportError()

    with ExitStack() as stack:
        for name in ("start_monitor", "start_log_monitor", "start_api_server"):
            stack.enter_context(replaced(node.Node, name, lambda _: none))
        stack.enter_context(replaced(utils, "get_dashboard_dependency_error", lambda _: missing))
        yield
