"""Checkpoints: whole or absent, checked, the one before a damaged one is used."""

from pathlib import Path

import pytest
import torch

from trainable.storage.checkpoint import (
    discard_checkpoints,
    load_checkpoint,
    newest_state,
    packed,
    save_checkpoint,
)
from trainable.storage.local import LocalFolder

TENSORS = {"weights": torch.arange(60.0).reshape(3, 20), "step": torch.tensor(7)}
BYTES = packed(TENSORS)
STATE = {"reports": [{"step": 5, "objective": 1.25}], "train_seconds": 3.5}


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path))


def test_a_checkpoint_comes_back_as_it_was(folder: LocalFolder) -> None:
    save_checkpoint(folder, 7, BYTES, STATE)
    found = load_checkpoint(folder)
    assert found is not None
    step, tensors, state = found
    assert (step, state) == (7, STATE)
    assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())


def test_the_newest_wins_and_at_most_two_are_kept(folder: LocalFolder, tmp_path: Path) -> None:
    for step in (5, 1000, 20):
        save_checkpoint(folder, step, BYTES, {**STATE, "step": step})
    found = load_checkpoint(folder)
    assert found is not None
    assert found[0] == 1000
    assert len(list(tmp_path.iterdir())) == 4


def test_other_files_of_the_trial_are_left_alone(folder: LocalFolder, tmp_path: Path) -> None:
    others = [tmp_path / "found_schedule.json", tmp_path / "samples.png"]
    for other in others:
        other.write_text("{}")
    for step in (5, 6, 7):
        save_checkpoint(folder, step, BYTES, STATE)
    assert all(other.exists() for other in others)
    (tmp_path / "000000007.json").unlink()
    found = load_checkpoint(folder)
    assert found is not None
    assert found[0] == 6


def test_every_flipped_byte_is_noticed_and_the_one_before_used(folder: LocalFolder, tmp_path: Path) -> None:
    save_checkpoint(folder, 1, BYTES, STATE)
    save_checkpoint(folder, 2, BYTES, STATE)
    path = tmp_path / "000000002.safetensors"
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        found = load_checkpoint(folder)
        assert found is not None
        assert found[0] == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"step": 2}', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_sidecar_is_no_checkpoint(folder: LocalFolder, tmp_path: Path, damage: bytes) -> None:
    save_checkpoint(folder, 2, BYTES, STATE)
    (tmp_path / "000000002.json").write_bytes(damage)
    assert load_checkpoint(folder) is None


def test_tensors_without_their_sidecar_are_not_committed(folder: LocalFolder, tmp_path: Path) -> None:
    save_checkpoint(folder, 1, BYTES, STATE)
    (tmp_path / "000000009.safetensors").write_bytes(b"killed half-way")
    found = load_checkpoint(folder)
    assert found is not None
    assert found[0] == 1


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert load_checkpoint(LocalFolder(str(tmp_path / "absent"))) is None


def test_discarding_keeps_the_newest_and_takes_what_was_never_committed(
    folder: LocalFolder, tmp_path: Path
) -> None:
    save_checkpoint(folder, 20, BYTES, STATE)
    save_checkpoint(folder, 30, BYTES, STATE)
    for name in ("000000025.safetensors", "000000040.safetensors", "samples.png"):
        (tmp_path / name).write_bytes(b"")
    discard_checkpoints(folder, keep=1)
    left = ["000000030.json", "000000030.safetensors", "000000040.safetensors", "samples.png"]
    assert folder.names() == left  # step 40 may be on its way
    discard_checkpoints(folder)
    assert folder.names() == ["samples.png"]


def test_a_checkpoint_of_another_step_than_it_says_is_damaged(folder: LocalFolder, tmp_path: Path) -> None:
    save_checkpoint(folder, 1, BYTES, STATE)
    save_checkpoint(folder, 2, BYTES, STATE)
    sidecar = tmp_path / "000000002.json"
    sidecar.write_text(sidecar.read_text().replace('"step": 2', '"step": 3'))
    told: dict[int, str] = {}
    found = load_checkpoint(folder, told.__setitem__)
    assert found is not None and found[0] == 1
    assert told == {2: f"the checkpoint of step 2 in {tmp_path} is damaged (it says that it is of step 3)"}


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"state": []}', b'{"state": null}', b"[" * 100_000])
def test_what_an_open_trial_measured_cannot_be_read_from_a_damaged_checkpoint(
    folder: LocalFolder, tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    save_checkpoint(folder, 2, BYTES, STATE)
    assert newest_state(folder) == STATE
    (tmp_path / "000000002.json").write_bytes(damage)
    assert newest_state(folder) is None
    assert len(caplog.records) == 1
