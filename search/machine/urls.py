"""Addresses of databases and servers: what they are of, and how they are shown without the passwords in them."""

import re

_SECRET_OPTION = re.compile(r"(?i)([?&]\w*(?:password|passwd|pwd|secret|token)=)[^&]*")


def hide_password(url: str) -> str:
    """`url` with what is secret in it replaced by ***; the rest reads back. Equal to `url` if it holds no secret."""
    if url.startswith("http"):
        # A later @ belongs to the path, if what stands before it can be host:port; a user alone may be a token.
        hidden = re.sub(r"(://[^/:@\s]*:)(?:[^/\s]+|(?!\d+/)\S+)@", r"\1***@", url)
        hidden = re.sub(r"(://)[^/:@\s]+@", r"\1***@", hidden)
    else:
        hidden = re.sub(r"(://[^/:@\s]*:).+@", r"\1***@", url)  # SQLAlchemy takes a password with / in it
    return _SECRET_OPTION.sub(r"\1***", hidden)


def shown_url(url: str) -> str:
    """`url` for screens and messages, however wrong it is: without a password, and without what follows its ?."""
    if "://" not in url:
        return "***" if re.search(r"[@?]", url) else url
    bare = hide_password(url).partition("?")[0]
    # USER:PASSWORD whose @HOST was forgotten: no port has letters.
    return re.sub(r"(://[^/:@\s\[]*:)(?!\*\*\*@|\d{1,5}(?:/|$)).*", r"\1***", bare)


def is_jobs_address(address: str | None) -> bool:
    """Whether `address` is that of a Jobs API, rather than Ray's own ("auto", host:port)."""
    return address is not None and re.match(r"https?://", address) is not None
