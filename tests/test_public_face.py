"""Tests ask for what everybody may ask for: no name of ours that begins with an underscore."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
FOLDERS = ("trainable", "spaces", "search", "integration", "conformance", "deploy", "fuzz")

# Private names of other libraries for which there is no public way: why a test needs them.
OTHERS = {
    "_BatchNorm": "torch: what all of its batch norms are",
    "_exit": "os: a process that ends without clearing up",
    "_local_scalar_dense": "torch: the one operation that reads a tensor's value",
    "_python_dispatch": "torch: where TorchDispatchMode is documented to be",
    "_private": "ray: its autoscaler's code for AWS, which the cluster file is read by",
    "_bootstrap_config": "ray: the same, what it makes of the cluster file",
    "_global_node": "ray: the processes of a Ray that this process has started",
    "_session": "boto3: its hooks before a request is sent",
    "_internal": "ray: what a controller of Tune's is made with",
    "_actor_cache": "ray: where a controller of Tune's keeps idle workers",
    "_max_num_objects": "ray: how many it keeps",
    "_storage": "optuna: where a study's trials are",
    "_backend": "optuna: the database below its cache",
    "_study_id": "optuna: by which a storage knows a study",
    "_transform": "optuna: ranges as its samplers see them",
    "_SearchSpaceTransform": "optuna: the same",
    "_GroupDecomposedSearchSpace": "optuna: the groups of parameters that its samplers see",
    "_n_local_search": "optuna: how long its Gaussian process looks for a proposal",
}


# What a notebook asks every object for: no more private than __repr__.
OF_NOTEBOOKS = {"_repr_html_"}


def is_private(name: str) -> bool:
    if name in OF_NOTEBOOKS:
        return False
    return name.startswith("_") and not name.startswith("__") and name != "_" and name not in OTHERS


def is_shared_code(module: str) -> bool:
    """Whether it is a file of shared code in a folder of choices, whose underscore only says that it is no choice."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py").is_file()


def private_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, name) of each private name that is read, written, imported or replaced, but for an object's own."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                names = []
            case ast.Attribute(attr=attr):
                names = [attr]
            case ast.Import(names=aliases):
                paths = [alias.name for alias in aliases]
                names = [name for path in paths if not is_shared_code(path) for name in path.split(".")]
            case ast.ImportFrom(module=str(module), names=aliases):
                inner = [alias.name for alias in aliases if not is_shared_code(f"{module}.{alias.name}")]
                names = [*inner, *([] if is_shared_code(module) else module.split("."))]
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr") | ast.Attribute(attr="setattr" | "delattr"),
                args=[_, ast.Constant(value=str(name)), *_],
            ):
                names = [name]
            case ast.Call(func=ast.Attribute(attr="setattr"), args=[ast.Constant(value=str(path)), *_]):
                names = path.split(".")
            case _:
                names = []
        yield from ((node.lineno, name) for name in names if is_private(name))


FILES = [path for folder in FOLDERS for path in sorted((TESTS / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_a_test_uses_no_private_name(path: Path) -> None:
    assert list(private_names(ast.parse(path.read_bytes()))) == []


def test_no_name_of_ours_passes_for_one_of_another_library() -> None:
    packages = (ROOT / package for package in ("spaces", "trainable", "search", "deploy", "bench"))
    paths = [path for package in packages for path in package.rglob("*.py")]
    named = "|".join(OTHERS)
    ours = re.compile(rf"(self\.|cls\.|def |class |^)({named})\b(?=\s*[:=(])", re.MULTILINE)
    assert [(path.name, found[0]) for path in paths if (found := ours.search(path.read_text()))] == []


@pytest.mark.parametrize(
    "line",
    [
        "trainer._state.loss_sum",
        "trainer._step = 3",
        "self.worker._task",
        "from spaces.noise_distribution import _log_difference",
        "from some_library._inner import name",
        "import some_library._inner",
        "from spaces.noise._logsnr import _private_there",
        'monkeypatch.setattr(NOISE, "_choices", None)',
        'monkeypatch.setattr("search.running._now", None)',
        'getattr(trainer, "_batch")',
    ],
)
def test_a_private_name_would_be_seen(line: str) -> None:
    assert len(list(private_names(ast.parse(line)))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "self._mine = cls._shared",
        "kind.__name__",
        "lambda _, x: x",
        "from trainable.data._idx import TRAIN",
        "from spaces.noise import _logsnr",
    ],
)
def test_what_is_public_or_a_tests_own_would_not(line: str) -> None:
    assert list(private_names(ast.parse(line))) == []
