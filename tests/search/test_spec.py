"""Search files: what they may say, how errors read, what makes a search this search."""

import copy
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from search.file.identity import changed_fields
from search.file.spec import SearchSpec, SpecError, load_spec, overridden, spec_of
from search.file.yaml12 import parse_document

ROOT = Path(__file__).parents[2]

MINIMAL = "name: small\ndata: digits\n"
FULL = """\
name: full
seed: 7
data: {name: digits}
network: {name: film_mlp}
training:
  total_steps: 1000
  batch_size: 64
  learning_rate: 1e-3
objective:
  extractor: digits_cnn
  num_samples: 500
space:
  grid: {rho: {low: 5, high: 9}}
  noise:
    lognormal: {p_std: 2.0}
    uniform:
  curriculum:
    constant:
presets: [ict, gokmen_constant]
algorithm: random
stopping:
  name: asha
  rungs: [0.5, 0.75]
budget:
  max_trials: 6
confirm: {top: 2, rounds: [2, 3]}
resources: {cpu: 1, gpu: 0, max_concurrent: 2}
storage: {path: runs}
"""


def spec(text: str) -> SearchSpec:
    return spec_of(parse_document(text, "x.yaml"))


def read(text: str) -> tuple[SearchSpec | None, list[str]]:
    """The search and no lines, or no search and the lines of the refusal."""
    try:
        return spec(text), []
    except SpecError as error:
        return None, str(error).splitlines()


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        spec(text)
    return str(error.value).splitlines()


def with_line(old: str, new: str) -> str:
    assert old in FULL
    return FULL.replace(old, new)


def test_a_preset_that_no_export_could_hold_is_refused_before_it_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spaces.checks.MAX_STAGE_VALUES", 5000)
    (message,) = problems(with_line("[ict, gokmen_constant]", "[gokmen_constant, ict]"))
    assert message.startswith(
        "x.yaml:19: presets[1]: exponential(s0=10, doublings=7) may have stages of 20520 "
    )


