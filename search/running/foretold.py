"""How long a search still takes, as its driver last foretold it: kept in its folder for who looks from elsewhere."""

import contextlib
import json
import math
from pathlib import Path

from trainable.storage.atomic import write_atomically

_FILE = "outlook.json"
KEEP_SECONDS = 10.0  # between two of them: writing one takes a few milliseconds
_OLD_SECONDS = 600.0  # a driver that has not foretold for so long is stuck

Left = tuple[float, float]  # seconds: at least, at most (may be without end)


def keep(folder: Path, left: Left | None, now: float) -> None:
    """Keep what is foretold at `now`, in seconds since 1970; None: nothing is known. A full disk is no error here."""
    if left is None:
        forget(folder)
        return
    most = left[1] if math.isfinite(left[1]) else None
    with contextlib.suppress(OSError):
        write_atomically(folder / _FILE, json.dumps({"at": now, "least": left[0], "most": most}).encode())


def forget(folder: Path) -> None:
    """Nothing is foretold any more."""
    with contextlib.suppress(OSError):
        (folder / _FILE).unlink(missing_ok=True)


def left_of(folder: Path, since: float, now: float) -> Left | None:
    """What is left at `now` of the search in `folder`; None where its driver, begun at `since`, has not said lately."""
    try:
        kept = json.loads((folder / _FILE).read_bytes())
        at, least = float(kept["at"]), float(kept["least"])
        most = math.inf if kept["most"] is None else float(kept["most"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    passed = now - at
    if at < since or not -_OLD_SECONDS <= passed <= _OLD_SECONDS:
        return None
    return max(0.0, least - passed), max(0.0, most - passed)
