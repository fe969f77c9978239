"""What version 0.2.0 left in tests/data: an export, a leaderboard, a storage folder without checkpoints and MLflow."""

import shutil
from pathlib import Path

KEPT = Path(__file__).parent / "data" / "version_0.2.0"


def copied_storage(folder: Path) -> Path:
    """A copy of its storage, with one search called old, that can be written to. folder: must not be there."""
    shutil.copytree(KEPT / "storage", folder)
    file = folder / "old" / "search.yaml"
    file.write_text(file.read_text().replace("path: runs", f"path: {folder}"))
    return folder