@pytest.mark.parametrize("path", sorted((ROOT / "searches").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_search_file_of_the_repository_loads_under_its_own_name(path: Path) -> None:
    loaded = load_spec(path)
    assert loaded.name == path.stem


def test_a_name_and_a_data_set_are_enough() -> None:
    small = spec(MINIMAL)
    assert small.resolved()["network"]["name"] == "film_mlp"
    assert small.resolved()["objective"]["extractor"]["name"] == "digits_cnn"
    assert small.resolved()["presets"] == ["ict"]
    assert small.training.total_steps == 2000
    assert (small.confirm.top, small.confirm.baselines, small.confirm.rounds) == (4, 2, [2, 4, 8])


def test_a_section_with_nothing_below_it_means_its_defaults() -> None:
    empty = "".join(
        f"{name}:\n" for name in ("training", "objective", "space", "budget", "confirm", "storage")
    )
    assert spec(MINIMAL + empty) == spec(MINIMAL)


def test_a_choice_may_be_written_as_its_name_alone() -> None:
    assert spec(with_line("{name: film_mlp}", "film_mlp")) == spec(FULL)


def test_the_resolved_file_reads_back_to_the_same_search() -> None:
    for text in (MINIMAL, FULL, MINIMAL + "confirm: {top: 0}\n"):
        once = spec(text)
        again = spec(once.to_yaml())
        assert again == once
        assert again.to_yaml() == once.to_yaml()


def test_resolved_is_plain_json_and_the_same_in_another_process() -> None:
    text = json.dumps(spec(FULL).resolved(), allow_nan=False)
    assert json.loads(text) == spec(FULL).resolved()
    code = (
        "import sys, json; from search.file.spec import spec_of; from search.file.yaml12 import parse_document; "
        "print(json.dumps(spec_of(parse_document(sys.stdin.read())).resolved()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=FULL,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.stdout.strip() == text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: full", "name: ../full", "x.yaml:1: name: must be 1 to 64 letters, digits"),
        ("name: full", "name: mlflow.db", "x.yaml:1: name: must be none of mlflow.db, mlflow.db-wal, "),
        ("name: full", "name: Default", "x.yaml:1: name: must be none of "),
        ("name: full", "name: a.yaml", "x.yaml:1: name: must not end in .yaml, .yml or .json, since every "),
        ("name: full", "name: 12", "x.yaml:1: name: must be text, but got 12"),
        ("name: full\n", "", "x.yaml:1: name: is required, but is missing"),
        ("seed: 7", "seed: 1.5", "x.yaml:2: seed: must be an integer, but got 1.5"),
        ("seed: 7", "seed: true", "x.yaml:2: seed: must be an integer, but got true"),
        ("seed: 7", "seed: -1", "x.yaml:2: seed: must be >= 0, but got -1"),
        ("seed: 7", "sead: 7", "x.yaml:2: sead: unknown field (did you mean seed?). Known: name, seed,"),
        (
            "name: digits",
            "name: digist",
            "x.yaml:3: data.name: unknown data set 'digist' (did you mean digits?)",
        ),
        (
            "{name: digits}",
            "{}",
            "x.yaml:3: data: must have the `name` of a data set (arrays, cifar10, digits, ",
        ),
        (
            "{name: digits}",
            "{name: 3}",
            "x.yaml:3: data.name: must name a data set: arrays, cifar10, digits, ",
        ),
        (
            "  name: asha\n",
            "",
            "x.yaml:21: stopping: must have the `name` of a stopping rule (asha, asha_margin, median, none), but got "
            "only the options ['rungs']",
        ),
        (
            "rounds: [2, 3]",
            "rounds: [3, 2]",
            "x.yaml:26: confirm.rounds: must be increasing numbers of seeds from 2 to 1000, but got [3, 2]",
        ),
        (
            "extractor: digits_cnn",
            "extractor: fashion_cnn",
            "x.yaml:10: objective.extractor: must suit the data set digits, but fashion_cnn is for fashion_mnist "
            "alone. Leave it out, or take small_cnn",
        ),
        (
            "{name: digits}",
            "[digits]",
            "x.yaml:3: data: must be a name or a mapping with a `name`, but got ['digits']",
        ),
        (
            "{name: film_mlp}",
            "{name: film_mlp, wdth: 3}",
            "x.yaml:4: network.wdth: unknown field (did you mean width?)",
        ),
        ("batch_size: 64", "batch_size: -3", "x.yaml:7: training.batch_size: "),
        (
            "batch_size: 64",
            "batch_size: '64'",
            "x.yaml:7: training.batch_size: must be an integer, but got '64' (write 64)",
        ),
        (
            "total_steps: 1000",
            "total_steps: 1e3",
            "x.yaml:6: training.total_steps: must be an integer, but got 1000.0 (write 1000)",
        ),
        (
            "learning_rate: 1e-3",
            "learning_rate: fast",
            "x.yaml:8: training.learning_rate: must be a number, but got 'fast'",
        ),
        ("num_samples: 500", "num_samples: 1", "x.yaml:11: objective.num_samples: must be >= 2, but got 1"),
        (
            "num_samples: 500",
            "samples: 500",
            "x.yaml:11: objective.samples: unknown field (did you mean num_samples?). Known: extractor, ",
        ),
        (
            "extractor: digits_cnn",
            "extractor: dogits",
            "x.yaml:10: objective.extractor.name: unknown feature network",
        ),
        ("p_std: 2.0", "p_sdt: 2.0", "x.yaml:15: space.noise.lognormal.p_sdt: "),
        ("p_std: 2.0", "p_std: {low: 3, high: 1}", "x.yaml:15: space.noise.lognormal.p_std: "),
        ("low: 5, high: 9", "low: 5", "x.yaml:13: space.grid.rho: "),
        (
            "[ict, gokmen_constant]",
            "[ict, itc]",
            "x.yaml:19: presets[1]: unknown preset 'itc' (did you mean ict?)",
        ),
        (
            "[ict, gokmen_constant]",
            "[ict, ict]",
            "x.yaml:19: presets[1]: must be given once, but 'ict' is given twice",
        ),
        ("[ict, gokmen_constant]", "ict", "x.yaml:19: presets: must be a list, but got 'ict'"),
        (
            "algorithm: random",
            "algorithm: randon",
            "x.yaml:20: algorithm.name: unknown search algorithm 'randon' (did you mean random?)",
        ),
        ("[0.5, 0.75]", "[0.75, 0.5]", "x.yaml:23: stopping.rungs: "),
        ("[0.5, 0.75]", "[0.0001, 0.75]", None),
        (
            "[0.5, 0.75]",
            "[0.5, 0.5001]",
            "x.yaml:23: stopping.rungs: must be apart, but of training.total_steps=1000",
        ),
        (
            "max_trials: 6",
            "max_trials: 1",
            "x.yaml:19: presets: must fit into budget.max_trials=1, but are 2",
        ),
        (
            "total_steps: 1000",
            "total_steps: 10000001",
            "x.yaml:6: training.total_steps: `1 <= total_steps <= 1e+07` must hold",
        ),
        (
            "    constant:\n",
            "    sinusoidal: {s0: 2, s1: 16384, delta: 0}\n",
            "x.yaml:18: space.curriculum.sinusoidal: sinusoidal(s0=2, s1=16384, period=0.5, exponent=0.75, delta=",
        ),
        ("max_trials: 6", "max_trials: 0", "x.yaml:25: budget.max_trials: must be >= 1, but got 0"),
        (
            "max_trials: 6",
            "max_trials: null",
            "x.yaml:25: budget.max_trials: must be a number unless max_hours",
        ),
        ("max_trials: 6", "max_gpu_hours: 2", "x.yaml:25: budget.max_gpu_hours: would have no effect with"),
        ("max_trials: 6", "max_hours: 0", "x.yaml:25: budget.max_hours: must be > 0, but got 0"),
        ("[2, 3]", "[3, 2]", "x.yaml:26: confirm.rounds: must be increasing numbers of seeds from 2 to 1000"),
        ("[2, 3]", "[1, 3]", "x.yaml:26: confirm.rounds: must be increasing numbers of seeds from 2 to 1000"),
        ("[2, 3]", "[]", "x.yaml:26: confirm.rounds: must be increasing numbers of seeds from 2 to 1000"),
        (
            "top: 2, rounds: [2, 3]",
            "top: 7, rounds: [2, 3]",
            "x.yaml:26: confirm.top: must be <= budget.max_trials=6, but got 7",
        ),
        (
            "top: 2, rounds: [2, 3]",
            "top: 0, rounds: [2, 3]",
            "x.yaml:26: confirm.rounds: would have no effect with confirm.top=0",
        ),
        (
            "top: 2, rounds: [2, 3]",
            "top: 2, rounds: [2, 3], max_trials: 7",
            "x.yaml:26: confirm.max_trials: must be >= 8, (top + baselines) times the seeds of the first round",
        ),
        (
            "name: asha\n",
            "name: asha_margin\nnoise_floor: {seeds: 0}\n#",
            "x.yaml:22: stopping.name: 'asha_margin' needs the noise between seeds",
        ),
        (
            "gpu: 0,",
            "gpu: 0.4,",
            "x.yaml:27: resources.gpu: must be 1/n or a whole number, but got 0.4, which leaves 20 %",
        ),
        (
            "gpu: 0,",
            "gpu: 1.5,",
            "x.yaml:27: resources.gpu: must be a whole number above 1, but got 1.5. Nearest: 1, 2",
        ),
        ("cpu: 1,", "cpu: 0,", "x.yaml:27: resources.cpu: must be > 0 when gpu is 0"),
        ("{path: runs}", '{path: "a\\nb"}', "x.yaml:28: storage.path: must be a folder"),
        (
            "{path: runs}",
            "{study_url: postgresql://h/d}",
            "x.yaml:28: storage.study_url: must name the driver",
        ),
        ("{path: runs}", "{study_url: nonsense}", "x.yaml:28: storage.study_url: must be a database URL"),
        ("{path: runs}", "{study_url: 'sqlite://'}", "x.yaml:28: storage.study_url: must be kept in a file"),
        (
            "{path: runs}",
            "{mlflow_uri: ./mlruns}",
            "x.yaml:28: storage.mlflow_uri: must be a database URL or http(s)://",
        ),
    ],
)
def test_an_error_names_file_line_field_rule_and_value(old: str, new: str, expected: str | None) -> None:
    text = with_line(old, new)
    if expected is None:
        spec(text)
    else:
        assert problems(text)[0].startswith(expected)


