"""The rules of the house that a reader cannot see in one file: who imports whom, who prints, who draws."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("spaces", "trainable", "search")
CHECKED = (*PACKAGES, "deploy", "bench")
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
        *("pyarrow", "datasets", "diffusers"),
    },
    "search": None,
}
# Input and output that `spaces`, which is mathematics, has no business with.
IO = {"io", "os", "pathlib", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "urllib", "http"}
READS_A_FILE = (
    "spaces/document/load.py",
    "spaces/document/strict_json.py",
)  # `load_schedule(path)`, the one exception


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


def rooms() -> list[str]:
    """The rooms that CONTRIBUTING.md lists, from top to bottom: "search.commands", ..., "spaces"."""
    listed = (ROOT / "CONTRIBUTING.md").read_text().partition("## The rooms")[2]
    names = re.findall(rf"^    ((?:{'|'.join(PACKAGES)})\S*)  ", listed, re.MULTILINE)
    return [name.replace("/", ".") for name in names]


def modules() -> dict[str, ast.Module]:
    """Every module of ours by its dotted name."""
    paths = [path for package in CHECKED for path in sorted((ROOT / package).rglob("*.py"))]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_bytes()
        )
        for path in paths
    }


def arrows(known: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports, anywhere in it."""
    found: dict[str, set[str]] = {}
    for name, tree in known.items():
        targets: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= {each if each in known else str(node.module) for each in inner}
        found[name] = (targets & known.keys()) - {name}
    return found


def room_of(module: str, listed: Sequence[str]) -> str | None:
    """The listed room that holds the module; None for a package's own __init__."""
    return next((room for room in listed if f"{module}.".startswith(f"{room}.")), None)


def upward(imported: Mapping[str, set[str]], listed: Sequence[str]) -> list[str]:
    """Imports of a room from one above it."""
    found = []
    for module, targets in imported.items():
        for target in targets:
            here, there = room_of(module, listed), room_of(target, listed)
            if here and there and here != there and listed.index(there) < listed.index(here):
                found.append(f"{module} imports {target}")
    return sorted(found)


def circle(imported: Mapping[str, set[str]]) -> list[str]:
    """Modules that import one another in a circle, in order; [] if there is none."""
    graph = graphlib.TopologicalSorter(imported)
    try:
        graph.prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_rooms_import_only_from_rooms_below_them() -> None:
    listed = rooms()
    imported = arrows(modules())
    own = {module for module in imported if module.partition(".")[0] in PACKAGES} - set(PACKAGES)
    assert [module for module in own if room_of(module, listed) is None] == []
    assert upward(imported, listed) == []


def test_no_module_imports_itself_in_a_circle() -> None:
    assert circle(arrows(modules())) == []


def test_an_import_upwards_and_a_circle_would_be_seen() -> None:
    listed = ["search.running", "search.file"]
    assert upward({"search.file.spec": {"search.running.runner"}}, listed) == [
        "search.file.spec imports search.running.runner"
    ]
    late = {
        "a": ast.parse("def f():\n    import b"),
        "b": ast.parse("if TYPE_CHECKING:\n    from a import x"),
    }
    assert len(circle(arrows(late))) == 3


PURE = tuple(f"search.{room}" for room in ("record", "evidence", "policy", "algorithms", "stopping"))
HEAVY = ("sqlalchemy", "ray", "mlflow", "torch")


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_brings_no_engine(room: str) -> None:
    inside = sorted(name for name in modules() if f"{name}.".startswith(f"{room}."))
    code = f"import sys, {', '.join(inside)}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("file", [file for file in FILES if not file.startswith("search/")])
def test_a_package_imports_only_what_it_may(file: str) -> None:
    allowed = THIRD_PARTY[file.partition("/")[0]]
    assert allowed is not None
    tops = {name.partition(".")[0] for name in imports(FILES[file])}
    foreign = tops - set(sys.stdlib_module_names) - set(PACKAGES)
    if file == "trainable/ray_trainable.py":
        allowed = allowed | {"ray"}
    if file == "trainable/slot_use.py":
        allowed = allowed | {"psutil"}  # which comes with Ray
    assert foreign <= allowed


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("spaces/")])
def test_spaces_takes_distributions_from_optuna_and_does_no_input_or_output(file: str) -> None:
    names = set(imports(FILES[file]))
    assert {name for name in names if name.startswith("optuna")} <= {"optuna.distributions"}
    if file not in READS_A_FILE:
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
        "print([name for name in ('ray', 'mlflow', 'sqlalchemy', 'yaml', 'sklearn', 'torch') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_the_engine_and_the_simulator_alone_drive_the_policy() -> None:
    drives = re.compile(r"conductor\.(next|observe|lost|returned)$")
    drivers = {file for file, tree in FILES.items() if any(map(drives.search, called(tree)))}
    engine = {f"search/engine/{name}.py" for name in ("shared", "tune", "tune_stacks")}
    assert drivers == engine | {"search/simulator/simulation.py"}


def test_private_attributes_of_ray_tune_are_read_in_one_file() -> None:
    private = {
        file
        for file, tree in FILES.items()
        if file.startswith("search/engine/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith(("_actor", "_pending", "_running", "_trial_to", "_tune"))
    }
    assert private == {"search/engine/tune_workers.py"}
