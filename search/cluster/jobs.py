"""Ray's Jobs API over HTTP: packages, jobs and their logs, with the cluster's token.

Ray's own client is not used: it takes seconds to import, waits for ever, and tells what went wrong in pages.
"""

import asyncio
import os
import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from search.errors import InputError, OperationFailed
from search.machine.urls import shown_url
from trainable.storage.path import expanded

_SECONDS = 60.0  # a head that is busy answers slowly
_NOT_YET = "No available agent"  # of a head whose dashboard is up before the rest of it
PAUSE_SECONDS = 1.0  # before such a head is asked again
_IS_OVER = ("SUCCEEDED", "FAILED", "STOPPED")
# Ray's stop, its dashboard's button too, then waits for a clean end instead of killing after 3 s.
_ENVIRONMENT = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": "60"}


class JobExistsError(OperationFailed):
    """A job of this id was submitted before."""


@dataclass(frozen=True)
class Job:
    """A job as the cluster lists it. status: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.

    message: what Ray says of its end, with the last lines of its log. exit_code: of its process, None until it ends.
    end_ms: by the head's clock.
    """

    id: str
    status: str
    message: str
    exit_code: int | None
    end_ms: int | None

    @property
    def is_over(self) -> bool:
        return self.status in _IS_OVER

    @property
    def error(self) -> str:
        """Why it failed, in one line."""
        lines = [line.strip() for line in self.message.splitlines() if line.strip()]
        ours = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        return (ours or lines or ["unknown"])[-1][:500]


class JobsApi:
    """The jobs of the cluster at `address`, such as http://127.0.0.1:8265.

    Every method raises OperationFailed, in one line, for a cluster that cannot be reached or does not let us in.
    """

    def __init__(self, address: str):
        match = re.fullmatch(r"(https?://)([^/@\s]+)/*", address)
        if match is None:
            raise InputError(
                f"`--address` must be that of a cluster's dashboard, but got {shown_url(address)!r}. "
                "Example: http://127.0.0.1:8265"
            )
        self.address = match[1] + match[2]
        host = match[2].rpartition(":")[0] or match[2]
        # What goes to this machine goes through no proxy, whatever the environment says.
        self._direct = host in ("localhost", "[::1]") or host.startswith("127.")

    def ensure_package(self, name: str, content: bytes) -> None:
        """Send the package unless the cluster has it."""
        path = f"/api/packages/gcs/{name}"
        if self._ask("GET", path, known=(404,)).status_code == 404:
            self._ask("PUT", path, data=content)

    def submit(self, job_id: str, entrypoint: str, package_name: str) -> None:
        """Start `entrypoint`, a shell line, on the head in a folder with the package. JobExistsError for a used id."""
        request = {
            "submission_id": job_id,
            "entrypoint": entrypoint,
            "runtime_env": {"working_dir": f"gcs://{package_name}", "env_vars": _ENVIRONMENT},
        }
        deadline = time.monotonic() + _SECONDS
        while (answer := self._ask("POST", "/api/jobs/", known=(500,), json=request)).status_code == 500:
            if "already exists" in answer.text:
                raise JobExistsError(f"a job {job_id!r} exists already on {self.address}")
            if _NOT_YET not in answer.text or time.monotonic() > deadline:
                raise self._unexpected(answer)
            time.sleep(PAUSE_SECONDS)

    def jobs(self) -> list[Job]:
        """All jobs that were submitted, in no order."""
        found = self._json("GET", "/api/jobs/")
        return [_job(entry) for entry in found if entry.get("submission_id")]

    def job(self, job_id: str) -> Job:
        return _job(self._json("GET", f"/api/jobs/{job_id}"))

    def log(self, job_id: str) -> str:
        """What the job has printed so far."""
        return str(self._json("GET", f"/api/jobs/{job_id}/logs")["logs"])

    def stop(self, job_id: str) -> None:
        """Interrupt the job; it is killed if it has not ended after a minute."""
        self._ask("POST", f"/api/jobs/{job_id}/stop")

    def delete(self, job_id: str) -> None:
        """Take a job that is over out of the list; nothing if somebody else did."""
        self._ask("DELETE", f"/api/jobs/{job_id}", known=(404,))

    def follow(self, job_id: str, show: Callable[[str], object]) -> None:
        """Show what the job has printed and goes on to print, in pieces, until it is over.

        All in one run of the event loop: Ctrl-C ends what waits, and the connection with it.
        """

        async def following() -> None:
            async with aclosing(self._pieces(job_id)) as pieces:
                async for piece in pieces:
                    show(piece)

        asyncio.run(following())

    async def _pieces(self, job_id: str) -> AsyncGenerator[str, None]:
        import aiohttp  # late: it takes longer to import than a verb takes to ask

        lost = OperationFailed(
            f"the connection to {self.address} was lost. What runs there goes on; the same command again shows it"
        )
        url = f"{self.address}/api/jobs/{job_id}/logs/tail"
        try:
            async with (
                aiohttp.ClientSession(trust_env=not self._direct) as session,
                session.ws_connect(url, headers=_authorization(), max_msg_size=0) as socket,
            ):
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        yield str(message.data)
                if socket.close_code not in (aiohttp.WSCloseCode.OK, None):
                    raise lost
        except aiohttp.ClientError as error:
            raise lost from error

    def _json(self, method: str, path: str) -> Any:
        answer = self._ask(method, path)
        try:
            return answer.json()
        except ValueError:
            raise self._unexpected(answer) from None

    def _ask(
        self, method: str, path: str, *, known: tuple[int, ...] = (), **content: Any
    ) -> requests.Response:
        """The answer, with status 200 or one of `known`."""
        with requests.Session() as session:
            session.trust_env = not self._direct
            try:
                answer = session.request(
                    method,
                    self.address + path,
                    auth=_with_token,  # also keeps a password of ~/.netrc out
                    timeout=_SECONDS,
                    allow_redirects=False,
                    **content,
                )
            except requests.RequestException as error:
                raise OperationFailed(
                    f"no cluster answers at {self.address} ({_reason(error)}). Is it up, and is its dashboard's port "
                    "forwarded to this machine? Run: ray dashboard CLUSTER.yaml"
                ) from error
        if answer.status_code == 401:
            raise OperationFailed(
                f"the cluster at {self.address} wants its token (401), and there is none here. Copy ~/.ray/auth_token "
                "from where it was started, or name its file in RAY_AUTH_TOKEN_PATH"
            )
        if answer.status_code == 403:
            raise OperationFailed(
                f"the cluster at {self.address} refuses the token of {_token()[1]} (403). Copy the ~/.ray/auth_token "
                "with which it was started"
            )
        if answer.status_code != 200 and answer.status_code not in known:
            raise self._unexpected(answer)
        return answer

    def _unexpected(self, answer: requests.Response) -> OperationFailed:
        lines = [line.strip() for line in answer.text.splitlines() if line.strip(" .\n")]
        said = lines[-1][:200] if lines else "nothing"
        return OperationFailed(
            f"{self.address} answered {answer.status_code} ({said}). Is it the dashboard of a Ray cluster?"
        )


