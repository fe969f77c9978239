"""Which trial comes next and what is kept: search files, Ray Tune, Optuna, MLflow, the command line.

In Python: `from search import Search, run`, then `Search("digits").leaderboard()`; see `search.notebook`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.notebook import Search, run

__all__ = ["Search", "run"]


def __getattr__(name: str) -> Any:
    """Imported when they are asked for: they bring what most verbs do without."""
    if name in __all__:
        from search import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'search' has no attribute {name!r}")
