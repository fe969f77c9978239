"""One thing wrong with a cluster file."""

from dataclasses import dataclass

from search.file.yaml12 import Document, Place, field_name


@dataclass(frozen=True, order=True)
class Finding:
    """line: from 1. rule: its name. message: where, what is demanded and what is there. remedy: what to write."""

    file: str
    line: int
    rule: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message}. {self.remedy}"


def finding(rule: str, document: Document, place: Place, message: str, remedy: str) -> Finding:
    """`message` speaks about the value at `place`; what is missing stands at the nearest thing around it."""
    where = field_name(place)
    text = f"{where}: {message}" if where else message
    return Finding(document.file, document.line_of(place) or 1, rule, text, remedy)
