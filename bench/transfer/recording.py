"""Trials that are trained, measured and kept, one after another, by any number of processes in one folder."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.quality.record_curves import whole_lines
from bench.transfer.schedules import Chosen
from bench.transfer.settings import SEEDS, Setting
from search.errors import InputError

_CLAIMS_FILE = "claims"


@dataclass(frozen=True)
class Piece:
    """One trial to train."""

    setting: Setting
    chosen: Chosen
    seed: int

    @property
    def key(self) -> str:
        """What tells it from the others of its setting."""
        return key_of({"schedule": self.chosen.schedule.to_dict(), "seed": self.seed})


# One trial as it is kept, in plain JSON values; `bench.transfer.table` explains the fields.
Row = Mapping[str, Any]
FIELDS = ("schedule", "seed", "origin", "values", "cpu_seconds", "outcome", "measures", "made")


def key_of(row: Row) -> str:
    """What tells a trial from the others of its setting."""
    return f"{json.dumps(row['schedule'], sort_keys=True)}/{row['seed']}"


def pieces(settings: Sequence[Setting], schedules: Sequence[Chosen]) -> list[Piece]:
    """All of them in the order of the work: of a setting that costs four times as much, half as many at any time.

    The first seed of all comes before the second of any: more schedules tell more of their order than more seeds.
    """
    placed = [
        (turn, (index + 1) * setting.seconds**0.5, number, Piece(setting, chosen, seed))
        for turn, seed in enumerate(SEEDS)
        for number, setting in enumerate(settings)
        for index, chosen in enumerate(schedules)
    ]
    placed.sort(key=lambda place: place[:3])
    return [piece for *_, piece in placed]


class Folder:
    """A file of lines for each setting. Any number of processes may add to it.

    elsewhere: rows by setting that need not be recorded. A line is whole or is taken away by the next that is added.
    What a process has claimed is free again when the process has ended, however it did: a claim is a lock on one byte
    of a file.
    """

    def __init__(self, path: Path, elsewhere: Mapping[str, Sequence[Row]]):
        path.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._claims = (path / _CLAIMS_FILE).open("a+b")
        self._elsewhere = {setting: set(map(key_of, rows)) for setting, rows in elsewhere.items()}
        self._read: dict[str, tuple[int, set[str]]] = {}

    def has(self, piece: Piece) -> bool:
        """Whether somebody has added it."""
        path = self._file(piece.setting.name)
        size = path.stat().st_size if path.exists() else 0
        known_size, known = self._read.get(piece.setting.name, (-1, set()))
        if size != known_size:
            known = set(map(key_of, rows_in(self._path, piece.setting.name)))
            self._read[piece.setting.name] = size, known
        return piece.key in known or piece.key in self._elsewhere.get(piece.setting.name, ())

    @contextmanager
    def claim(self, piece: Piece) -> Iterator[bool]:
        """Whether the piece is this process's own while the block runs."""
        name = f"{piece.setting.name}/{piece.key}"
        digest = hashlib.blake2b(name.encode(), digest_size=6).digest()
        byte = int.from_bytes(digest, "big")
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except OSError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, byte)

    def add(self, setting: str, row: Row) -> None:
        """Keep a row."""
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
        with self._file(setting).open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(len(whole_lines(file)))
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _file(self, setting: str) -> Path:
        return self._path / f"{setting}.jsonl"

    def close(self) -> None:
        """Give up all claims."""
        self._claims.close()


def rows_in(path: Path, setting: str) -> list[Row]:
    """The whole rows of a setting in a folder. InputError for lines that are something else."""
    path = path / f"{setting}.jsonl"
    try:
        with path.open("rb") as file:
            lines = whole_lines(file).splitlines()
    except FileNotFoundError:
        return []
    return [_row(path, number, line) for number, line in enumerate(lines, start=1)]


def _row(path: Path, number: int, line: bytes) -> Row:
    try:
        row = json.loads(line)
        missing = [name for name in FIELDS if name not in row]
    except (ValueError, TypeError):
        missing = list(FIELDS)
    if missing:
        raise InputError(
            f"{path}, line {number}: a trial has {', '.join(FIELDS)}, but this line lacks {', '.join(missing)}. "
            "Take the file away, or give another --folder"
        )
    return dict(row)


def work(
    wanted: Sequence[Piece],
    folder: Folder,
    record: Callable[[Piece], Row],
    may_begin: Callable[[], bool],
    show: Callable[[str], None] = lambda text: None,
) -> int:
    """Record what nobody has, in its order, until all is there or `may_begin` says no. How many were recorded.

    What another process is at is passed over, and looked at again at the end.
    """
    count = 0
    while True:
        before = count
        for piece in wanted:
            if folder.has(piece):
                continue
            if not may_begin():
                return count
            with folder.claim(piece) as mine:
                if mine and not folder.has(piece):
                    row = record(piece)
                    folder.add(piece.setting.name, row)
                    count += 1
                    show(f"{piece.setting.name}, seed {piece.seed}: {_result(row)}: {piece.chosen.origin}")
        if count == before:
            return count


def _result(row: Row) -> str:
    return f"{row['values'][-1]:.4g} {row['outcome']} in {row['cpu_seconds'][-1]:.0f} CPU s"
