"""The URL of a place in a bucket: s3://BUCKET/PATH or gs://BUCKET/PATH."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_KEY = re.compile(r"[A-Za-z0-9_.=+@,()-]+")  # one part of a path
_OPTIONS = {
    "region": re.compile(r"[a-z0-9-]+"),
    "endpoint_override": re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?"),
    "scheme": re.compile(r"https?"),
}
_SECRET = re.compile(r"key|secret|token|password|credential|signature", re.IGNORECASE)
_NO_SECRETS = (
    "must not hold keys or passwords: the file is kept, shown and sent to every machine. Leave them to the machine's "
    "role, the environment (AWS_ACCESS_KEY_ID, ...) or ~/.aws/credentials"
)


@dataclass(frozen=True, kw_only=True)
class BucketUrl:
    """s3://BUCKET/PATH or gs://BUCKET/PATH.

    path: without slashes at its ends, may be empty. options (S3 only): `region`, found out by default;
    `endpoint_override`, HOST:PORT of a server other than Amazon's; `scheme`, http or https, how to speak to that.
    """

    kind: str
    bucket: str
    path: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, url: str) -> "BucketUrl":
        """ValueError says what is wrong with `url`, in one line that repeats no secret."""
        kind = url.partition("://")[0]
        if kind not in ("s3", "gs"):
            raise ValueError(
                f"must be a folder, s3://BUCKET/PATH or gs://BUCKET/PATH, but got {kind[:20]}://..."
            )
        try:
            split = urlsplit(url)
            options = dict(parse_qsl(split.query, keep_blank_values=True, strict_parsing=bool(split.query)))
        except ValueError:
            raise ValueError(f"must be {kind}://BUCKET/PATH, but cannot be read as a URL") from None
        if "@" in split.netloc or any(_SECRET.search(name) for name in options):
            raise ValueError(_NO_SECRETS)
        if not _BUCKET.fullmatch(split.netloc):
            raise ValueError(
                "must name a bucket (3 to 63 small letters, digits and any of . - _), "
                f"but got {kind}://{split.netloc[:80]}"
            )
        path = split.path.strip("/")
        _check_path(path)
        if "#" in url:
            raise ValueError("must be without #")
        _check_options(kind, options)
        return cls(kind=kind, bucket=split.netloc, path=path, options=tuple(sorted(options.items())))

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.options)
        return (
            f"{self.kind}://{self.bucket}{'/' if self.path else ''}{self.path}{'?' if query else ''}{query}"
        )


def _check_path(path: str) -> None:
    for part in path.split("/") if path else ():
        if not _KEY.fullmatch(part) or part in (".", ".."):
            raise ValueError(
                f"must have a path of letters, digits and any of _ . = + @ , ( ) -, but got {part[:80]!r} in it"
            )


def _check_options(kind: str, options: Mapping[str, str]) -> None:
    known = _OPTIONS if kind == "s3" else {}
    for name, value in options.items():
        if name not in known:
            raise ValueError(
                f"has an unknown option {name[:40]!r} behind its ?. Known for {kind}://: {', '.join(known) or 'none'}"
            )
        if not known[name].fullmatch(value):
            raise ValueError(f"has an option {name} that cannot be used: {value[:80]!r}")