def test_all_problems_of_a_file_come_back_at_once_in_the_order_of_the_lines() -> None:
    text = with_line("name: full", "name: a/b").replace("batch_size: 64", "batch_size: -1, foo")
    text = (
        text.replace("total_steps: 1000", "total_stps: 1")
        .replace("p_std: 2.0", "p_sdt: 2")
        .replace("rho:", "roh:")
    )
    fields = [
        line.split(": ")[1] for line in problems(text.replace("confirm: {top: 2", "confirm: {top: two"))
    ]
    assert fields == [
        "name",
        "training.total_stps",
        "training.batch_size",
        "space.grid.roh",
        "space.noise.lognormal.p_sdt",
        "confirm.top",
    ]


def test_a_wrong_type_does_not_hide_a_rule_of_the_class() -> None:
    text = with_line("batch_size: 64", "batch_size: -3").replace("learning_rate: 1e-3", "learning_rate: fast")
    assert [line.split(": ")[1] for line in problems(text)] == [
        "training.batch_size",
        "training.learning_rate",
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "[1, 2]\n", "text\n", "3\n"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    [line] = problems(text)
    assert "must be a mapping with at least `name` and `data`" in line


def test_a_name_with_a_newline_at_its_end_is_refused() -> None:
    [line] = problems('name: "a\\n"\ndata: digits\n')
    assert line.startswith("x.yaml:1: name: ")


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ("0", 0),
        ("1", 1),
        ("4", 4),
        ("0.5", 0.5),
        ("0.25", 0.25),
        ("0.33", 0.3333),
        ("1/3", 0.3333),
        ("1/7", 0.1428),
        ("1/48", 0.0208),
    ],
)
def test_a_slice_is_whole_devices_or_one_nth_to_four_decimals(given: str, share: float) -> None:
    resources = spec(with_line("gpu: 0,", f"gpu: {given},")).resources
    assert resources.gpu == share
    if 0 < share < 1:
        assert int(1 / share) * share <= 1


