"""A command is started in odd surroundings: what it has to say is said, or it ends with one line."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from search.cluster.jobs import JobsApi
from search.errors import InputError
from search.machine.cache_folder import cache_folder
from search.machine.search_folders import local_root
from search.machine.state_folder import home
from search.machine.surroundings import without_blas_threads
from trainable.data.idx_folder import IdxFolder
from trainable.storage.path import expanded

ROOT = Path(__file__).parents[2]


def listed(redirected: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = f"{sys.executable} -m search list presets {redirected}"
    return subprocess.run(
        ["bash", "-c", f"{line}; echo code $? >&2"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_what_an_encoding_lacks_is_replaced() -> None:
    done = listed("", PYTHONUTF8="0", PYTHONIOENCODING="latin-1")
    assert done.stderr == "code 0\n"
    assert "|????????????????| logsnr_cauchy" in done.stdout


@pytest.mark.parametrize(
    ("redirected", "said"),
    [
        (">&-", "code 0\n"),
        (
            "> /dev/full",
            "error: nothing more can be written: No space left on device. Make room for it, then run the same command "
            "again\ncode 1\n",
        ),
    ],
)
def test_an_output_that_cannot_be_written_is_no_traceback(redirected: str, said: str) -> None:
    assert listed(redirected).stderr == said


def test_this_machine_is_never_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os, urllib.request; from search.machine.surroundings import settle; settle(); "
        "print([urllib.request.proxy_bypass(host) for host in ('127.0.0.1', 'localhost', 'example.org', 'other')]); "
        "print(os.environ['NO_PROXY'])"
    )
    environment = {"http_proxy": "http://127.0.0.1:9", "NO_PROXY": "example.org", "no_proxy": "example.org"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "[True, True, True, False]",
        "example.org,127.0.0.1,localhost,::1",
    ], done.stderr


def test_a_user_that_there_is_not_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    message = "~nobody1/x cannot be looked up: there is no user nobody1. Write the whole path"
    with pytest.raises(ValueError) as told:
        expanded("~nobody1/x")
    assert str(told.value) == message
    with pytest.raises(ValueError, match="there is no user nobody1"):
        IdxFolder(root="~nobody1/x").load(tmp_path)
    with pytest.raises(InputError, match=r"storage\.path: ~nobody1/x cannot be looked up"):
        local_root("~nobody1/x")
    monkeypatch.setenv("SCHEDULE_SEARCH_HOME", "~nobody1/x")
    with pytest.raises(InputError, match="the state folder ~nobody1/x cannot be looked up"):
        home()


def test_a_user_without_a_home_folder_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(number)

    for name in ("HOME", "SCHEDULE_SEARCH_HOME", "SCHEDULE_SEARCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    why = r"cannot be looked up: your user has no home folder here \(HOME is not set\)"
    with pytest.raises(
        InputError, match=rf"the state folder ~/.schedule-search {why}.* in SCHEDULE_SEARCH_HOME$"
    ):
        home()
    with pytest.raises(InputError, match=rf"the cache folder ~/.cache/\S+ {why}.* in SCHEDULE_SEARCH_CACHE$"):
        cache_folder()
    with pytest.raises(
        InputError, match=rf"the token file ~/.ray/auth_token {why}.* in RAY_AUTH_TOKEN_PATH$"
    ):
        JobsApi("http://127.0.0.1:9").jobs()


@pytest.mark.parametrize(("given", "inside"), [(None, "1"), ("2", "2")])
def test_threads_of_linear_algebra_are_left_out_in_a_block_alone(
    given: str | None, inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    before = dict(os.environ)
    with without_blas_threads():
        assert os.environ["OPENBLAS_NUM_THREADS"] == inside
    assert dict(os.environ) == before
