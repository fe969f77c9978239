"""What every choice of a kind keeps, ours and those of plugins: a file is a kind, with its PROMISES."""

import importlib
from collections.abc import Callable, Sequence
from functools import partial

from search.contracts._promise import Broken, Promise
from spaces.plugins import in_use, told


def promises_of(kind: str) -> Sequence[Callable[[str], str | None]]:
    """Of a choice's name: None where it keeps the promise, otherwise what is wrong, in one line."""
    module = importlib.import_module(f"search.contracts.{kind}")
    return [partial(_broken, promise) for promise in module.PROMISES]


def _broken(promise: Promise, name: str) -> str | None:
    what = promise.__name__.replace("_", " ")
    try:
        promise(name)
    except Broken as error:
        return f"{what}: {error}"
    except Exception as error:
        paths = [f"{plugin.path}/{file}" for plugin in in_use() for file in plugin.files]
        return f"{what}: {told(error, paths)}"
    return None