def _token() -> tuple[str | None, str]:
    """(the token or None, where it is from), looked for as Ray does."""
    if os.environ.get("RAY_AUTH_MODE") == "disabled":
        return None, "RAY_AUTH_MODE=disabled"
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token, "RAY_AUTH_TOKEN"
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    try:
        path = Path(named) if named else expanded("~/.ray/auth_token")
    except ValueError as error:
        raise InputError(f"the token file {error}, in RAY_AUTH_TOKEN_PATH") from None
    try:
        return path.read_text().strip() or None, str(path)
    except FileNotFoundError:
        if named:
            raise InputError(f"RAY_AUTH_TOKEN_PATH: {path} does not exist") from None
        return None, str(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the token file {path} cannot be read: {_reason(error)}") from error


def _authorization() -> dict[str, str]:
    token, _ = _token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _with_token(request: Any) -> Any:
    request.headers.update(_authorization())
    return request


def _job(entry: Mapping[str, Any]) -> Job:
    return Job(
        id=entry["submission_id"],
        status=entry["status"],
        message=entry.get("message") or "",
        exit_code=entry.get("driver_exit_code"),
        end_ms=entry.get("end_time"),
    )


def _reason(error: BaseException) -> str:
    """The innermost cause, in a few words."""
    text = str(error)
    for words in (
        "Connection refused",
        "timed out",
        "Name or service not known",
        "CERTIFICATE_VERIFY_FAILED",
    ):
        if words in text:
            return words.lower()
    return " ".join(text.split())[:120]
