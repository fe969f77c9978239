"""Networks in the texts of a cluster file that are too large to be somebody's own."""

import ipaddress
import re

SMALLEST_PREFIX = {
    4: 8,
    6: 32,
}  # 10.0.0.0/8 may be an office; a provider gets an IPv6 /32 for all its customers
_NETWORK = re.compile(
    r"(?<![\w./-])(\d+\.\d+\.\d+\.\d+|0(?:\.0){0,2}|(?<!:)[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)/(\d+(?:\.\d+){0,3})(?![\w.]*\w)"
)


def too_large_a_network(text: str) -> str | None:
    """The first network in `text` that lets in (a good part of) the internet, as it stands there; None if none does."""
    for match in _NETWORK.finditer(text):
        address, prefix = match.groups()
        if ":" not in address:  # 0/0 stands for 0.0.0.0/0, 000.0.0.0 for 0.0.0.0
            parts = [str(int(part)) for part in address.split(".")]
            address = ".".join(parts + ["0"] * (4 - len(parts)))
        try:
            network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
        except ValueError:
            continue
        if network.prefixlen < SMALLEST_PREFIX[network.version]:
            return match[0]
    return None
