"""What a search keeps as JSON, cut, emptied or of another kind, is one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from search.cluster.head import supervisor_lock
from search.errors import InputError
from search.evidence.row import Row
from search.machine import service
from search.running.losses import shown_warnings
from search.screen.view import ProgressView
from search.simulator.table import FOLDER, read_table
from search.study.trial_storage import DamagedFile, TrialStorage
from search.winner.sampling import read_found, sampling_of
from spaces import PRESETS
from tests.records import record
from trainable.metric import cache
from trainable.task import FOUND_FILE, SAMPLING_FILE

KINDS = [b"", b"{", b"null", b"7", b'"x"', b"[]", b"{}", b"[" * 100_000, b"\xff\xfe"]
MEASURED: dict[str, Any] = {
    "trial": 3,
    "replicate_of": 1,
    "objective": "fd",
    "num_samples": 10,
    "extractor_sha256": "e",
    "data_sha256": "d",
    "method": "m",
    "search_seed": 1,
    "held_out_seeds": [2],
    "num_evaluations": 9,
    "best": {"2": {"sigmas": [80.0, 1.0], "distance": 3.0, "distances": [3.0], "name": "found"}},
    "baselines": {"2": [{"sigmas": [80.0, 2.0], "distance": 4.0, "distances": [4.0], "name": "mid"}]},
    "metrics": {"fd_nfe2": 3.0},
}


def written(folder: Path, name: str, content: bytes) -> TrialStorage:
    trials = TrialStorage(folder)
    trials.folder(3).write(name, content)
    return trials


def spoilt(value: Any) -> list[bytes]:
    """The document with each of its parts left out, or of another kind."""
    found: list[bytes] = []

    def walk(part: Any) -> None:
        for key in list(part) if isinstance(part, dict) else range(len(part)):
            kept = part[key]
            for other in ("x", None, [], {}, -1):
                if type(other) is not type(kept) or other == -1:
                    part[key] = other
                    found.append(json.dumps(value).encode())
            part[key] = kept
            if isinstance(kept, dict | list):
                walk(kept)

    walk(value)
    return found


@pytest.mark.parametrize("content", [kind for kind in KINDS if kind != b"null"])
def test_damaged_sampling_levels_are_one_line(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DamagedFile, match=r"00003/sampling\.json .*Measure again: `sampling`") as raised:
        sampling_of(written(tmp_path, SAMPLING_FILE, content), 3)
    assert "\n" not in str(raised.value)


def test_edited_sampling_levels_are_read_whole_or_are_one_line(tmp_path: Path) -> None:
    whole = sampling_of(written(tmp_path, SAMPLING_FILE, json.dumps(MEASURED).encode()), 3)
    assert whole == MEASURED
    num_refused = 0
    for content in spoilt(json.loads(json.dumps(MEASURED))):
        try:
            sampling_of(written(tmp_path, SAMPLING_FILE, content), 3)
        except DamagedFile:
            num_refused += 1
    assert num_refused > 30


@pytest.mark.parametrize("content", [kind for kind in KINDS if kind != b"null"])
def test_a_damaged_schedule_of_an_adaptive_trial_is_one_line(tmp_path: Path, content: bytes) -> None:
    row = Row(record=record(3, 5.0), replicates={})  # type: ignore[call-arg]
    whole = json.dumps(PRESETS["ict"].schedule.to_dict()).encode()
    assert read_found(written(tmp_path, FOUND_FILE, whole), row) == PRESETS["ict"].schedule
    with pytest.raises(DamagedFile, match=r"found_schedule\.json") as raised:
        read_found(written(tmp_path, FOUND_FILE, content), row)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", KINDS)
def test_what_a_supervisor_says_may_be_damaged(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_lock, "supervisor", lambda folder: 7)
    (tmp_path / "serve.json").write_text('{"pid": 7, "parts": {}}')
    assert supervisor_lock.status(tmp_path) == {"pid": 7, "parts": {}}
    (tmp_path / "serve.json").write_bytes(content)
    assert supervisor_lock.status(tmp_path) is None


@pytest.mark.parametrize("content", KINDS)
def test_a_damaged_file_of_the_service_is_one_line(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEDULE_SEARCH_HOME", str(tmp_path))
    file = tmp_path / "service.json"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(InputError, match=r"service\.json must be JSON .*Run: python -m search serve"):
        service.service_here()


@pytest.mark.parametrize("content", KINDS)
def test_a_damaged_table_of_curves_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "digits.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"digits\.json"):
        read_table(path)


def test_an_edited_table_of_curves_is_one_line(tmp_path: Path) -> None:
    whole = json.loads((FOLDER / "digits.json").read_bytes())
    whole["schedules"] = whole["schedules"][:2]
    path = tmp_path / "digits.json"
    for key, value in (
        ("curves", {"x": {}}),
        ("curves", {"0": {"values": [1], "cpu_seconds": 1}}),
        ("schedule", []),
    ):
        edited = json.loads(json.dumps(whole))
        edited["schedules"][0][key] = value
        path.write_text(json.dumps(edited))
        with pytest.raises(InputError, match=r"digits\.json|two training seeds") as raised:
            read_table(path)
        assert "\n" not in str(raised.value)


def test_a_cache_entry_that_is_made_again_is_told_on_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    made = ({"x": torch.ones(2)}, {})
    cache.cached(tmp_path, "a", {}, lambda: made)
    (sidecar,) = tmp_path.glob("*.json")
    sidecar.write_bytes(b"")
    view = ProgressView("toy", "fd", 9)
    with shown_warnings(cache.logger, view):
        cache.cached(tmp_path, "a", {}, lambda: made)
    assert f"warning: Cache entry {sidecar} is not readable: it is made again" in capsys.readouterr().out
    sidecar.write_bytes(b"")
    cache.cached(tmp_path, "a", {}, lambda: made)
    assert capsys.readouterr().out == ""
