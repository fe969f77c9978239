"""Verbs with a cluster's address, against a stand-in of Ray's Jobs API that answers as Ray 2.60 does."""

import asyncio
import io
import json
import shlex
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from search import cli
from search.cluster import remote
from search.cluster.jobs import Job, JobsApi
from search.errors import OperationFailed
from search.file.spec import spec_of
from search.file.yaml12 import parse_document

TOKEN = "0123456789abcdef" * 4
SEARCH = "name: toy\ndata: digits\nbudget: {max_trials: 3}\nconfirm: {top: 1, rounds: [2]}\n"
RAYS_LINES = "2026-11-21 20:34:56,875\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
UNKNOWN = (2, json.dumps({"error": "?"}), "error: no search named 'toy' on this cluster. There is none.\n")


@dataclass
class Cluster:
    """What the stand-in holds. answers: verb -> (exit code, stdout, stderr) of it on the head.

    Jobs that are no such verbs end with `ends` (status, exit code, log), None: they run on.
    """

    url: str = ""
    answers: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    ends: tuple[str, int | None, str] | None = None
    packages: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    on_list: Callable[[], None] = lambda: None
    on_tail: Callable[[], None] | None = None  # instead of the end of a log that is followed
    not_yet: int = 0  # submissions that it refuses because it is just starting

    def put(
        self, job_id: str, status: str, *, exit_code: int | None = None, log: str = "", age: float = 0
    ) -> None:
        self.jobs[job_id] = {
            "submission_id": job_id,
            "status": status,
            "message": f"Job entrypoint command failed with exit code {exit_code}, last available logs:\n{log}",
            "driver_exit_code": exit_code,
            "end_time": int((time.time() - age) * 1000),
        }
        self.logs[job_id] = log

    @property
    def searches(self) -> list[str]:
        """The jobs that run a search, by their ids."""
        return sorted(job_id for job_id in self.jobs if job_id.startswith("search-"))

    def run(self, request: dict[str, Any]) -> None:
        """The job ends at once."""
        job_id, words = request["submission_id"], shlex.split(request["entrypoint"])
        entry = {**request, "status": "RUNNING", "message": "", "driver_exit_code": None, "end_time": None}
        self.jobs[job_id] = entry
        started = f"{RAYS_LINES}Running entrypoint for job {job_id}: {request['entrypoint']}\n"
        self.logs[job_id] = started
        if words[3] == "search.answer":
            nonce, *arguments = words[4:]
            self.asked.append(arguments)
            code, out, err = self.answers[arguments[0]]
            answer = json.dumps({"exit_code": code, "stdout": out, "stderr": err})
            self.logs[job_id] += f"a warning of a library\n{nonce} {answer}\n"
            entry |= {"status": "SUCCEEDED", "driver_exit_code": 0, "end_time": int(time.time() * 1000)}
        elif self.ends is not None:
            status, code, log = self.ends
            self.put(job_id, status, exit_code=code, log=started + log)


