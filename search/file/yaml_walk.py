"""Walks through the events of a YAML text and says where each value stands; no recursion: depth costs no stack."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import yaml

# Where a value stands: keys and list positions from the top of the document.
Place = tuple[str | int, ...]


class Located(NamedTuple):
    """The start of a document, a key or a value. place: of a key, that of what it names; line: counted from 1."""

    event: yaml.Event
    place: Place
    line: int
    is_key: bool = False


@dataclass
class _Open:
    """A list or mapping that is being read. next: what comes next is the value of this; None: a mapping's key."""

    place: Place
    next: str | int | None

    @property
    def next_place(self) -> Place:
        return self.place if self.next is None else (*self.place, self.next)

    def step(self) -> None:
        self.next = self.next + 1 if isinstance(self.next, int) else None


def located(events: Iterable[yaml.Event]) -> Iterator[Located]:
    """Every document, key and value of `events`, in the order of the text.

    A key that is no plain text comes with the place of its mapping; the caller has to stop there, for what follows it
    has no place.
    """
    stack: list[_Open] = []
    for event in events:
        assert event.start_mark is not None
        line = event.start_mark.line + 1
        parent = stack[-1] if stack else None
        if isinstance(event, yaml.DocumentStartEvent):
            yield Located(event, (), line)
        elif isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
        elif isinstance(event, yaml.NodeEvent) and parent and parent.next is None:
            parent.next = event.value if isinstance(event, yaml.ScalarEvent) else None
            yield Located(event, parent.next_place, line, is_key=True)
        elif isinstance(event, yaml.NodeEvent):
            place: Place = ()
            if parent:
                place = parent.next_place
                parent.step()
            yield Located(event, place, line)
            if isinstance(event, yaml.CollectionStartEvent):
                stack.append(_Open(place, 0 if isinstance(event, yaml.SequenceStartEvent) else None))
