"""A server that speaks S3, on loopback (moto), and a way to break what goes to it."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import boto3
import pytest
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

BUCKET = "searches"
# Nothing of the machine's own is used or asked for.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


def url_of(address: str, path: str = "runs", bucket: str = BUCKET) -> str:
    return f"s3://{bucket}/{path}?endpoint_override={address}&region=us-east-1&scheme=http"


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """HOST:PORT of a server with an empty bucket BUCKET."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
            client.create_bucket(Bucket=BUCKET)
            yield f"{host}:{port}"
        finally:
            server.stop()


def remove_bucket(name: str) -> None:
    """Take a bucket away with all that is in it, at one moment. A client must empty it first, object by object, while
    others look and write."""
    backends = get_backend("s3")
    partition, account = backends.bucket_accounts.pop(name)
    del backends[account][partition].buckets[name]


class Proxy:
    """Passes bytes on to a server. up: whether it does. cut_after: bytes of a connection, then it breaks."""

    def __init__(self, address: str):
        host, _, port = address.partition(":")
        self._to = (host, int(port))
        self.up = True
        self.cut_after: int | None = None
        self.num_cut = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self.up:
                client.close()
                continue
            server = socket.create_connection(self._to)
            for source, target, is_upload in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, target, is_upload), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_upload: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while self.up and (data := source.recv(65536)):
                passed += len(data)
                if is_upload and self.cut_after is not None and passed > self.cut_after:
                    self.num_cut += 1
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
