"""Tells a web address how something ended: one JSON object, as a chat's incoming webhook takes it."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from search.errors import UsageError

NOTIFY_FILE = "notify.url"  # tells a cluster the address: its list of jobs shows their command lines
_OPTION = "--notify"
SILENCE_SECONDS = 10.0  # of the connection
MOST_SECONDS = 20.0  # in all, whatever answers


def address_in(text: str) -> str:
    """The address to post to: `text`, or what stands in the file of that name. UsageError for what is none."""
    if not text.startswith(("http://", "https://")):
        try:
            text = Path(text).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            text = ""
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError("--notify needs an address such as https://HOST/PATH, or a file that holds one")
    return text


def without_addresses(words: Sequence[str]) -> list[str]:
    """A command line without the addresses of --notify, which are secrets."""
    shown = []
    for before, word in zip(["", *words], words, strict=False):
        if before == _OPTION:
            word = "..."
        elif word.startswith(f"{_OPTION}="):
            word = f"{_OPTION}=..."
        shown.append(word)
    return shown


def posted(url: str, content: Mapping[str, Any]) -> str | None:
    """POST `content` as JSON. None, or why that failed in one line, which never holds the address: it is a secret."""
    found: list[str | None] = []
    # In a thread, since the time-out of a connection is that of each silence in it.
    thread = threading.Thread(target=lambda: found.append(_posted(url, content)), daemon=True)
    thread.start()
    thread.join(MOST_SECONDS)
    return found[0] if found else f"no answer within {MOST_SECONDS:g} s"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, which tells nothing."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _posted(url: str, content: Mapping[str, Any]) -> str | None:
    body = json.dumps(content).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=SILENCE_SECONDS):
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answered HTTP {error.code}"
    except urllib.error.URLError as error:
        return f"no connection: {error.reason}"
    except (OSError, HTTPException, ValueError) as error:
        return f"no answer: {type(error).__name__}"
