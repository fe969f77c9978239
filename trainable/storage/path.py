"""Paths as people write them."""

from pathlib import Path


def expanded(path: str | Path) -> Path:
    """`path` with its ~ or ~USER replaced by that user's home folder. ValueError where this machine knows none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        first = Path(path).parts[0]
        why = (
            "your user has no home folder here (HOME is not set)"
            if first == "~"
            else f"there is no user {first[1:]}"
        )
        raise ValueError(f"{path} cannot be looked up: {why}. Write the whole path") from None
