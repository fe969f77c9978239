"""A search, opened by name or file: what is read of it, and what changes it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search import cli
from search.errors import InputError, OperationFailed
from search.policy.conductor import Conductor
from search.policy.trials import CONFIRM_ANYWAY, SEARCH_CLOSED
from search.record import Purpose, Report
from search.running.search import Search

TEXT = """
name: toy
data: digits
algorithm: random
presets: [ict]
noise_floor: {seeds: 0}
budget: {max_trials: 3}
confirm: {top: 1, baselines: 1, rounds: [2]}
measures: []
"""
ASSETS: Any = SimpleNamespace(
    objective="fd_digits_cnn", data_sha256="d" * 64, extractor_sha256="e" * 64, extractor_accuracy=0.9
)


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Searches are kept in runs/ of the current directory; toy.yaml describes one."""
    monkeypatch.chdir(tmp_path)
    Path("toy.yaml").write_text(TEXT)
    return tmp_path / "runs"


@pytest.fixture
def toy(storage: Path) -> Search:
    """Started, and run to its end."""
    return run_to_its_end()


def run_to_its_end(*, diverging: bool = False) -> Search:
    """diverging: whether its proposals do."""
    search = Search.open("toy.yaml")
    search.folder.mkdir(parents=True)
    search.open_or_create(ASSETS)
    search.write_file()
    conductor = Conductor(search.plan(), search.store)
    step = conductor.plan.rungs[-1]
    while (trial := conductor.next()) is not None:
        value, outcome = 50.0 + trial.number, "complete"
        if diverging and trial.purpose is Purpose.SEARCH:
            value, outcome = 1e9, "diverged"
        conductor.observe(trial.number, step, [Report(step, value, 0)], outcome)
    return search


def test_it_is_found_by_its_name_and_by_its_file(toy: Search, storage: Path) -> None:
    for opened in (Search.open("toy"), Search.open("toy.yaml"), Search.kept_in(storage / "toy")):
        assert opened.name == "toy"
        assert opened.folder == storage / "toy"
        assert [record.number for record in opened.records()] == list(range(7))
    with pytest.raises(
        InputError, match=r"no search named 'other' in runs/\. There: toy\. Or give its search file"
    ):
        Search.open("other")
    with pytest.raises(InputError, match=r"other\.yaml: no such file"):
        Search.open("other.yaml")


def test_a_search_of_a_file_is_looked_for_where_it_is_said_to_be(toy: Search, tmp_path: Path) -> None:
    assert Search.open("toy.yaml", str(tmp_path / "elsewhere")).folder == tmp_path / "elsewhere" / "toy"
    with pytest.raises(InputError, match="search 'toy' has not been started"):
        Search.open("toy.yaml", str(tmp_path / "elsewhere")).result()
    Path("toy.yaml").write_text(f"{TEXT}storage: {{path: elsewhere}}\n")
    assert Search.open("toy.yaml").folder == tmp_path / "elsewhere" / "toy"
    assert Search.open("toy.yaml", "runs").result().finished


def test_a_search_without_a_confirmed_proposal_has_nothing_to_hold(
    storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run_to_its_end(diverging=True).folder / "search.yaml").read_text()
    assert cli.main(["hold", "toy", "--at", "network: unet"]) == 2
    told = capsys.readouterr().err
    assert "'toy' has nothing to compare in another setting: no proposal, or no preset, is confirmed." in told
    assert "search extend toy --trials N" in told
    assert (storage / "toy" / "search.yaml").read_text() == before


def test_a_comparison_elsewhere_asks_nothing_of_what_the_search_confirms(storage: Path) -> None:
    Path("toy.yaml").write_text(TEXT.replace("top: 1, baselines: 1, rounds: [2]", "top: 0"))
    arguments = ["--presets", "ict,ct", "--at", "network: unet", "--dry-run"]
    assert cli.main(["compare", "toy.yaml", *arguments]) == 0


