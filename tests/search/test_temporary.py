"""Temporary folders go with the process that made them, or with whoever ends it."""

import subprocess
import sys
from pathlib import Path

from search.machine.temporary import remove_folders_of

ROOT = Path(__file__).parents[2]
MAKER = """
import os, time
from search.machine.temporary import PREFIX, temporary_folder
with temporary_folder(f"{PREFIX}{os.getpid()}-") as folder:
    (folder / "file").write_text("kept while the block lasts")
    print(folder, flush=True)
    time.sleep(300)
"""


def test_what_a_killed_process_has_left_is_removed_by_its_number() -> None:
    process = subprocess.Popen([sys.executable, "-c", MAKER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()
    assert (folder / "file").exists()
    remove_folders_of(process.pid)
    assert not folder.exists()
