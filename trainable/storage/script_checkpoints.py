"""Checkpoints of a script of the user's: whatever it has put into `checkpoints/` of its trial's folder."""

from trainable.storage.folder import Folder

CHECKPOINTS = "checkpoints/"


def discard_checkpoints_of_script(folder: Folder, *, keep: int = 0) -> None:
    """Remove what a script has put into `checkpoints/` below its folder, unless something is kept: then all of it."""
    if not keep:
        for name in folder.names(below=True):
            if name.startswith(CHECKPOINTS):
                folder.remove(name)
