"""Checkpoints: whole or absent, checked, the one before a damaged one is used."""

from pathlib import Path

import pytest
import torch

from trainable.checkpoint import load_checkpoint, save_checkpoint

TENSORS = {"weights": torch.arange(60.0).reshape(3, 20), "step": torch.tensor(7)}
STATE = {"reports": [{"step": 5, "objective": 1.25}], "train_seconds": 3.5}


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 7, TENSORS, STATE)
    found = load_checkpoint(tmp_path)
    assert found is not None
    step, tensors, state = found
    assert (step, state) == (7, STATE)
    assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())


def test_the_newest_wins_and_at_most_two_are_kept(tmp_path: Path) -> None:
    for step in (5, 1000, 20):
        save_checkpoint(tmp_path, step, TENSORS, {**STATE, "step": step})
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found[0] == 1000
    assert len(list(tmp_path.iterdir())) == 4


def test_other_files_of_the_trial_are_left_alone(tmp_path: Path) -> None:
    others = [tmp_path / "found_schedule.json", tmp_path / "samples.png"]
    for other in others:
        other.write_text("{}")
    for step in (5, 6, 7):
        save_checkpoint(tmp_path, step, TENSORS, STATE)
    assert all(other.exists() for other in others)
    (tmp_path / "000000007.json").unlink()
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found[0] == 6


def test_every_flipped_byte_is_noticed_and_the_one_before_used(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, TENSORS, STATE)
    save_checkpoint(tmp_path, 2, TENSORS, STATE)
    path = tmp_path / "000000002.safetensors"
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        found = load_checkpoint(tmp_path)
        assert found is not None
        assert found[0] == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"step": 2}', b"\xff\xfe"])
def test_a_damaged_sidecar_is_no_checkpoint(tmp_path: Path, damage: bytes) -> None:
    save_checkpoint(tmp_path, 2, TENSORS, STATE)
    (tmp_path / "000000002.json").write_bytes(damage)
    assert load_checkpoint(tmp_path) is None


def test_tensors_without_their_sidecar_are_not_committed(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, TENSORS, STATE)
    (tmp_path / "000000009.safetensors").write_bytes(b"killed half-way")
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found[0] == 1


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "absent") is None
