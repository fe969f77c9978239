"""Start-up check: do our package names mean this checkout, and is what it needs installed?

Our packages have generic names; a package called `spaces` exists elsewhere, and whichever stands first
on `sys.path` wins. Standard library only, and what it imports of ours: this runs before anything else.
"""

import importlib.util
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from search.machine.checkout import PACKAGES, ROOT

MINIMUM_PYTHON = (3, 11)
# One module of each group of dependencies, all cheap to find.
NEEDED = ("pydantic", "yaml", "rich", "numpy", "torch", "ray", "optuna", "sqlalchemy", "mlflow")


def problems(packages: Sequence[str] = PACKAGES, root: Path = ROOT) -> list[str]:
    """What is in the way, one line each with its remedy; empty when all is well. Imports nothing."""
    found = []
    if sys.version_info < MINIMUM_PYTHON:
        running = ".".join(map(str, sys.version_info[:3]))
        found.append(f"Python >= 3.11 is needed, but this is {running}. Run: make search")
    for package in packages:
        origin = _origin(package)
        if origin is None:
            found.append(
                f"Package '{package}' was not found. Run from the checkout's root: cd {shlex.quote(str(root))}"
            )
        elif origin != root / package:
            found.append(
                f"Package '{package}' must be {root / package}, but another one won: {origin}. "
                f"Run from {root}, and take the other one's folder out of PYTHONPATH or uninstall it"
            )
    missing = [name for name in NEEDED if _origin(name) is None]
    if missing:
        found.append(f"Not installed for {sys.executable}: {', '.join(missing)}. Run: make setup")
    mlflow = _found("mlflow")
    if mlflow is not None and "%" in str(
        mlflow
    ):  # it hands its own place to alembic, for which a % begins a name
        found.append(
            f"MLflow cannot make its tables from a folder with % in its name, but is installed in {mlflow.parent}. "
            "Rename that folder, or use a Python environment that lies elsewhere"
        )
    return found


def _origin(package: str) -> Path | None:
    """The folder that `import package` would take, without links; None if there is none."""
    found = _found(package)
    return None if found is None else found.resolve()


def _found(package: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.origin and spec.origin not in ("built-in", "frozen"):
        origin = Path(spec.origin)
        return origin.parent if origin.name == "__init__.py" else origin
    # A folder without __init__.py.
    locations = list(spec.submodule_search_locations or [])
    return Path(locations[0]) if locations else None
