"""Finds what looks like a secret in a cluster file: in its values, its keys and its comments."""

import re
from collections.abc import Iterator

from deploy.reading.documents import ClusterFile, at, keys, walk
from search.file.yaml12 import Place

# Texts that are secrets whatever they are called. A variable in their place is none.
_KNOWN = {
    "an AWS access key": r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    # Behind the colon: no port, no variable, not the word itself as in an example.
    "a password in a URL": r"://[^/\s:@]*:(?!\$|\d+(?:[/?#\s]|$)|PASSWORD@|\*\*\*@)[^\s@]+@",
    "an access token": r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|hf_[A-Za-z0-9]{20,}|glpat-[\w-]{20,}"
    r"|npm_[A-Za-z0-9]{30,}|xox[abeoprs]-[\w-]{10,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+)",
    "an API key": r"(?<![\w-])(sk-[\w-]{20,}|[sr]k_(live|test)_\w{16,}|AIza[\w-]{35})",
    "a Slack hook": r"hooks\.slack\.com/services/\w+",
    "a login in a header": r"(?i)authorization[\"']?\s*[:=]\s*[\"']?(bearer|basic|token)\s+(?!\$)\S{6,}",
    "a login for curl": r"\bcurl\b[^;|&\n]*\s(-u|--user)[ =]?[\"']?[^\s:'\"$]+:(?!\$)[^\s'\"]+",
    "64 hexadecimal digits, as Ray's token has": r"(?<![0-9a-f:])[0-9a-f]{64}(?![0-9a-f])",
    "a command that writes a file of secrets": r"(>|\btee( -a)?)\s*[\"']?[^\s;&|]*"
    r"(auth_token|\.netrc|\.pgpass|\.git-credentials|\.aws/credentials|database-url)\b",
}
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in _KNOWN.items()}
_NAME = re.compile(
    r"(?i)(password|passwd|passphrase|pwd|secret|secret_key_base|token|(api|access|secret|private)_?key|access_key_id"
    r"|credentials?)$"
)
_HARMLESS_NAMES = (
    "ssh_private_key",
    "secretName",
)  # Ray's field with a path; the name of a Secret of Kubernetes
_ASSIGNED = re.compile(r"(?<![\w/.~-])(\w+)=(?=(\S+))")  # a value may hold another: ?user=a&password=b
_OPTION = re.compile(r"(?<!\S)--?([A-Za-z][\w-]*)(?:=|\s+)(\S+)")
_LINE_OF_A_FILE = re.compile(r"[\s#-]*[\"']?([\w.-]+)[\"']?\s*:\s*(\S+)\s*")  # that was commented out
_AWS_SECRET = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[A-Za-z0-9/+]{40}")
_COMMENT = re.compile(r"(?:^|\s)#(.*)")

# What a machine gets of yours where these are mounted. Of the checkout, `.` brings .git and all that lies about.
_PRIVATE = re.compile(
    r"(^|/)\.(aws|ssh|kube|docker|gnupg|netrc|pgpass|git-credentials|git|env)(/|$)|(^|/)\.config(/(gcloud|gh).*)?/?$"
    r"|\.(pem|key|p12|pfx)$|(^|/)id_(rsa|ed25519|ecdsa)$"
)
_EVERYTHING = re.compile(r"(~|/|\$HOME|/root|/home(/[^/]+)?|\.{1,2}(/\.{1,2})*|\$PWD)/*(\*.*)?")


def secrets_in(document: ClusterFile) -> Iterator[tuple[Place | int, str]]:
    """Where a secret stands (a place, or the line of a comment), and its kind. The secret itself is not repeated."""
    for place, key in keys(document.data):
        if (kind := _kind(key)) is not None:
            yield place, f"{kind} for a key"
    for place, value in walk(document.data):
        if (
            isinstance(value, str)
            and (kind := _kind(value) or _kind_by_name(document, place, value)) is not None
        ):
            yield place, kind
    for number, line in enumerate(document.text.splitlines(), 1):
        comment = _COMMENT.search(line)
        if comment is not None and (kind := _kind(comment[1]) or _kind_of_line(comment[1])) is not None:
            yield number, f"{kind} in a comment"


def private_files_in(document: ClusterFile) -> Iterator[tuple[Place, str]]:
    """Where the launcher is told to copy what no machine needs, and what that is."""
    mounts = document.data.get("file_mounts") or {}
    copied = [(("file_mounts", target), str(source)) for target, source in mounts.items()]
    synced = document.data.get("cluster_synced_files") or []
    copied += [(("cluster_synced_files", i), str(source)) for i, source in enumerate(synced)]
    for place, source in copied:
        if _PRIVATE.search(source) or _EVERYTHING.fullmatch(source):
            yield place, source


def _kind(text: str) -> str | None:
    for kind, pattern in _PATTERNS.items():
        if pattern.search(text):
            return kind
    for match in (*_ASSIGNED.finditer(text), *_OPTION.finditer(text)):
        if _is_secret(match[1], match[2]):
            return f"a value for {match[1]}"
    return None


def _kind_by_name(document: ClusterFile, place: Place, value: str) -> str | None:
    names = [str(part) for part in place if isinstance(part, str)]
    known = names[-1:]
    if place[-1] == "value":  # an entry of `env` in Kubernetes
        known.append(str(at(document.data, *place[:-1], "name")))
    if names[-2:-1] and names[-2].lower().endswith("credentials"):
        known.append(names[-2])
    named = next((name for name in known if _is_secret(name, value)), None)
    return None if named is None else f"a value for {named}"


def _kind_of_line(comment: str) -> str | None:
    match = _LINE_OF_A_FILE.fullmatch(comment)
    return f"a value for {match[1]}" if match and _is_secret(match[1], match[2]) else None


def _is_secret(name: str, value: str) -> bool:
    """Whether `value` itself is what the name speaks of, rather than a file that holds it or a variable."""
    if name in _HARMLESS_NAMES or not _NAME.search(name.replace("-", "_")):
        return False
    plain = value.strip("'\"")
    if _AWS_SECRET.fullmatch(plain):  # may begin with a slash
        return True
    return bool(plain) and not plain.startswith(("~", "/", "./", "$", "`", "<", "-", "***"))
