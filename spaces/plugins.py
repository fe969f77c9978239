"""Choices in folders of the user's own: `mine/noise/weibull.py` makes `weibull` a noise family, as ours are made.

A plugin is held as text, by the names of its modules: what runs is what was read once, and it goes to other processes
with what needs it (`carried`). Its modules are those of a package with the folder's name: `from mine.shared import x`.
"""

import importlib
import importlib.abc
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType, ModuleType
from typing import Any

_LENGTH = 300  # of what an exception says


@dataclass(frozen=True)
class Plugin:
    """A folder as it was read. files: its Python files by their path in it, `noise/weibull.py`. sha256: of them all."""

    name: str
    path: str
    files: Mapping[str, bytes] = field(repr=False)
    sha256: str

    def choices(self) -> Iterator[tuple[str, str]]:
        """(folder, name) of each file that is a choice, as (noise, weibull)."""
        for file in sorted(self.files):
            folder, _, name = file.removesuffix(".py").partition("/")
            if name and "/" not in name and not name.startswith("_"):
                yield folder, name

    def modules(self) -> dict[str, "Source"]:
        """Its modules by their names."""
        found = {self.name: Source(self.path, b"", is_package=True)}
        for file, text in self.files.items():
            *folders, stem = (self.name, *file.removesuffix(".py").split("/"))
            for depth in range(2, len(folders) + 1):
                found.setdefault(".".join(folders[:depth]), Source(self.path, b"", is_package=True))
            name = ".".join(folders if stem == "__init__" else [*folders, stem])
            found[name] = Source(f"{self.path}/{file}", text, is_package=stem == "__init__")
        return found


class Source(importlib.abc.InspectLoader):
    """The text of a module. path: where it was read, for messages."""

    def __init__(self, path: str, text: bytes, *, is_package: bool):
        self.path, self.text, self._is_package = path, text, is_package

    def is_package(self, fullname: str) -> bool:
        return self._is_package

    def get_source(self, fullname: str) -> str:
        return self.text.decode()

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self.text, self.path, "exec", dont_inherit=True)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of plugins before those of any folder."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> Any:
        source = _sources.get(fullname)
        if source is None:
            return None
        spec = importlib.util.spec_from_loader(fullname, source, origin=source.path)
        assert spec is not None
        spec.has_location = True  # __file__, and lines in tracebacks
        return spec


_finder = _Finder()
_sources: dict[str, Source] = {}  # of all that this process has had
_active: tuple[Plugin, ...] = ()
_all: dict[tuple[str, str], str] = {}  # module of each choice, by folder and name


def use(plugins: Sequence[Plugin]) -> None:
    """From now on the choices are ours and those of these plugins. What was made of others before goes on to work.

    ValueError for a module whose name another one has in this process.
    """
    global _active
    sources: dict[str, Source] = {}
    for plugin in plugins:
        for name, source in plugin.modules().items():
            known = _sources.get(name)
            if known is not None and known.text != source.text:
                raise ValueError(
                    f"{source.path} is not what {known.path} was when this process read it. Begin another one"
                )
            sources[name] = known or source
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _sources.update(sources)
    for plugin in plugins:
        _all.update({choice: ".".join((plugin.name, *choice)) for choice in plugin.choices()})
    _active = tuple(plugins)


def in_use() -> tuple[Plugin, ...]:
    """The plugins whose choices stand beside ours."""
    return _active


def names_for(package: str) -> list[str]:
    """Names of choices that the plugins in use have for a folder of ours, such as `spaces.noise`."""
    kind = package.rpartition(".")[2]
    return [name for plugin in _active for folder, name in plugin.choices() if folder == kind]


def module_for(package: str, name: str) -> ModuleType | None:
    """The module of a plugin's choice; None if none has it. ImportError, with file and line, if it cannot be run."""
    fullname = _all.get((package.rpartition(".")[2], name))
    if fullname is None:
        return None
    try:
        return importlib.import_module(fullname)
    except (Exception, SystemExit) as error:
        paths = [source.path for source in _sources.values()]
        raise ImportError(f"{told(error, paths) or _sources[fullname].path} (of {fullname})") from error


def told(error: BaseException, paths: Sequence[str]) -> str:
    """`.../weibull.py:12: TypeError: ...`: the innermost line of these files that an exception has gone through."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename in paths]
    words: object = error
    if isinstance(error, SyntaxError) and error.filename in paths:
        places, words = [f"{error.filename}:{error.lineno}"], error.msg
    place = f"{places[-1]}: " if places else ""
    return f"{place}{type(error).__name__}: {' '.join(str(words).split())[:_LENGTH]}"


def carried(payload: Any) -> Any:
    """`payload` as it can be pickled for another process, which then has the plugins in use before it has that."""
    return _Carried(payload) if _active else payload


class _Carried:
    def __init__(self, payload: Any):
        self._payload = payload

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickled in this order.
        return _payload, (_InUse(), self._payload)


class _InUse:
    def __reduce__(self) -> tuple[Any, ...]:
        return use, (_active,)


def _payload(in_use: None, payload: Any) -> Any:
    return payload
