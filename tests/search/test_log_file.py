"""A log on a full disk is one line of warning, and its times are UTC."""

import logging
import time
from pathlib import Path

import pytest

from search.machine.log_file import LogFile

RECORD = logging.LogRecord("x", logging.INFO, "", 0, "said", None, None)
RECORD.created, RECORD.msecs = 0.25, 250.0


def test_a_log_that_cannot_be_written_is_one_line_and_no_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = LogFile(Path("/dev/full"), "%(asctime)s %(message)s")
    for _ in range(3):
        handler.handle(RECORD)
    handler.close()
    assert capsys.readouterr().err == "warning: /dev/full is incomplete: No space left on device\n"


def test_times_are_utc_wherever_the_driver_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = LogFile(tmp_path / "x.log", "%(asctime)s %(message)s")
    for zone in ("Asia/Tokyo", "America/Los_Angeles"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        handler.handle(RECORD)
    monkeypatch.undo()
    time.tzset()
    handler.close()
    assert (tmp_path / "x.log").read_text() == 2 * "1970-01-01 00:00:00.250Z said\n"
