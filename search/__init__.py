"""Which trial comes next and what is kept: search files, Ray Tune, Optuna, MLflow, the command line.

In Python: `from search import Search`, then `Search("digits").leaderboard()`; see `search.notebook`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.notebook import Search

__all__ = ["Search"]


def __getattr__(name: str) -> Any:
    """`Search`, imported when it is asked for: it brings what most verbs do without."""
    if name == "Search":
        from search.notebook import Search

        return Search
    raise AttributeError(f"module 'search' has no attribute {name!r}")