@pytest.mark.parametrize(
    "given", ["0.4", "0.6", "0.35", "0.9", "-1", "true", "half", "1/0", "0.00001", "1e9", "0.01", "1/49"]
)
def test_a_slice_that_strands_a_share_of_the_device_is_refused(given: str) -> None:
    [line] = problems(with_line("gpu: 0,", f"gpu: {given},"))
    assert line.startswith("x.yaml:27: resources.gpu: must be ")


def test_a_refused_slice_names_good_ones() -> None:
    [line] = problems(with_line("gpu: 0,", "gpu: 0.4,"))
    assert line.endswith("Nearest: 0.3333 (3 to a device), 0.5 (2 to a device)")


def test_a_gpu_is_not_shared_by_more_than_mps_takes_but_a_cpu_may_be() -> None:
    [line] = problems(with_line("gpu: 0,", "gpu: 0.01,"))
    assert line.endswith("Nearest: 0.0208 (48 to a device), or 0 for the CPU")
    assert spec(with_line("cpu: 1,", "cpu: 0.01,")).resources.cpu == 0.01


def test_a_micro_batch_is_a_part_of_the_batch_and_no_part_of_what_the_search_is() -> None:
    [line] = problems(MINIMAL + "resources: {micro_batch: 129}\n")
    assert "resources.micro_batch: must be <= training.batch_size=128, but got 129" in line
    whole, parts = spec(MINIMAL), spec(MINIMAL + "resources: {micro_batch: 32}\n")
    assert parts.resources.micro_batch == 32
    assert parts.fingerprint_fields() == whole.fingerprint_fields()


def test_a_stack_is_a_number_of_trials_or_auto_and_no_part_of_what_the_search_is() -> None:
    for value in ("0", "1025", "true", "2.0", "many"):
        [line] = problems(MINIMAL + f"resources: {{stack: {value}}}\n")
        assert "resources.stack: must be a whole number from 1 to 1024, or auto, but got " in line
    [line] = problems(MINIMAL + "resources: {stack: auto, gpu: 1}\n")
    assert "resources.stack: must be a number where trials run on a GPU" in line
    alone, stacked = spec(MINIMAL), spec(MINIMAL + "resources: {stack: auto}\n")
    assert (alone.resources.stack, stacked.resources.stack) == (1, "auto")
    assert stacked.fingerprint_fields() == alone.fingerprint_fields()


def test_files_are_kept_below_the_storage_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = spec(MINIMAL + "storage: {path: here}\n")
    assert small.folder == tmp_path / "here" / "small"
    assert small.study_url_resolved == f"sqlite:///{tmp_path}/here/small/study.db"
    assert small.mlflow_uri_resolved == f"sqlite:///{tmp_path}/here/mlflow.db"


