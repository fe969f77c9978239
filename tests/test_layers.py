"""The rules of the house that a reader cannot see in one file: who imports whom, who prints, who draws."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("spaces", "trainable", "search")
FILES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_bytes(), filename=str(path))
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
# What a package may import besides the standard library. None: anything.
THIRD_PARTY = {
    "spaces": {"torch", "numpy", "scipy", "pydantic", "optuna"},
    "trainable": {
        *("torch", "numpy", "pydantic", "sklearn", "scipy", "safetensors", "PIL", "torch_fidelity"),
        "pyarrow",
    },
    "search": None,
}
LEFT_OF = {"spaces": set(), "trainable": {"spaces"}, "search": {"spaces", "trainable"}}
# Input and output that `spaces`, which is mathematics, has no business with.
IO = {"io", "os", "pathlib", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "urllib", "http"}
READS_A_FILE = "spaces/load.py"  # `load_schedule(path)`, the one exception


def imports(tree: ast.AST) -> Iterator[str]:
    """Full names of all imported modules, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which package is meant"
            assert node.module is not None
            yield node.module
            if node.module == "optuna":
                yield from (f"optuna.{alias.name}" for alias in node.names)


def called(tree: ast.AST) -> Iterator[str]:
    """Dotted names of all that is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


@pytest.mark.parametrize("file", FILES)
def test_imports_point_left_only(file: str) -> None:
    package = file.partition("/")[0]
    allowed = LEFT_OF[package] | {package}
    ours = {name.partition(".")[0] for name in imports(FILES[file])} & set(PACKAGES)
    assert ours <= allowed


@pytest.mark.parametrize("file", [file for file in FILES if not file.startswith("search/")])
def test_a_package_imports_only_what_it_may(file: str) -> None:
    allowed = THIRD_PARTY[file.partition("/")[0]]
    assert allowed is not None
    tops = {name.partition(".")[0] for name in imports(FILES[file])}
    foreign = tops - set(sys.stdlib_module_names) - set(PACKAGES)
    if file == "trainable/ray_trainable.py":
        allowed = allowed | {"ray"}
    assert foreign <= allowed


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("spaces/")])
def test_spaces_takes_distributions_from_optuna_and_does_no_input_or_output(file: str) -> None:
    names = set(imports(FILES[file]))
    assert {name for name in names if name.startswith("optuna")} <= {"optuna.distributions"}
    if file != READS_A_FILE:
        assert not {name.partition(".")[0] for name in names} & IO
        assert "open" not in called(FILES[file])


@pytest.mark.parametrize("file", [file for file in FILES if not file.startswith("search/commands/")])
def test_only_commands_print(file: str) -> None:
    assert "print" not in called(FILES[file])


@pytest.mark.parametrize("file", FILES)
def test_no_global_random_state(file: str) -> None:
    names = set(called(FILES[file]))
    assert not names & {
        "torch.manual_seed",
        "torch.seed",
        "torch.random.manual_seed",
        "torch.cuda.manual_seed",
    }
    drawn = {name for name in names if name.startswith(("np.random.", "numpy.random."))}
    assert {name.rpartition(".")[2] for name in drawn} <= {
        "default_rng",
        "Generator",
        "SeedSequence",
        "Philox",
    }
    assert all(name.startswith("random.Random") for name in names if name.startswith("random."))


def test_no_module_hides_a_library() -> None:
    names = {Path(file).stem for file in FILES if file.count("/") == 1}
    assert not names & {"optuna", "ray", "torch", "mlflow", "yaml", "numpy"}


def test_nothing_is_defined_in_main() -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert not [node for node in ast.walk(FILES["search/__main__.py"]) if isinstance(node, kinds)]


def test_importing_spaces_brings_no_engine() -> None:
    code = (
        "import sys, spaces; "
        "print([name for name in ('ray', 'mlflow', 'sqlalchemy', 'yaml', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.strip() == "[]"