def application(cluster: Cluster) -> web.Application:
    def job(request: web.Request) -> dict[str, Any]:
        if request.match_info["id"] not in cluster.jobs:
            raise web.HTTPNotFound(text="Job does not exist")
        return cluster.jobs[request.match_info["id"]]

    async def package(request: web.Request) -> web.Response:
        known = request.match_info["name"] in cluster.packages
        return web.Response() if known else web.Response(status=404, text="does not exist")

    async def upload(request: web.Request) -> web.Response:
        cluster.packages[request.match_info["name"]] = await request.read()
        return web.Response()

    async def listed(request: web.Request) -> web.Response:
        await asyncio.get_running_loop().run_in_executor(None, cluster.on_list)
        driver = {"type": "DRIVER", "submission_id": None, "status": "RUNNING"}
        return web.json_response([*cluster.jobs.values(), driver])

    async def submitted(request: web.Request) -> web.Response:
        wanted = await request.json()
        if cluster.not_yet > 0:
            cluster.not_yet -= 1
            return web.Response(
                status=500, text="Traceback ...\nNo available agent to submit job, please try again."
            )
        if wanted["submission_id"] in cluster.jobs:
            text = f"Traceback ...\nValueError: Job with submission_id {wanted['submission_id']} already exists. "
            return web.Response(status=500, text=text)
        cluster.run(wanted)
        return web.json_response({"submission_id": wanted["submission_id"]})

    async def one(request: web.Request) -> web.Response:
        return web.json_response(job(request))

    async def log(request: web.Request) -> web.Response:
        return web.json_response({"logs": cluster.logs[job(request)["submission_id"]]})

    async def tail(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        text = cluster.logs[job(request)["submission_id"]]
        for start in range(0, len(text), 50):
            await socket.send_str(text[start : start + 50])
        if cluster.on_tail is not None:
            cluster.on_tail()
            await socket.receive()  # until the other side has gone
        return socket

    async def stop(request: web.Request) -> web.Response:
        found = job(request)
        cluster.stopped.append(found["submission_id"])
        found["status"] = "STOPPED"
        return web.json_response({"stopped": True})

    async def delete(request: web.Request) -> web.Response:
        del cluster.jobs[job(request)["submission_id"]]
        return web.json_response({"deleted": True})

    @web.middleware
    async def with_token(request: web.Request, handler: Any) -> web.StreamResponse:
        given = request.headers.get("Authorization")
        if given is None:
            return web.Response(status=401, text="Unauthorized: Missing authentication token")
        if given != f"Bearer {TOKEN}":
            return web.Response(status=403, text="Forbidden: Invalid authentication token")
        answer: web.StreamResponse = await handler(request)
        return answer

    app = web.Application(middlewares=[with_token], client_max_size=2**26)
    app.router.add_get("/api/packages/gcs/{name}", package)
    app.router.add_put("/api/packages/gcs/{name}", upload)
    app.router.add_get("/api/jobs/", listed)
    app.router.add_post("/api/jobs/", submitted)
    app.router.add_get("/api/jobs/{id}", one)
    app.router.add_delete("/api/jobs/{id}", delete)
    app.router.add_get("/api/jobs/{id}/logs", log)
    app.router.add_get("/api/jobs/{id}/logs/tail", tail)
    app.router.add_post("/api/jobs/{id}/stop", stop)
    return app


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster on loopback that wants TOKEN."""
    held = Cluster(answers={"doctor": (0, '{"storage": "/mnt"}', "")})
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(application(held))
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
    held.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield held
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(120)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(autouse=True)
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose home has the token, in a folder with toy.yaml."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text(f"{TOKEN}\n")
    (tmp_path / "toy.yaml").write_text(SEARCH)
    return tmp_path


# --- submit ---------------------------------------------------------------------------------------


def test_submit_ships_the_code_and_returns_at_once(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["submit", "toy.yaml", "--address", cluster.url, "--trials", "2"]) == 0
    assert cluster.searches == ["search-toy-run1"]
    job = cluster.jobs["search-toy-run1"]
    assert job["entrypoint"] == (
        "exec sh search/cluster/on_head.sh search run searches/toy.yaml --trials 2 --address auto"
    )
    [(name, content)] = cluster.packages.items()
    assert job["runtime_env"]["working_dir"] == f"gcs://{name}"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("searches/toy.yaml").decode() == SEARCH
        assert "search/cluster/on_head.sh" in archive.namelist()
    assert TOKEN not in json.dumps(job)
    assert capsys.readouterr().out.splitlines() == [
        "Search toy is submitted and goes on without this machine.",
        f"  python -m search watch toy --address {cluster.url}",
        f"  python -m search logs toy -f --address {cluster.url}",
        f"  python -m search stop toy --address {cluster.url}",
    ]


@pytest.mark.parametrize(
    ("line", "there"),
    [
        (["submit", "toy.yaml"], "run searches/toy.yaml"),
        (["resume", "toy"], "run toy"),
        (["extend", "toy", "--trials", "2"], "extend toy --trials 2"),
        (["confirm", "toy", "--top", "1"], "confirm toy --top 1"),
        (["hold", "toy", "--at", "data: digits"], "hold toy --at 'data: digits'"),
    ],
)
def test_the_address_to_notify_is_sent_in_a_file_and_no_list_of_jobs_shows_it(
    line: list[str], there: str, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "https://hooks.example/T0/secret"
    cluster.answers["status"] = (0, json.dumps({"name": "toy", "state": "stopped"}), "")
    assert cli.main([*line, "--address", cluster.url, "--notify", secret]) == 0
    (job,) = (cluster.jobs[job_id] for job_id in cluster.searches)
    words = f"exec sh search/cluster/on_head.sh search {there} --notify notify.url --address auto"
    assert job["entrypoint"] == words
    content = cluster.packages[job["runtime_env"]["working_dir"].removeprefix("gcs://")]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("notify.url").decode() == secret
    shown = capsys.readouterr()
    listed = json.dumps([cluster.jobs, cluster.logs, cluster.asked])
    assert "secret" not in shown.out + shown.err + listed


def test_what_is_no_address_to_notify_is_refused_before_anything_is_sent(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in (["submit", "toy.yaml"], ["resume", "toy"]):
        assert cli.main([*line, "--address", cluster.url, "--notify", "hooks"]) == 2
        assert "--notify needs an address" in capsys.readouterr().err
    assert (
        cli.main(["submit", "toy.yaml", "--address", cluster.url, "--dry-run", "--notify", "http://h/"]) == 2
    )
    assert "--notify has no effect with --dry-run" in capsys.readouterr().err
    assert (cluster.packages, cluster.jobs) == ({}, {})


def test_submit_ships_the_folder_of_a_script(cluster: Cluster, tmp_path: Path) -> None:
    code = tmp_path / "my code"
    (code / "lib").mkdir(parents=True)
    for name in ("train.py", "lib/net.py", "big.npz"):
        (code / name).write_text(name)
    (code / ".gitignore").write_text("*.npz\n")
    words = '["{python}", train.py, "{schedule}", "{seed}", "{folder}"]'
    trainer = f"trainer: {{name: command, command: {words}, folder: {code}, objective: fid}}"
    Path("own.yaml").write_text(f"name: own\n{trainer}\nbudget: {{max_trials: 9}}\n")
    assert cli.main(["submit", "own.yaml", "--address", cluster.url]) == 0
    [(_, content)] = cluster.packages.items()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        shipped = {name for name in archive.namelist() if name.startswith("scripts/")}
        assert shipped == {f"scripts/my code/{name}" for name in ("train.py", "lib/net.py", ".gitignore")}
        found = spec_of(parse_document(archive.read("searches/own.yaml")))
    assert found.script is not None and found.script.folder == "scripts/my code"
    assert found.storage.model_fields_set == set()


def test_a_search_whose_storage_cannot_be_used_there_is_not_submitted(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = (
        "error: storage.path: node 10.0.0.7 does not share /mnt/runs. Trials keep their checkpoints there\n"
    )
    cluster.answers["doctor"] = (2, "", problem)
    assert cli.main(["submit", "toy.yaml", "--address", cluster.url]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", problem)
    assert cluster.asked == [["doctor", "searches/toy.yaml", "--head"]]
    assert not cluster.searches


def test_a_head_that_is_just_starting_is_asked_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.cluster.jobs.PAUSE_SECONDS", 0.01)
    cluster.not_yet = 3
    assert cli.main(["submit", "toy.yaml", "--address", cluster.url]) == 0
    assert cluster.searches == ["search-toy-run1"]


def test_a_search_is_submitted_again_only_when_its_last_job_is_over(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    submit = ["submit", "toy.yaml", "--address", cluster.url]
    assert cli.main(submit) == 0
    assert cli.main(submit) == 1
    assert capsys.readouterr().err == (
        f"error: search 'toy' is being run on {cluster.url} already. "
        f"See: python -m search status toy --address {cluster.url}\n"
    )
    cluster.put("search-toy-run1", "FAILED", exit_code=1)
    assert cli.main(submit) == 0
    assert cluster.searches == ["search-toy-run1", "search-toy-run2"]
    assert len(cluster.packages) == 1


def test_of_two_that_submit_one_name_at_once_exactly_one_wins(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.commands()  # read once, before there are two: Python 3.11's ast is not safe in threads
    both_have_looked = threading.Barrier(2)
    cluster.on_list = lambda: both_have_looked.wait(120) and None
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(cli.main, [["submit", "toy.yaml", "--address", cluster.url]] * 2))
    assert sorted(codes) == [0, 1]
    assert cluster.searches == ["search-toy-run1"]
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert "is being run on" in shown.err
    assert shown.out.count("is submitted") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("budget: {max_trials: -3}", "error: toy.yaml:5: budget: duplicate key: also on line 3"),
        (
            "storage: {path: runs}",
            "error: storage.path must be absolute for a search on a cluster, but got 'runs'",
        ),
        (
            "storage: {study_url: 'postgresql+psycopg://me:hidden@host/db'}",
            "error: toy.yaml:5: storage.study_url: must not hold a password",
        ),
        (
            "storage: {mlflow_uri: 'http://hidden@host'}",
            "error: toy.yaml:5: storage.mlflow_uri: must not hold a password",
        ),
    ],
)
def test_a_file_that_cannot_run_there_is_refused_here(
    cluster: Cluster, laptop: Path, capsys: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    (laptop / "toy.yaml").write_text(f"{SEARCH}{change}\n")
    assert cli.main(["submit", "toy.yaml", "--address", cluster.url]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(message)
    assert "hidden" not in shown
    assert not cluster.jobs


def test_a_dry_run_sends_nothing(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["submit", "toy.yaml", "--address", cluster.url, "--dry-run"]) == 0
    assert "# trials: 3, and at most" in capsys.readouterr().out
    assert not cluster.jobs
    assert not cluster.packages


@pytest.mark.parametrize(
    ("ends", "code", "out", "err"),
    [
        (("SUCCEEDED", 0, "  0s  search\ndone\n"), 0, "  0s  search\ndone\n", ""),
        (("FAILED", 2, "error: a rule\n"), 2, "error: a rule\n", ""),
        (("STOPPED", None, "  0s  search\n"), 130, "  0s  search\n", ""),
        (("FAILED", -9, "  0s  search\n"), 1, "  0s  search\n", ""),
        (("FAILED", None, ""), 1, "", "error: search 'toy' did not start on "),
    ],
)
def test_wait_follows_to_the_end_and_ends_alike(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], ends: Any, code: int, out: str, err: str
) -> None:
    cluster.ends = ends
    assert cli.main(["submit", "toy.yaml", "--address", cluster.url, "--wait"]) == code
    shown = capsys.readouterr()
    assert shown.out == out
    assert shown.err.startswith(err)
    assert bool(shown.err) is bool(err)


# --- who is let in --------------------------------------------------------------------------------


def test_without_a_token_and_with_a_wrong_one_there_is_one_line(
    cluster: Cluster, laptop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status = ["status", "--address", cluster.url]
    (laptop / ".ray" / "auth_token").write_text("wrong" * 8)
    assert cli.main(status) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(
        f"error: the cluster at {cluster.url} refuses the token of {laptop}/.ray/auth_token (403)"
    )
    assert "wrongwrong" not in shown
    (laptop / ".ray" / "auth_token").unlink()
    assert cli.main(status) == 1
    assert capsys.readouterr().err.startswith(f"error: the cluster at {cluster.url} wants its token (401)")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "nowhere")
    assert cli.main(status) == 2
    assert capsys.readouterr().err == "error: RAY_AUTH_TOKEN_PATH: nowhere does not exist\n"


@pytest.mark.parametrize("variable", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_the_token_is_looked_for_as_ray_does(
    cluster: Cluster, laptop: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (laptop / ".ray" / "auth_token").rename(laptop / "token")
    monkeypatch.setenv(variable, TOKEN if variable == "RAY_AUTH_TOKEN" else "token")
    assert cli.main(["submit", "toy.yaml", "--address", cluster.url]) == 0


@pytest.mark.parametrize(
    ("address", "code", "message"),
    [
        (
            "http://127.0.0.1:1",
            1,
            "error: no cluster answers at http://127.0.0.1:1 (connection refused). Is it up",
        ),
        (
            "auto",
            2,
            "error: `--address` must be that of a cluster's dashboard, but got 'auto'. Example: http://",
        ),
        (
            "http://me:hidden@host",
            2,
            "error: `--address` must be that of a cluster's dashboard, but got 'http://me:***@",
        ),
    ],
)
def test_where_there_is_no_cluster_one_line_says_so(
    capsys: pytest.CaptureFixture[str], address: str, code: int, message: str
) -> None:
    assert cli.main(["status", "--address", address]) == code
    shown = capsys.readouterr().err
    assert shown.startswith(message)
    assert shown.count("\n") == 1
    assert "hidden" not in shown


def test_what_answers_otherwise_than_a_cluster_is_told_in_one_line(cluster: Cluster) -> None:
    with pytest.raises(OperationFailed) as told:
        JobsApi(f"{cluster.url}/").log("nothing")
    assert str(told.value) == (
        f"{cluster.url} answered 404 (Job does not exist). Is it the dashboard of a Ray cluster?"
    )


def test_where_there_is_no_search_status_says_so(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers["status"] = (0, json.dumps({"searches": []}), "")
    assert cli.main(["status", "--address", cluster.url]) == 0
    assert capsys.readouterr().out == f"There is no search in {cluster.url}.\n"


# --- verbs on the head ----------------------------------------------------------------------------


def entry(name: str, state: str, **changes: Any) -> dict[str, Any]:
    """A search as `status --json` has it."""
    trials = {"ended": 2, "most": 3, "confirm_ended": 0, "confirm_most": 6, "open": 1}
    trials |= {"done": 1, "stopped": 1, "diverged": 0, "failed": 0}
    best = {"value": 26.85, "step": 100, "trial": 0, "title": "trial 0 (ict)", "schedule": "lognormal()"}
    return {
        "name": name,
        "state": state,
        "folder": f"/mnt/{name}",
        "objective": "fd_digits_cnn",
        "total_steps": 100,
        "trials": trials,
        "best": best,
        "finding": None,
        "slot_hours": 1.5,
        "gpu_hours": 0.375,
        "running_seconds": None,
        "problem": None,
    } | changes


def test_status_of_all_searches_adds_what_the_job_list_knows(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [entry("digits", "running"), entry("halted", "stopped"), entry("torn", "stopped", gpu_hours=0.0)]
    cluster.answers["status"] = (0, json.dumps({"searches": found}), "")
    cluster.put("search-digits-run1", "FAILED", exit_code=130)
    cluster.put("search-digits-run10", "RUNNING")
    cluster.put("search-halted-run1", "FAILED", exit_code=130)
    cluster.put("search-torn-run2", "FAILED", exit_code=1, log="  3s  search\nerror: every trial failed\n")
    cluster.put("search-early-run1", "PENDING")
    cluster.put("search-bad-run1", "FAILED", exit_code=2, log="error: toy.yaml: a rule\n")
    cluster.put("search-gone-run1", "SUCCEEDED", exit_code=0)
    assert cli.main(["status", "--address", cluster.url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "search  state     trials  slot-hours  GPU-hours  best",
        "bad     failed                                   toy.yaml: a rule",
        "digits  running      2/3        1.50       0.38  fd_digits_cnn 26.85, trial 0 (ict)",
        "early   starting",
        "halted  stopped      2/3        1.50       0.38  fd_digits_cnn 26.85, trial 0 (ict)",
        "torn    failed       2/3        1.50          -  every trial failed",
    ]
    assert cluster.asked == [["status", "--json"]]


def test_status_of_one_search(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.answers["status"] = (0, json.dumps(entry("toy", "running", running_seconds=65.0)), "")
    assert cli.main(["status", "toy", "--address", cluster.url, "--storage", "/mnt"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "toy: running for 1m 05s",
        "  trials   2/3: 1 running, 1 done, 1 stopped",
        "  best     fd_digits_cnn 26.85, trial 0 (ict)",
        "           lognormal()",
        "  cost     1.50 slot-hours, 0.38 GPU-hours",
        "  folder   /mnt/toy",
    ]
    assert cluster.asked == [["status", "--storage", "/mnt", "--json", "toy"]]


def test_a_job_that_never_came_to_be_a_search_has_a_status(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers["status"] = UNKNOWN
    status = ["status", "toy", "--address", cluster.url]
    assert cli.main(status) == 2
    assert capsys.readouterr().err == "error: no search named 'toy' on this cluster. There is none.\n"
    cluster.put("search-toy-run1", "FAILED", exit_code=2, log="error: a rule\n")
    assert cli.main([*status, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"name": "toy", "state": "failed", "problem": "a rule", "job": "search-toy-run1"}


def test_the_page_is_fetched_from_the_head(
    cluster: Cluster, laptop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers["report"] = (0, "<!doctype html>\n<p>§</p>\n", "")
    assert cli.main(["report", "toy", "--address", cluster.url]) == 0
    assert cluster.asked == [["report", "toy", "--output", "-"]]
    assert Path("report.html").read_text(encoding="utf-8") == "<!doctype html>\n<p>§</p>\n"
    assert capsys.readouterr().out == f"The page of toy: {Path('report.html').absolute()}\n"


def test_the_leaderboard_is_shown_as_the_head_prints_it(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers["leaderboard"] = (0, "toy: lower is better\n§\n", "a warning\n")
    assert cli.main(["leaderboard", "toy.yaml", "--all", "--address", cluster.url]) == 0
    assert capsys.readouterr().out == "toy: lower is better\n§\n"
    assert cluster.asked == [["leaderboard", "toy", "--all"]]


def test_which_search_the_head_has_taken_is_said_here(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers["leaderboard"] = (0, "a table\n", "a warning\nnote: the latest search is toy\n")
    assert cli.main(["leaderboard", "--address", cluster.url]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("a table\n", "note: the latest search is toy\n")


def test_an_error_on_the_head_is_the_same_error_here(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers["export"] = (1, "", "error: one\nwarning\nerror: two\n")
    assert cli.main(["export", "toy", "--address", cluster.url]) == 1
    assert capsys.readouterr().err == "error: one\nerror: two\n"
    cluster.answers["export"] = UNKNOWN
    assert cli.main(["export", "toy", "--address", cluster.url]) == 2
    assert not Path("best_schedule.json").exists()


def test_commands_of_the_past_leave_the_job_list(cluster: Cluster) -> None:
    cluster.put("verb-status-old", "SUCCEEDED", age=3600)
    cluster.put("search-toy-run1", "SUCCEEDED", age=3600)
    cluster.answers["leaderboard"] = (0, "", "")
    assert cli.main(["leaderboard", "toy", "--address", cluster.url]) == 0
    assert "verb-status-old" not in cluster.jobs
    assert "search-toy-run1" in cluster.jobs


def test_an_answer_counts_though_the_job_list_cannot_be_tidied(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError

    cluster.on_list = broken
    cluster.answers["leaderboard"] = (0, "toy: lower is better\n", "")
    assert cli.main(["leaderboard", "toy", "--address", cluster.url]) == 0
    assert capsys.readouterr().out == "toy: lower is better\n"


# --- logs, stop, resume, extend, confirm ----------------------------------------------------------


def test_logs_are_those_of_the_latest_run_without_rays_own(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.ends = ("SUCCEEDED", 0, "     0s  search: 3 trials\n")
    cluster.put("search-toy-run1", "FAILED", exit_code=130, log="the first")
    assert cli.main(["submit", "toy.yaml", "--address", cluster.url]) == 0
    capsys.readouterr()
    for flags in ([], ["-f"]):
        assert cli.main(["logs", "toy", "--address", cluster.url, *flags]) == 0
        assert capsys.readouterr().out == "     0s  search: 3 trials\n"
    assert cli.main(["logs", "toys", "--address", cluster.url]) == 2
    shown = capsys.readouterr().err
    assert (
        shown == f"error: no search 'toys' was submitted to {cluster.url} since it was started. There: toy\n"
    )


@pytest.mark.parametrize("command", [["logs", "toy", "-f"], ["submit", "toy.yaml", "--wait"]])
def test_ctrl_c_ends_the_looking_and_not_the_search(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    if command[0] == "logs":
        cluster.put("search-toy-run1", "RUNNING", log="  0s  search\n")
    cluster.on_tail = lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    assert cli.main([*command, "--address", cluster.url]) == 0
    assert "error" not in capsys.readouterr().err
    assert cluster.jobs["search-toy-run1"]["status"] == "RUNNING"


def test_stop_waits_for_the_job_to_end(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.answers["stop"] = (0, json.dumps(entry("toy", "stopped")), "")
    assert cli.main(["stop", "toy", "--address", cluster.url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Search toy is stopped. 2 trials have ended, 1 wait to go on. Go on with:",
        f"  python -m search resume toy --address {cluster.url}",
    ]
    assert not cluster.stopped
    cluster.answers["stop"] = (0, json.dumps(entry("toy", "finished")), "")
    assert cli.main(["stop", "toy", "--address", cluster.url]) == 0
    assert capsys.readouterr().out == "Search toy has finished before it could be stopped.\n"


def test_a_search_that_is_only_starting_is_stopped_as_a_job(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answers["stop"] = UNKNOWN
    assert cli.main(["stop", "toy", "--address", cluster.url]) == 2
    cluster.put("search-toy-run1", "RUNNING")
    assert cli.main(["stop", "toy", "--address", cluster.url]) == 0
    assert cluster.stopped == ["search-toy-run1"]
    cluster.put("search-toy-run1", "RUNNING")
    cluster.answers["stop"] = (
        1,
        "",
        "error: search 'toy' is not running. See: python -m search status toy\n",
    )
    assert cli.main(["stop", "toy", "--address", cluster.url]) == 0
    assert len(cluster.stopped) == 2


def test_a_driver_that_takes_its_time_to_stop_is_not_killed(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "error: search 'toy' was told to stop, but process 7 has not ended in 60 s. Tell it again\n"
    cluster.put("search-toy-run1", "RUNNING")
    cluster.answers["stop"] = (1, "", told)
    assert cli.main(["stop", "toy", "--address", cluster.url]) == 1
    assert capsys.readouterr().err == told
    assert not cluster.stopped


@pytest.mark.parametrize(
    ("command", "entrypoint"),
    [
        (["resume", "toy"], "run toy --address auto"),
        (["extend", "toy", "--trials", "20"], "extend toy --trials 20 --address auto"),
        (["confirm", "toy", "--seeds", "16"], "confirm toy --seeds 16 --address auto"),
    ],
)
def test_what_goes_on_with_a_search_is_submitted(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], command: list[str], entrypoint: str
) -> None:
    cluster.put("search-toy-run1", "FAILED", exit_code=130)
    cluster.answers["status"] = (0, json.dumps(entry("toy", "stopped")), "")
    assert cli.main([*command, "--address", cluster.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "toy",
        "job": "search-toy-run2",
        "address": cluster.url,
    }
    assert cluster.jobs["search-toy-run2"]["entrypoint"].endswith(f"on_head.sh search {entrypoint}")
    cluster.answers["status"] = (0, json.dumps(entry("toy", "running")), "")
    assert cli.main([*command, "--address", cluster.url]) == 1
    assert capsys.readouterr().err.startswith(
        "error: search 'toy' is running. Wait for it, or run: python -m search"
    )
    cluster.answers["status"] = UNKNOWN
    assert cli.main([*command, "--address", cluster.url]) == 2


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["run", "toy.yaml", "--address", "http://127.0.0.1:1"],
            "`run` drives the search from here, and http://",
        ),
        (["resume", "toy", "--wait"], "--wait has no effect without a cluster's address"),
        (["extend", "toy", "--trials", "1", "--wait"], "--wait has no effect without a cluster's address"),
        (["extend", "toy", "--trials", "0", "--address", "http://127.0.0.1:1"], "`--trials > 0` must hold"),
        (["resume", "toy", "--output", "x", "--address", "http://127.0.0.1:1"], "--output has no effect"),
        (
            ["export", "x.json", "--format", "edm", "--address", "http://127.0.0.1:1"],
            "--address has no effect on a file",
        ),
        (["export", "x.json", "--format", "edm", "--storage", "y"], "--storage has no effect on a file"),
        (
            ["logs", "toy", "-f", "--json", "--address", "http://127.0.0.1:1"],
            "--follow has no effect with --json",
        ),
        (["status", "a b", "--address", "http://127.0.0.1:1"], "'a b' cannot be the name of a search"),
    ],
)
def test_what_would_have_no_effect_is_refused(
    capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    assert cli.main(command) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_the_name_of_a_search_may_look_like_a_job() -> None:
    jobs = [
        Job(f"search-{name}-run{n}", "SUCCEEDED", "", 0, 0)
        for name, n in (("a", 9), ("a", 10), ("a-run1", 1))
    ]
    found = remote.runs_of([*reversed(jobs), Job("search-x", "RUNNING", "", None, None)])
    assert {name: [job.id for job in runs] for name, runs in found.items()} == {
        "a": ["search-a-run9", "search-a-run10"],
        "a-run1": ["search-a-run1-run1"],
    }