@pytest.mark.parametrize(
    ("study", "mlflow", "same"),
    [
        ("sqlite:///a.db", "sqlite:///a.db", True),
        ("sqlite:///a.db", "sqlite:///./sub/../a.db", True),
        ("sqlite:///a.db", "sqlite:///b.db", False),
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg://v@h:5432/d", True),
        ("postgresql+psycopg2://h/d", "postgresql+psycopg2://h/e", False),
        ("postgresql+psycopg2://h/d?options=-csearch_path%3Doptuna", "postgresql+psycopg2://h/d", False),
        ("sqlite:///a.db", "http://127.0.0.1:5000", False),
    ],
)
def test_study_and_mlflow_may_not_share_a_database(study: str, mlflow: str, same: bool) -> None:
    text = f"{MINIMAL}storage:\n  study_url: {study}\n  mlflow_uri: {mlflow}\n"
    if same:
        [line] = problems(text)
        assert line.startswith("x.yaml:5: storage.mlflow_uri: study_url and mlflow_uri must be two databases")
    else:
        spec(text)


@pytest.mark.parametrize(
    ("field", "url", "shown", "remedy"),
    [
        ("study_url", "postgresql+psycopg://u:secret@h/d", "postgresql+psycopg://u:***@h/d", "PGPASSWORD"),
        (
            "mlflow_uri",
            "postgresql+psycopg://h/d?password=secret",
            "postgresql+psycopg://h/d?password=***",
            ".pgpass",
        ),
        ("mlflow_uri", "https://u:secret@h", "https://u:***@h", "MLFLOW_TRACKING_PASSWORD"),
        # What an earlier version kept of it.
        ("study_url", "mysql+pymysql://u:***@h/d", "mysql+pymysql://u:***@h/d", "read_default_file"),
    ],
)
def test_a_password_in_a_file_that_is_kept_is_refused(field: str, url: str, shown: str, remedy: str) -> None:
    [line] = problems(f"{MINIMAL}storage:\n  {field}: '{url}'\n")
    assert line.startswith(f"x.yaml:4: storage.{field}: must not hold a password")
    assert f"but got {shown}. Leave it out" in line
    assert remedy in line
    assert "secret" not in line


def test_an_address_without_a_password_is_kept_as_it_is() -> None:
    url = "postgresql+psycopg://user@host/db"
    kept = spec(f"{MINIMAL}storage: {{study_url: '{url}'}}\n")
    assert spec(kept.to_yaml()) == kept
    assert kept.study_url_resolved == url


@pytest.mark.parametrize("field", ["study_url", "mlflow_uri"])
@pytest.mark.parametrize(
    "url",
    [
        "nonsense://user:secret@host/d",
        "nonsense://user:secret:second@host/d",
        "nonsense://user@host/d?password=secret",
        "http//user:secret@host",
        "user:secret@host",
        "host/d?password=secret",
        "postgresql+psycopg2://user:secret",
    ],
)
def test_passwords_are_not_shown_in_errors(field: str, url: str) -> None:
    for line in problems(f"{MINIMAL}storage:\n  {field}: '{url}'\n"):
        assert "secret" not in line


def test_an_override_is_checked_like_the_file() -> None:
    small = spec(MINIMAL)
    assert overridden(small, {"budget.max_trials": 8}).budget.max_trials == 8
    assert overridden(small, {}) == small
    with pytest.raises(SpecError, match=r"^command line: budget\.max_trials: must be >= 1, but got -8$"):
        overridden(small, {"budget.max_trials": -8})
    with pytest.raises(SpecError, match="There are no more trials to confirm"):
        overridden(small, {"budget.max_trials": 2})


def test_the_fingerprint_holds_what_makes_it_another_search() -> None:
    old = spec(FULL).fingerprint_fields()
    elsewhere = spec(with_line("cpu: 1", "cpu: 2").replace("path: runs", "path: elsewhere"))
    assert changed_fields(old, elsewhere.fingerprint_fields()) == []
    more = spec(with_line("max_trials: 6", "max_trials: 60").replace("top: 2", "top: 3"))
    assert changed_fields(old, more.fingerprint_fields()) == ["budget.max_trials", "confirm.top"]
    other = spec(
        with_line("seed: 7", "seed: 8")
        .replace("batch_size: 64", "batch_size: 65")
        .replace("p_std: 2.0", "p_std: 2.5")
        .replace("[ict, gokmen_constant]", "[ict]")
        .replace("algorithm: random", "algorithm: tpe")
        .replace("0.75]", "0.8]")
    )
    assert changed_fields(old, other.fingerprint_fields()) == [
        "seed",
        "training.batch_size",
        "space.noise.lognormal.p_std",
        "presets",
        "algorithm.name",
        "stopping.rungs",
    ]