def test_an_extension_that_was_cut_off_before_its_file_is_given_again(
    toy: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.store.set_header(SEARCH_CLOSED, True)
    with monkeypatch.context() as cut:
        cut.setattr(Search, "write_file", lambda search: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            Search.open("toy").amended({"budget.max_trials": 5})
    assert Search.open("toy").spec.budget.max_trials == 3  # so says its file
    more = Search.open("toy").amended({"budget.max_trials": 5})
    assert (more.header[SEARCH_CLOSED], more.header[CONFIRM_ANYWAY]) == (False, False)
    conductor = Conductor(more.plan(), more.store)
    proposed = conductor.next()
    assert proposed is not None and proposed.purpose is Purpose.SEARCH


def test_what_is_read_of_it_agrees(toy: Search) -> None:
    opened = Search.open("toy")
    result, status = opened.result(), opened.status()
    assert result.finished and status["state"] == "finished"
    assert result.board == opened.board()
    assert status["finding"] == result.conclusion
    assert opened.document() == opened.document(result.board)
    assert opened.document()["evidence"]["finding"] == result.conclusion
    assert opened.header["objective"] == opened.objective == "fd_digits_cnn"
    assert opened.command("confirm", "--top 4") == "python -m search confirm toy --top 4"


def test_reading_it_builds_no_conductor(toy: Search) -> None:
    """A conductor reads all trials once more for the sampler, and could decide something."""
    code = (
        "import sys; from search.running.search import Search; toy = Search.open('toy'); "
        "toy.result(), toy.status(), toy.board(), toy.document(); print('search.policy.conductor' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "False\n"


def test_what_was_not_started_has_no_study(storage: Path) -> None:
    search = Search.open("toy.yaml")
    reads: list[Callable[[], Any]] = [
        search.records,
        search.board,
        search.result,
        search.status,
        search.document,
    ]
    for read in reads:
        with pytest.raises(InputError, match="search 'toy' has not been started"):
            read()
    assert not storage.exists()


def test_more_is_asked_of_it_and_kept(toy: Search) -> None:
    toy.store.set_header(SEARCH_CLOSED, True)
    more = toy.amended({"budget.max_trials": 5})
    assert more.spec.budget.max_trials == Search.open("toy").spec.budget.max_trials == 5
    assert toy.spec.budget.max_trials == 3
    assert not more.result().finished
    assert (more.header[SEARCH_CLOSED], more.header[CONFIRM_ANYWAY]) == (False, False)
    confirmed = more.amended({"confirm.top": 2})
    assert confirmed.header[CONFIRM_ANYWAY] is True
    assert Search.open("toy").header["identity"] == confirmed.spec.fingerprint_fields()
    assert sum(record.purpose is Purpose.CONFIRM for record in confirmed.records()) == 4


def test_one_whose_file_was_edited_is_not_amended(toy: Search) -> None:
    file = toy.folder / "search.yaml"
    file.write_text(file.read_text().replace("num_samples: 2000", "num_samples: 2001"))
    with pytest.raises(
        InputError, match=r"'toy' exists with another objective\.num_samples, budget\.max_trials\. Give"
    ):
        Search.open("toy").amended({"budget.max_trials": 5})


def test_a_lock_that_is_no_file_is_told(toy: Search) -> None:
    (toy.folder / ".lock").unlink(missing_ok=True)
    (toy.folder / ".lock").mkdir()
    with pytest.raises(InputError, match=r"\.lock cannot be written: Is a directory\. Make it a file"):
        toy.amended({"budget.max_trials": 5})


def test_it_is_not_amended_while_somebody_drives_it(toy: Search) -> None:
    told = r"search 'toy' is being run by process \d+\. Wait for it, or run: python -m search stop toy$"
    with toy.held_here(), pytest.raises(OperationFailed, match=told):
        toy.amended({"budget.max_trials": 5})
    assert Search.open("toy").spec.budget.max_trials == 3


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "max_trials: 3",
            "max_trials: 4",
            r"exists with another budget\.max_trials\. Do more of it with `python -m search extend toy`, or",
        ),
        ("presets: [ict]", "presets: []", r"exists with another presets.*\. Give this one another `name`"),
    ],
)
def test_another_search_of_its_name_is_refused(toy: Search, before: str, after: str, message: str) -> None:
    Path("toy.yaml").write_text(TEXT.replace(before, after))
    with pytest.raises(InputError, match=message):
        Search.open("toy.yaml").open_or_create(ASSETS)


def test_other_data_and_another_feature_network_are_refused(toy: Search) -> None:
    for key, what in (("data_sha256", "data set"), ("extractor_sha256", "feature network")):
        other = SimpleNamespace(**{**vars(ASSETS), key: "0" * 64})
        with pytest.raises(InputError, match=f"was measured with another {what} .*, now 000000000000"):
            Search.open("toy.yaml").open_or_create(other)  # type: ignore[arg-type]


def test_an_exhausted_space_is_told_and_cannot_be_extended(tmp_path: Path) -> None:
    file = tmp_path / "exhausted.yaml"
    file.write_text(
        "name: exhausted\ndata: digits\ntraining: {total_steps: 100}\n"
        "space:\n  grid: {karras: {rho: 7}}\n  noise: {uniform: }\n  curriculum: {constant: {levels: 20}}\n"
        "presets: []\nstopping: none\nbudget: {max_trials: 12}\nconfirm: {top: 1, baselines: 0, rounds: [2]}\n"
        f"storage: {{path: {tmp_path / 'runs'}}}\n"
    )
    search = Search.open(str(file))
    search.folder.mkdir(parents=True)
    search.open_or_create(ASSETS)
    conductor = Conductor(search.plan(), search.store)
    while (record := conductor.next()) is not None:
        conductor.observe(record.number, 100, [Report(100, 5.0 + record.seed, 0)], "complete")
    assert len(conductor.records) == 3  # the one schedule there is, and its confirmation
    table = "\n".join(search.result().table())
    assert "The search ended after 1 of 12 trials: its space seems to hold no schedule" in table
    with pytest.raises(
        InputError, match="'exhausted' cannot be extended: its space seems to hold no schedule"
    ):
        search.amended({"budget.max_trials": 17})
