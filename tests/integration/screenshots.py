"""Pictures of a search's page and of its leaderboard in MLflow, for the README.

    python -m tests.integration.screenshots digits --storage runs --into docs

Debian's Chromium shows both as a reader sees them: the page from the disk, MLflow as `search ui` opens it.
"""

import argparse
import base64
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.integration.browser import Page, chromium
from tests.integration.running import ROOT, until

_COLOURS = 128
_ROWS = "return document.querySelectorAll('[role=row][row-index]').length"
_DRAWN = "return document.documentElement.dataset.drawn"
_ASKS = "Ask questions about your experiments"  # a panel that a newcomer closes
_CORNER = """
const all = [...document.querySelectorAll('button')].map(b => b.getBoundingClientRect())
const boxes = all.filter(b => b.width && b.top < 60)
const last = boxes.sort((one, other) => one.right - other.right).pop()
return [last.x + last.width / 2, last.y + last.height / 2]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="?", default="digits", help="name of a finished search (digits)")
    parser.add_argument("--storage", metavar="DIR", default="runs", help="where searches are kept (runs)")
    parser.add_argument(
        "--into", metavar="DIR", default="docs", type=Path, help="where the pictures go (docs)"
    )
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="screenshots-") as folder,
        chromium(Path(folder) / "profile") as page,
    ):
        report = Path(folder) / "report.html"
        command = [sys.executable, "-m", "search"]
        where = ["--storage", given.storage]
        subprocess.run([*command, "report", given.name, *where, "--output", report], cwd=ROOT, check=True)
        _size(page, 1100, 1000)
        page.open(report.as_uri())
        until(lambda: page.run(_DRAWN) is not None, 60, "the page has drawn itself")
        _keep(page, given.into / "report.png")
        ui = subprocess.Popen(
            [*command, "ui", given.name, *where, "--json"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            assert ui.stdout is not None
            (url,) = json.loads(ui.stdout.readline())["leaderboards"].values()
            _size(page, 1600, 620)
            page.open(url)
            until(lambda: page.run(_ROWS) > 3, 120, "the table is there", told=lambda: page.text)
            page.click_at(*page.run(_CORNER))
            until(lambda: _ASKS not in page.text, 20, "the panel is closed", told=lambda: page.text)
            _keep(page, given.into / "mlflow.png")
        finally:
            ui.terminate()
            ui.wait(60)


def _size(page: Page, width: int, height: int) -> None:
    page.tell(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
    )


def _keep(page: Page, path: Path) -> None:
    """The window as a PNG of few colours: it shows lines and letters."""
    shot = Image.open(io.BytesIO(base64.b64decode(page.tell("Page.captureScreenshot", format="png")["data"])))
    shot.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