def test_the_folder_of_the_data_may_move() -> None:
    one, other = (
        spec(f"name: a\ndata: {{name: fashion_mnist, root: {root}}}\nnetwork: film_mlp\n") for root in "ab"
    )
    assert one != other
    assert one.fingerprint_fields() == other.fingerprint_fields()


def test_the_fingerprint_survives_json() -> None:
    fields = spec(FULL).fingerprint_fields()
    assert changed_fields(json.loads(json.dumps(fields)), fields) == []


def test_changed_fields_names_what_was_added_and_taken_away() -> None:
    assert changed_fields({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "d": 2}, "e": 1}) == ["a.c", "a.d", "e"]
    assert changed_fields({"a": 1}, {"a": 1.0}) == ["a"]


def mutated(text: str, rng: random.Random) -> str:
    """`text` with one to three random changes: of characters, of lines, of values."""
    odd = [
        "-1",
        "0",
        "1e999",
        "null",
        "true",
        "[]",
        "{}",
        "'x'",
        "1e-3",
        "9" * 80,
        "*a",
        "&a b",
        "é",
        "[[1]]",
        "{name: 3}",
    ]
    for _ in range(rng.randint(1, 3)):
        lines = text.splitlines(keepends=True)
        at = rng.randrange(len(lines))
        line = lines[at]
        match rng.randrange(7):
            case 0:
                del lines[at]
            case 1:
                lines.insert(rng.randrange(len(lines)), line)
            case 2:
                lines[at] = f"{line.partition(':')[0]}: {rng.choice(odd)}\n"
            case 3:
                position = rng.randrange(len(line))
                lines[at] = line[:position] + rng.choice(":[]{}#&*!-'\"\t\n 0a%") + line[position:]
            case 4:
                position = rng.randrange(len(line))
                lines[at] = line[:position] + line[position + 1 :]
            case 5:
                lines[at] = "  " + line
            case 6:
                other = rng.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
        text = "".join(lines) or "\n"
    return text


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_file_is_read_or_refused_in_clean_lines(seed: int) -> None:
    rng = random.Random(seed)
    refused = 0
    for _ in range(75):
        text = mutated(FULL, rng)
        found, lines = read(text)
        refused += found is None
        for line in lines:
            assert line.startswith("x.yaml:"), (line, text)
            assert line.isprintable()
        if found is not None:
            json.dumps(found.resolved(), allow_nan=False)
    assert refused > 30


def places(data: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [place] if place else []
    for key, value in (
        data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    ):
        found += places(value, (*place, key))
    return found


@pytest.mark.parametrize(
    "odd", [None, "", "x", -1, 0, 1e300, True, [], {}, [None], {"name": []}, {"a": {"b": 1}}]
)
def test_an_odd_value_anywhere_is_read_or_refused(odd: Any) -> None:
    resolved = spec(FULL).resolved()
    for place in places(resolved):
        data = copy.deepcopy(resolved)
        at: Any = data
        for part in place[:-1]:
            at = at[part]
        at[place[-1]] = copy.deepcopy(odd)
        _, lines = read(json.dumps(data))
        assert all(line.startswith("x.yaml:1: ") for line in lines)


def test_the_space_that_the_documentation_shows_can_be_searched() -> None:
    shown = Path(__file__).parents[2].joinpath("docs/recipe.md").read_text()
    found = spec(f"name: x\ndata: digits\n{shown.partition('```yaml')[2].partition('```')[0]}")
    assert set(found.space.unusual) == {"gap", "weight", "loss"}
    assert found.space.curriculum == ()


def test_a_space_without_meaning_is_a_line_with_its_place() -> None:
    grid = "  grid:\n    karras_master: {levels: 251}\n"
    lines = problems(f"name: x\ndata: digits\nspace:\n  gap: {{ect: }}\n{grid}  uniform_floor: 0.1\n")
    assert [line.partition(": would")[0].partition(": is")[0] for line in lines] == [
        "x.yaml:6: space.grid.karras_master",
        "x.yaml:7: space.uniform_floor",
    ]
