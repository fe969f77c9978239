"""Where downloads, feature networks and reference statistics are kept, and what is said where they cannot be."""

import errno
import os
from pathlib import Path

import pytest

from search.errors import InputError, OperationFailed
from search.machine.cache_folder import cache_folder, usable_cache
from trainable.storage.atomic import write_atomically


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Nobody names a cache; the home folder is `tmp_path`."""
    for name in ("SCHEDULE_SEARCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


def test_it_is_where_the_user_wants_caches_to_be(named: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / ".cache/schedule-search"
    named.setenv("XDG_CACHE_HOME", "relative")  # the standard has it ignored
    assert cache_folder() == tmp_path / ".cache/schedule-search"
    named.setenv("XDG_CACHE_HOME", "/var/xdg")
    assert cache_folder() == Path("/var/xdg/schedule-search")
    named.setenv("SCHEDULE_SEARCH_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "mine"
    named.setenv("SCHEDULE_SEARCH_CACHE", "~nobody1/mine")
    with pytest.raises(
        InputError, match="the cache folder ~nobody1/mine cannot be looked up: there is no user"
    ):
        cache_folder()


@pytest.mark.parametrize("folder", ["/proc/x", "/dev/null/x"])
def test_one_that_cannot_be_made_is_one_line(folder: str, named: pytest.MonkeyPatch) -> None:
    named.setenv("SCHEDULE_SEARCH_CACHE", folder)
    said = rf"the cache folder {folder} cannot be used: .*\. Name another folder in SCHEDULE_SEARCH_CACHE$"
    with pytest.raises(InputError, match=said), usable_cache():
        pass


def test_one_that_fills_up_is_one_line_and_other_troubles_are_not_its(
    named: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with usable_cache() as cache:
        assert not cache.exists()  # looking at it makes nothing
    named.setattr(os, "fsync", full)
    said = rf"the cache folder {cache} cannot be used: No space left"
    with pytest.raises(OperationFailed, match=said), usable_cache() as cache:
        write_atomically(cache / "networks" / "x.json", b"{}")
    with pytest.raises(OSError, match=r"No space left on device: .*elsewhere"), usable_cache():
        write_atomically(tmp_path / "elsewhere", b"{}")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
