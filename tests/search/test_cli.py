"""The command line: verbs found, help, exit codes, one line for every error."""

import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import search.commands
from search import cli
from search.errors import InputError, OperationFailed
from search.machine import preflight

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEARCH_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Makes `boom` a verb whose run is the function given."""

    def install(run) -> None:
        module = types.ModuleType("search.commands.boom", "Goes wrong.")
        module.add_arguments = lambda parser: parser.add_argument("--flag")
        module.run = run
        monkeypatch.setitem(sys.modules, "search.commands.boom", module)
        monkeypatch.setattr(cli, "verbs", lambda: {"boom": Path("boom.py")})

    return install


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=60,
    )


def test_every_file_in_commands_is_a_verb_with_help() -> None:
    found = cli.commands()
    assert {"list", "doctor"} <= set(found)
    assert all(found.values())
    files = {path.stem for path in Path(search.commands.__file__).parent.glob("[!_]*.py")}
    assert set(found) == files


@pytest.mark.parametrize("name", sorted(cli.commands()))
def test_no_verb_imports_another(name: str) -> None:
    """What they share is in files whose names start with "_"."""
    text = (Path(search.commands.__file__).parent / f"{name.replace('-', '_')}.py").read_text()
    assert re.findall(r"search\.commands\.(?!_)\w+|from search\.commands import (?!_)\w+", text) == []


@pytest.mark.parametrize("name", sorted(cli.commands()))
def test_every_verb_explains_itself_and_takes_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"python -m search {name}" in shown
    assert "--json" in shown
    assert "examples:" in shown


def test_help_and_usage_errors_import_nothing_heavy() -> None:
    code = (
        "import sys; from search.cli import main; "
        "main(['--help']); main(['nonsense']); main(['list', '--help']); main(['list', 'nonsense']); "
        "print([name for name in ('torch', 'ray', 'optuna', 'mlflow', 'numpy') if name in sys.modules])"
    )
    assert python(code).stdout.splitlines()[-1] == "[]"


def test_the_top_help_shows_verbs_examples_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for part in ("list", "doctor", "searches/digits.yaml", "130 interrupted"):
        assert part in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--"], "error: unrecognized arguments: --. See: python -m search --help"),
        (["lits"], "error: Unknown verb 'lits'. Did you mean list? Known: "),
        (["list"], "error: the following arguments are required: KIND. See: python -m search list --help"),
        (["list", "noises"], "error: argument KIND: invalid choice: 'noises'"),
        (["list", "noise", "--jso"], "error: unrecognized arguments: --jso"),
        (
            ["ui", "--storage=--"],
            "error: --storage needs a value, but got --. See: python -m search ui --help",
        ),
        (["doctor", "missing.yaml"], "error: missing.yaml: no such file"),
        (
            ["leaderboard", "digits"],
            "error: no search named 'digits' in runs/. There is none at all. Or give its search",
        ),
        (["confirm", "digits", "--seeds", "1"], "error: `2 <= --seeds <= 1000` must hold, but got 1"),
        (["confirm", "digits", "--top", "-1"], "error: `0 <= --top <= 100` must hold, but got -1"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("output", "why"),
    [(".", "is a folder"), ("x.yaml/best.json", "would be in {here}/x.yaml, which is no folder")],
)
def test_an_output_that_cannot_be_written_is_told_before_anything_is_run(
    output: str, why: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.yaml").write_text("name: x\ndata: digits\n")
    assert cli.main(["run", "x.yaml", "--output", output]) == 2
    rule = "error: `--output` must be a file that can be written, but"
    assert capsys.readouterr().err == f"{rule} {output} {why.format(here=here)}\n"
    assert [path.name for path in here.iterdir()] == ["x.yaml"]


def test_with_json_an_error_is_an_object_on_stdout_too(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["doctor", "missing.yaml", "--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"error": "missing.yaml: no such file", "exit_code": 2}
    assert captured.err == "error: missing.yaml: no such file\n"


def test_each_problem_of_a_search_file_is_a_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.yaml").write_text("name: a\nname: b\nc: *d\n")
    assert cli.main(["doctor", "x.yaml"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: x.yaml:2: name: duplicate key: also on line 1",
        "error: x.yaml:3: c: aliases are not allowed, but got *d: write values out",
    ]


def test_of_many_problems_the_first_are_shown_and_json_has_all(here: Path, capsys) -> None:
    Path("x.yaml").write_text("".join(f"field_{number}: 1\n" for number in range(8)))
    assert cli.main(["leaderboard", "x.yaml", "--json"]) == 2
    captured = capsys.readouterr()
    problems = json.loads(captured.out)["error"].splitlines()
    assert len(problems) == 10  # `name` and `data` are missing too
    assert captured.err.splitlines() == [
        *(f"error: {problem}" for problem in problems[:4]),
        "error: ... and 6 more; --json shows them",
    ]


@pytest.mark.parametrize("name", ["a\nb.yaml", "\x1b[2J.yaml", "\u202ex.yaml", "\udcff.yaml"])
def test_what_moves_the_cursor_is_written_out(name: str, here: Path, capsys) -> None:
    assert cli.main(["leaderboard", name]) == 2
    assert capsys.readouterr().err == f"error: {repr(name)[1:-1]}: no such file\n"


def test_of_a_long_line_the_remedy_is_shown_too(here: Path, capsys) -> None:
    assert cli.main(["leaderboard", "x" * 5000]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and len(shown) < 2000
    assert shown.startswith("error: no search named 'xxx") and "Or give its search file" in shown


@pytest.mark.parametrize("verb", ["status", "leaderboard x", "ui", "export x"])
def test_a_storage_whose_name_is_too_long_is_refused(verb: str, here: Path, capsys) -> None:
    assert cli.main([*verb.split(), "--storage", "x" * 5000]) == 2
    assert (
        capsys.readouterr().err
        == f"error: storage.path: {'x' * 80} cannot be looked up: File name too long\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "1" + "0" * 30], "`3 <= --seeds <= 1001` must hold, but got 1000"),
        (
            ["--presets", "ict," * 120 + "ict"],
            "command line: presets[1]: must be given once, but 'ict' is given twice",
        ),
        (
            ["--at", "network: mlp", "--at", "network: unet"],
            "argument --at: must be given once: give the command once for each setting",
        ),
    ],
)
def test_a_comparison_that_cannot_be_is_refused(
    arguments: list[str], message: str, here: Path, capsys
) -> None:
    Path("x.yaml").write_text("name: x\ndata: digits\n")
    assert cli.main(["compare", "x.yaml", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (InputError("`a > 0` must hold, but got a=0"), 2, "error: `a > 0` must hold, but got a=0\n"),
        (OperationFailed("every trial failed"), 1, "error: every trial failed\n"),
        (KeyboardInterrupt(), 130, "error: interrupted. "),
    ],
)
def test_errors_raised_on_purpose_are_one_line(error, code, shown, verb, here, capsys) -> None:
    def run(args) -> int:
        raise error

    verb(run)
    assert cli.main(["boom"]) == code
    assert capsys.readouterr().err.startswith(shown)
    assert list(here.iterdir()) == []


def test_a_value_error_of_our_own_code_is_bad_input(verb, here, capsys) -> None:
    from search.stopping_rule import STOPPING

    verb(lambda args: STOPPING["asah"])
    assert cli.main(["boom"]) == 2
    assert capsys.readouterr().err.startswith("error: Unknown stopping rule 'asah'. Known: asha")


def test_an_unexpected_error_is_one_line_and_its_traceback_is_in_a_file(verb, here, capsys) -> None:
    def run(args) -> int:
        raise KeyError("two\nlines")

    verb(run)
    assert cli.main(["boom"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: KeyError: 'two\\nlines' (unexpected; traceback in runs/errors/")
    assert shown.count("\n") == 1
    [log] = (here / "runs" / "errors").iterdir()
    assert "Traceback (most recent call last)" in log.read_text()


def test_a_value_error_of_a_library_is_unexpected(verb, here, capsys) -> None:
    verb(lambda args: json.loads("{"))
    assert cli.main(["boom"]) == 1
    assert "JSONDecodeError" in capsys.readouterr().err


def test_an_unexpected_error_goes_to_the_temporary_folder_where_nothing_can_be_written(
    verb, here, capsys, monkeypatch
) -> None:
    (here / "runs").write_text("in the way")
    monkeypatch.setattr(cli.tempfile, "gettempdir", lambda: str(here / "tmp"))

    def run(args) -> int:
        raise RuntimeError("?")

    verb(run)
    assert cli.main(["boom"]) == 1
    assert f"{here}/tmp/" in capsys.readouterr().err


def test_with_search_debug_an_unexpected_error_is_not_caught(verb, here, monkeypatch) -> None:
    monkeypatch.setenv("SEARCH_DEBUG", "1")

    def run(args) -> int:
        raise RuntimeError("?")

    verb(run)
    with pytest.raises(RuntimeError):
        cli.main(["boom"])


def test_a_reader_that_leaves_is_no_error() -> None:
    script = f"{sys.executable} -m search list presets --json | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stderr == ""
    assert done.stdout.startswith("{")


@pytest.mark.parametrize(
    "kind", ["noise", "curricula", "presets", "data", "networks", "extractors", "algorithms", "stopping"]
)
def test_list_shows_each_choice_with_one_line(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", kind, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["kind"] == kind
    files = {path.stem for path in (ROOT / listed["folder"]).glob("[!_]*.py")}
    assert {choice["name"] for choice in listed["choices"]} == files
    assert all(choice["summary"] and "\n" not in choice["summary"] for choice in listed["choices"])
    assert cli.main(["list", kind]) == 0
    text = capsys.readouterr().out
    assert all(f"\n{choice['name']}\n" in text for choice in listed["choices"])


def test_list_gives_options_with_default_and_searched_range(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "noise", "--json"]) == 0
    choices = {choice["name"]: choice for choice in json.loads(capsys.readouterr().out)["choices"]}
    [p_mean, _] = choices["lognormal"]["options"]
    assert p_mean["name"] == "p_mean"
    assert p_mean["default"] == -1.1
    assert p_mean["range"] == {"low": -3.0, "high": 1.0}


# --- preflight ------------------------------------------------------------------------------------


def test_in_the_checkout_nothing_is_in_the_way() -> None:
    assert preflight.problems() == []


def test_a_foreign_package_that_won_is_named(tmp_path: Path) -> None:
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces" / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.path.insert(0, {str(tmp_path)!r}); "
        "from search.cli import main; sys.exit(main(['list', 'noise']))"
    )
    done = python(code)
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"error: Package 'spaces' must be {ROOT}/spaces, but another one won: {tmp_path}/spaces. "
        f"Run from {ROOT}"
    )
    assert done.stderr.count("\n") == 1


def test_missing_packages_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "NEEDED", ("yaml", "no_such_package"))
    [problem] = preflight.problems()
    assert "no_such_package. Run: make setup" in problem
    [problem] = preflight.problems(["no_such_package_of_ours"])[:1]
    assert "was not found. Run from the checkout's root" in problem


# --- doctor ---------------------------------------------------------------------------------------


def test_doctor_reports_levels_and_leaves_no_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["doctor", "--quick", "--json"])
    report = json.loads(capsys.readouterr().out)
    levels = {check["level"] for check in report["checks"]}
    assert levels <= {"ok", "warn", "fail"}
    assert report["ok"] == ("fail" not in levels)
    assert code == report["exit_code"] == (0 if report["ok"] else 1)
    assert {"python", "packages", "versions", "cpu", "gpu", "disk", "limits", "study", "mlflow"} <= {
        check["name"] for check in report["checks"]
    }
    assert all(check["remedy"] for check in report["checks"] if check["level"] == "warn")
    assert list(here.iterdir()) == []


def test_a_check_that_breaks_is_a_finding_with_its_name(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1 // 0)
    assert cli.main(["doctor", "--quick"]) == 1
    assert "fail  gpu        ZeroDivisionError: " in capsys.readouterr().out


def test_doctor_fails_on_a_damaged_or_unreachable_store(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.db").write_text("no database" * 100)
    Path("x.yaml").write_text(
        "name: x\ndata: digits\nstorage:\n  study_url: sqlite:///broken.db\n  mlflow_uri: http://127.0.0.1:9\n"
    )
    assert cli.main(["doctor", "x.yaml", "--quick"]) == 1
    shown = capsys.readouterr().out
    assert "fail  study      broken.db: file is not a database" in shown
    assert "fail  mlflow     http://127.0.0.1:9 does not answer" in shown


def test_doctor_shows_no_password() -> None:
    from search.checks.stores import check_url

    (check,) = check_url("study", "postgresql+psycopg://me:hidden1@127.0.0.1:9/db?sslpassword=hidden2")
    assert check.level == "fail"
    assert "me:***@127.0.0.1:9" in check.message and "hidden" not in check.message


def test_doctor_compares_versions_with_pyproject_and_constraints(here: Path) -> None:
    from search.checks.here import check_versions

    (here / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy>=2", "pyyaml>=99", "no-such-thing", "rich"]\n'
    )
    (here / "constraints.txt").write_text("# exact\nrich==0.1\nnumpy>=2 # fine\n")
    by_level: dict[str, list[str]] = {"ok": [], "warn": [], "fail": []}
    for check in check_versions(here):
        by_level[check.level].append(check.message)
    assert len(by_level["ok"]) == 1
    assert by_level["ok"][0].startswith("numpy ")
    assert any("pyyaml" in message and ">=99 is needed" in message for message in by_level["fail"])
    assert any("no-such-thing is not installed" in message for message in by_level["fail"])
    assert "rich" in by_level["warn"][0]
