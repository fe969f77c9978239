"""MLflow as a projection: the same state from live tracking, after a crash, an outage, a deletion."""

import contextlib
import dataclasses
import json
import logging
import math
import os
import shutil
import signal
import sqlite3
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND
from PIL import Image
from torch import nn

from search.errors import OperationFailed
from search.machine.descendants import descendants
from search.record import Measured, Purpose, Report, State, TrialRecord
from search.study.trial_storage import TrialStorage
from search.tracking import (
    Changes,
    Leftover,
    ParentInfo,
    Projection,
    ProjectionProcess,
    Tracker,
    check_metric_name,
    names,
    reconcile,
)
from search.tracking.client import artifact_root, connect, sqlite_file
from search.tracking.density import density_png, stage_densities
from search.tracking.process import TrackingError
from search.tracking.tables import html_table
from spaces import NOISE, PRESETS, NoiseSchedule
from tests.records import OBJECTIVE, full_record
from trainable.storage.checkpoint import packed, save_checkpoint
from trainable.task import OWN, SAMPLES_FILE, SAMPLING_FILE

# MLflow 3.17 on SQLAlchemy 2.1; MLflow's to change.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

TOTAL_STEPS = 200
ICT = PRESETS["ict"].schedule


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Making MLflow's tables takes seconds: done once, copied for each test."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        connect(f"sqlite:///{path}").search_experiments()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("pragma wal_checkpoint(truncate)")  # all of it into the one file
    return path


@pytest.fixture
def uri(empty_database: Path, tmp_path: Path) -> str:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


class Flaky:
    """A client in front of a real store that can be switched off, and told to fail at one method."""

    def __init__(self, client: MlflowClient):
        self.client = client
        self.down = False
        self.fail_after: str | None = None  # the call happens, its answer is lost
        self.fail_at: str | None = None
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> object:
        method = getattr(self.client, name)

        def call(*args: object, **kwargs: object) -> object:
            if self.down or self.fail_at == name:
                raise ConnectionError("MLflow is away")
            self.calls[name] += 1
            result = method(*args, **kwargs)
            if self.fail_after == name:
                raise ConnectionError("the answer was lost")
            return result

        return call


def settings(uri: str, tmp_path: Path) -> dict[str, object]:
    return {
        "uri": uri,
        "search_name": "s",
        "objective": OBJECTIVE,
        "total_steps": TOTAL_STEPS,
        "folder": tmp_path / "s",
        "study_id": "abc",
    }


def projection(uri: str, tmp_path: Path, client: object = None, **fields: object) -> Projection:
    return Projection(client=client, **(settings(uri, tmp_path) | fields))  # type: ignore[arg-type]


def runs(uri: str, role: str = "trial") -> list:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("s")
    found = client.search_runs([experiment.experiment_id], f"tags.`{names.ROLE}` = '{role}'")
    return sorted(found, key=lambda run: int(run.data.tags.get(names.TRIAL, -1)))


def stored(uri: str) -> dict:
    """Everything that MLflow shows of the trials, with every row of every metric."""
    client = MlflowClient(uri)
    return {
        run.data.tags[names.TRIAL]: (
            run.info.status,
            run.data.tags,
            run.data.params,
            {
                key: [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, key)]
                for key in run.data.metrics
            },
            sorted(file.path for file in client.list_artifacts(run.info.run_id)),
        )
        for run in runs(uri)
    }


# --- one trial ------------------------------------------------------------------------------------


def test_a_trial_is_a_child_run_with_params_values_files_and_state(uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "s" / "trials" / "00003"
    folder.mkdir(parents=True)
    Image.new("L", (8, 8)).save(folder / "samples.png")
    mlflow = projection(uri, tmp_path)
    mlflow.sync(full_record(3, preset="ict", purpose=Purpose.BASELINE, end_ms=1_700_000_009_000))

    (run,) = runs(uri)
    assert run.info.status == "FINISHED"
    assert (run.info.start_time, run.info.end_time) == (1_700_000_000_000, 1_700_000_009_000)
    assert run.data.tags[names.PARENT_RUN] == mlflow.runs.parent.run_id
    expected = {names.STATE: "complete", names.STEP: "150", names.PURPOSE: "baseline", names.PRESET: "ict"}
    assert expected.items() <= run.data.tags.items()
    assert run.data.params["seed"] == "7"
    assert run.data.params["noise.name"] == "lognormal"
    assert float(run.data.params["noise.p_std"]) == ICT.noise.p_std  # type: ignore[attr-defined]
    (_, _, _, values, files) = stored(uri)["3"]
    assert values[OBJECTIVE] == [
        (50, 103.0, 1_700_000_003_000),
        (100, 53.0, 1_700_000_003_001),
        (150, 100 / 3 + 3, 1_700_000_003_002),
    ]
    assert files == ["samples.png", "schedule.json", "sigma_density.png"]
    local = MlflowClient(uri).download_artifacts(run.info.run_id, "schedule.json", str(tmp_path))
    assert NoiseSchedule.from_dict(json.loads(Path(local).read_text())) == ICT


def test_what_other_measures_say_of_its_samples_is_shown_at_its_run_once(uri: str, tmp_path: Path) -> None:
    mlflow, plain = projection(uri, tmp_path), full_record(3)
    mlflow.sync(plain)
    measured = dataclasses.replace(
        plain, measured=Measured({"fd_pixels_nfe1": 1.5, "coverage_pixels_nfe2": 0.9})
    )
    assert mlflow.sync(measured) == Changes(values=2)
    assert mlflow.sync(measured) == Changes()
    assert reconcile([measured], projection(uri, tmp_path)) == Changes()
    (_, _, _, values, _) = stored(uri)["3"]
    assert [value for _, value, _ in values["fd_pixels_nfe1"]] == [1.5]
    anew = dataclasses.replace(plain, measured=Measured({"fd_pixels_nfe1": 2.5}))  # on other weights
    assert mlflow.sync(anew) == Changes(values=1)
    assert runs(uri)[0].data.metrics["fd_pixels_nfe1"] == 2.5


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.RUNNING, "RUNNING"),
        (State.COMPLETE, "FINISHED"),
        (State.STOPPED, "FINISHED"),
        (State.DIVERGED, "FINISHED"),
        (State.FAILED, "FAILED"),
    ],
)
def test_the_state_is_a_tag_and_a_run_status(uri: str, tmp_path: Path, state: State, status: str) -> None:
    projection(uri, tmp_path).sync(full_record(0, state, num_reports=1, reason="a reason"))
    (run,) = runs(uri)
    assert run.info.status == status
    assert run.data.tags[names.STATE] == state.value
    assert run.data.tags[names.STEP] == "50"
    assert run.data.tags[names.REASON] == "a reason"


def test_a_replicate_names_what_it_replicates(uri: str, tmp_path: Path) -> None:
    projection(uri, tmp_path).sync(full_record(9, purpose=Purpose.CONFIRM, replicate_of=4))
    (run,) = runs(uri)
    assert run.data.tags[names.REPLICATE_OF] == "4"
    assert run.data.tags[names.PURPOSE] == "confirm"


def test_what_mlflow_cannot_hold_is_named_in_a_tag(uri: str, tmp_path: Path) -> None:
    metrics = {OBJECTIVE: 1e6, "train_loss": math.nan, "max": math.inf, "a@b": 1.0}
    report = Report(step=50, objective=1e6, time_ms=1, metrics=metrics)
    projection(uri, tmp_path).sync(full_record(0, State.DIVERGED, reports=(report,)))
    (run,) = runs(uri)
    assert run.data.metrics == {OBJECTIVE: 1e6}
    assert (
        run.data.tags[names.LEFT_OUT] == "train_loss=nan at step 50; max=inf at step 50; a@b=1.0 at step 50"
    )


def test_nothing_is_written_outside_the_given_folders(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("home", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path / "here")
    projection(uri, tmp_path).sync(full_record(0))
    assert list((tmp_path / "home").iterdir()) == []
    assert list((tmp_path / "here").iterdir()) == []
    (run,) = runs(uri)
    assert run.info.artifact_uri.startswith((tmp_path / "mlflow-artifacts" / "s").as_uri())


# --- the same state on every way ------------------------------------------------------------------


def history(number: int, last: State) -> list[TrialRecord]:
    """A trial as it is seen while it runs."""
    open_ = [full_record(number, State.RUNNING, num_reports=n) for n in range(4)]
    return [*open_, full_record(number, last)]


def test_syncing_again_changes_nothing(uri: str, tmp_path: Path) -> None:
    mlflow = projection(uri, tmp_path)
    record = full_record(0)
    assert mlflow.sync(record) == Changes(
        runs=1, values=7, params=len(runs(uri)[0].data.params), files=2, statuses=1
    )
    before = stored(uri)
    assert not mlflow.sync(record)
    assert not mlflow.sync(record, verify=True)
    assert not projection(uri, tmp_path).sync(record, verify=True)
    mlflow.reload()
    assert not mlflow.sync(record)
    assert stored(uri) == before


def test_report_by_report_gives_the_same_as_all_at_once(uri: str, tmp_path: Path) -> None:
    mlflow = projection(uri, tmp_path)
    for record in history(0, State.STOPPED):
        mlflow.sync(record)
    mlflow.sync(full_record(1, State.STOPPED))
    seen = stored(uri)
    values = {number: {key: len(rows) for key, rows in seen[number][3].items()} for number in ("0", "1")}
    assert values["0"] == values["1"] == {OBJECTIVE: 3, "train_loss": 3}
    assert seen["0"][0] == seen["1"][0] == "FINISHED"


@pytest.mark.parametrize("method", ["create_run", "log_batch", "log_artifacts", "set_terminated"])
@pytest.mark.parametrize("answered", ["fail_at", "fail_after"])
def test_a_crash_at_any_call_leaves_one_whole_run(
    uri: str, tmp_path: Path, method: str, answered: str
) -> None:
    client = Flaky(connect(uri))
    first = projection(uri, tmp_path, client)
    assert first.runs.parent
    setattr(client, answered, method)
    with pytest.raises(ConnectionError):
        first.sync(full_record(0))
    projection(uri, tmp_path).sync(full_record(0))  # another process
    projection(uri, tmp_path / "other").sync(full_record(1), verify=True)
    seen = stored(uri)
    assert list(seen) == ["0", "1"]
    assert {key: len(rows) for key, rows in seen["0"][3].items()} == {OBJECTIVE: 3, "train_loss": 3}
    assert seen["0"][0] == "FINISHED"
    assert seen["0"][4] == ["schedule.json", "sigma_density.png"]


def test_another_study_of_the_same_name_gets_runs_of_its_own(uri: str, tmp_path: Path) -> None:
    projection(uri, tmp_path).sync(full_record(0))
    projection(uri, tmp_path, study_id="later").sync(full_record(0))
    assert len(runs(uri)) == 2
    assert len(runs(uri, "parent")) == 2


def test_the_runs_of_earlier_versions_are_found_by_their_tags(uri: str, tmp_path: Path) -> None:
    client = connect(uri)
    experiment = client.create_experiment("s", (tmp_path / "files").as_uri())
    for tags in ({"search.role": "parent"}, {"search.role": "trial", "search.trial": "0"}):
        client.create_run(experiment, tags={**tags, "search.name": "s", "search.study": "abc"})
    assert projection(uri, tmp_path).sync(full_record(0)).runs == 0
    assert len(runs(uri)) == len(runs(uri, "parent")) == 1


# --- reconcile ------------------------------------------------------------------------------------


def test_reconcile_fills_in_all_that_is_missing(uri: str, tmp_path: Path) -> None:
    records = [full_record(number) for number in range(4)]
    mlflow = projection(uri, tmp_path)
    for record in records:
        mlflow.sync(record)
    whole = stored(uri)
    client = MlflowClient(uri)
    ids = [run.info.run_id for run in runs(uri)]
    client.delete_run(ids[0])
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute(f"delete from metrics where run_uuid = '{ids[1]}' and step = 100")
    client.set_tag(ids[2], names.STATE, "running")
    client.update_run(ids[2], status="RUNNING")
    for path in Path(artifact_root(uri, tmp_path) or "").glob(f"**/{ids[3]}/**/schedule.json"):
        path.unlink()

    changes = reconcile(records, projection(uri, tmp_path))
    assert (changes.runs, changes.values, changes.tags) == (1, 6 + 2, 1)
    assert (changes.files, changes.statuses) == (2 + 1, 2)
    for number, (status, tags, params, values, files) in stored(uri).items():
        assert (status, params, values, files) == (whole[number][0], *whole[number][2:])
        assert tags == whole[number][1]
    assert not reconcile(records, projection(uri, tmp_path))


def files_of(uri: str, tmp_path: Path) -> list[Path]:
    """The files of all trials, where MLflow keeps them."""
    [run] = runs(uri)
    return sorted(Path(artifact_root(uri, tmp_path) or "").glob(f"**/{run.info.run_id}/**/*.*"))


@pytest.mark.parametrize("state", [State.COMPLETE, State.FAILED])
@pytest.mark.parametrize(
    "cut", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: data[:-1]]
)
def test_files_that_a_kill_has_cut_are_written_again(
    uri: str, tmp_path: Path, cut: Callable[[bytes], bytes], state: State
) -> None:
    record = full_record(state=state)
    kept = TrialStorage(tmp_path / "s").folder(0)
    kept.write(SAMPLES_FILE, b"a picture")
    measured = {"metrics": {"fd_nfe_2": 5.0}, "levels": [1.0, 2.0]}

    def reconciled() -> Changes:
        mlflow = projection(uri, tmp_path)
        return reconcile([record], mlflow) + mlflow.sync_sampling(record, measured)

    reconciled()
    whole = {path: path.read_bytes() for path in files_of(uri, tmp_path)}
    assert {path.name for path in whole} == {
        "schedule.json",
        "sigma_density.png",
        SAMPLES_FILE,
        SAMPLING_FILE,
    }
    for path, data in whole.items():
        path.write_bytes(cut(data))
    assert reconciled() == Changes(files=4)
    assert {path: path.read_bytes() for path in files_of(uri, tmp_path)} == whole
    assert not reconciled()
    kept.remove(SAMPLES_FILE)  # it is not kept for ever, and MLflow keeps its own
    assert not reconciled()


def test_where_sampling_levels_are_shown_their_file_is_whole(uri: str, tmp_path: Path) -> None:
    record, measured = full_record(), {"metrics": {"fd_nfe_2": 5.0}}
    client = Flaky(MlflowClient(uri))
    mlflow = projection(uri, tmp_path, client)
    mlflow.sync(record)
    client.fail_at = "log_artifacts"
    with pytest.raises(ConnectionError):
        mlflow.sync_sampling(record, measured)
    [run] = runs(uri)
    assert "fd_nfe_2" not in run.data.metrics
    client.fail_at = None
    assert mlflow.sync_sampling(record, measured) == Changes(values=1, files=1)
    assert not mlflow.sync_sampling(record, measured)
    again = {"metrics": {"fd_nfe_2": 6.0}}  # measured anew: as large as before
    assert mlflow.sync_sampling(record, again) == Changes(values=1, files=1)
    [path] = [path for path in files_of(uri, tmp_path) if path.name == SAMPLING_FILE]
    assert json.loads(path.read_bytes()) == again


def as_the_study_has_it(record: TrialRecord) -> TrialRecord:
    """An open trial: steps and objectives, and no time but its start."""
    reports = tuple(Report(r.step, r.objective, record.start_ms or 0) for r in record.reports)
    return dataclasses.replace(record, state=State.RUNNING, reports=reports)


def keep_checkpoint(folder: Path, reports: Sequence[Report]) -> None:
    state = {"reports": [dataclasses.asdict(report) for report in reports]}
    save_checkpoint(TrialStorage(folder / "s").folder(0), reports[-1].step, packed({}), state)


def test_reconcile_takes_the_rungs_of_an_open_trial_from_its_checkpoint(uri: str, tmp_path: Path) -> None:
    whole = full_record(num_reports=3)
    keep_checkpoint(tmp_path, whole.reports)
    # The study has not heard of the last one; the trial will tell it when it goes on.
    known = as_the_study_has_it(full_record(num_reports=2))
    assert reconcile([known], projection(uri, tmp_path)).values == 4
    [(_, _, _, values, _)] = stored(uri).values()
    expected = [(r.step, r.objective, r.time_ms) for r in whole.reports[:2]]
    assert values[OBJECTIVE] == expected
    assert [step for step, _, _ in values["train_loss"]] == [50, 100]
    assert not reconcile([known], projection(uri, tmp_path))


@pytest.mark.parametrize("damage", ["gone", "unreadable", "of another training"])
def test_without_a_checkpoint_the_objective_is_shown_and_the_rest_follows(
    uri: str, tmp_path: Path, damage: str
) -> None:
    whole = full_record(num_reports=2)
    if damage != "gone":
        keep_checkpoint(tmp_path, [dataclasses.replace(r, objective=r.objective + 1) for r in whole.reports])
    if damage == "unreadable":
        (tmp_path / "s" / "trials" / "00000" / "000000100.json").write_text("{")
    assert reconcile([as_the_study_has_it(whole)], projection(uri, tmp_path)).values == 2
    [(_, _, _, values, _)] = stored(uri).values()
    assert {key: [value for _, value, _ in points] for key, points in values.items()} == {
        OBJECTIVE: [100.0, 50.0]
    }
    # The trial goes on in another driver: what was measured besides comes in, and no value twice.
    projection(uri, tmp_path).sync(dataclasses.replace(whole, state=State.COMPLETE))
    [(_, _, _, values, _)] = stored(uri).values()
    assert {key: len(points) for key, points in values.items()} == {OBJECTIVE: 2, "train_loss": 2}


def test_reconcile_survives_a_deleted_parent(uri: str, tmp_path: Path) -> None:
    mlflow = projection(uri, tmp_path)
    mlflow.sync(full_record(0))
    MlflowClient(uri).delete_run(mlflow.runs.parent.run_id)
    again = projection(uri, tmp_path)
    changes = reconcile([full_record(0)], again)
    assert changes.runs == 0
    (run,) = runs(uri)
    assert run.data.tags[names.PARENT_RUN] == again.runs.parent.run_id != mlflow.runs.parent.run_id


def test_reconcile_takes_a_deleted_experiment_out_of_the_trash(uri: str, tmp_path: Path) -> None:
    mlflow = projection(uri, tmp_path)
    mlflow.sync(full_record(0))
    MlflowClient(uri).delete_experiment(mlflow.runs.experiment_id)
    reconcile([full_record(0), full_record(1)], projection(uri, tmp_path))
    assert [run.data.tags[names.TRIAL] for run in runs(uri)] == ["0", "1"]


def test_reconcile_removes_a_second_run_of_a_trial(uri: str, tmp_path: Path) -> None:
    mlflow = projection(uri, tmp_path)
    mlflow.sync(full_record(0))
    (first,) = runs(uri)
    MlflowClient(uri).create_run(mlflow.runs.experiment_id, tags=first.data.tags)
    assert reconcile([full_record(0)], mlflow) == Changes(duplicates=1)
    assert [run.info.run_id for run in runs(uri)] == [first.info.run_id]


# --- the search itself ----------------------------------------------------------------------------


def test_the_parent_holds_tags_params_files_and_status(uri: str, tmp_path: Path) -> None:
    mlflow = projection(uri, tmp_path)
    params = {"space": {"noise": {"lognormal": {"p_std": [0.5, 3.0]}}}, "seed": 0}
    info = ParentInfo({"git_commit": "1234"}, params, {"search.yaml": "name: s\n"})
    mlflow.sync_parent(info)
    mlflow.sync_parent(dataclasses.replace(info, files={"best_schedule.json": "{}"}, status="FINISHED"))
    again = projection(uri, tmp_path)
    again.sync_parent(dataclasses.replace(info, params=params | {"seed": 1}, status="FINISHED"))
    (run,) = runs(uri, "parent")
    assert run.info.status == "FINISHED"
    assert run.data.tags["git_commit"] == "1234"
    assert run.data.params == {"space.noise.lognormal.p_std": "[0.5, 3.0]", "seed": "0"}
    files = {file.path for file in MlflowClient(uri).list_artifacts(run.info.run_id)}
    assert files == {"search.yaml", "best_schedule.json"}


def test_of_a_search_that_is_interrupted_no_run_stays_running(uri: str, tmp_path: Path) -> None:
    records = [full_record(0), full_record(1, State.RUNNING, 1), full_record(2, State.RUNNING, 0)]
    mlflow = projection(uri, tmp_path)
    mlflow.sync_parent(ParentInfo())
    for record in records[:2]:
        mlflow.sync(record)
    mlflow.sync_parent(ParentInfo(status="KILLED"))
    mlflow.sync(records[2])  # waited behind the search's own run
    assert [run.info.status for run in runs(uri)] == ["FINISHED", "KILLED", "KILLED"]
    again = projection(uri, tmp_path)
    assert reconcile(records, again).statuses == 0

    again.sync_parent(ParentInfo())
    for record in records:
        again.sync(record)
    assert [run.info.status for run in runs(uri)] == ["FINISHED", "RUNNING", "RUNNING"]


def test_the_parent_carries_the_best_full_value_so_far(uri: str, tmp_path: Path) -> None:
    mlflow = projection(uri, tmp_path)
    mlflow.sync(full_record(5))
    mlflow.sync(full_record(1, State.STOPPED))
    mlflow.sync(full_record(0, purpose=Purpose.CONFIRM, replicate_of=5))
    again = projection(uri, tmp_path)
    again.sync(full_record(6))
    again.sync(full_record(2))
    (run,) = runs(uri, "parent")
    assert run.data.metrics == {OBJECTIVE: 100 / 3 + 2}
    assert run.data.tags[names.BEST_TRIAL] == "2"
    assert len(MlflowClient(uri).get_metric_history(run.info.run_id, OBJECTIVE)) == 2


def test_the_leaderboard_is_stored_and_its_trials_are_marked(uri: str, tmp_path: Path) -> None:
    mlflow = projection(uri, tmp_path)
    for number in range(3):
        mlflow.sync(full_record(number))
    row = {
        "rank": 1,
        "confirmed": True,
        "number": 1,
        "schedule": {"noise": {}},
        "mean": 34.5,
        "interval": [33.0, 36.0],
        "tied": True,
        "ratio": 0.381,
        "ratio_interval": [0.31, 0.47],
        "describe": "law(a_b=1) <b>",
    }
    rows = [row, {"rank": None, "confirmed": False, "number": 0, "mean": None, "interval": None}]
    mlflow.sync_leaderboard(rows, "trial 1 is better | <i>")
    assert not mlflow.sync_leaderboard(rows, "trial 1 is better | <i>")
    (parent,) = runs(uri, "parent")
    assert parent.data.metrics[f"{OBJECTIVE}_confirmed"] == 34.5
    note = parent.data.tags[names.NOTE].splitlines()
    assert note[0] == "trial 1 is better \\| &lt;i&gt;"
    assert note[2].endswith(f"/runs/{parent.info.run_id}/artifacts/report.html)")
    assert note[6] == "| 1 tied | 1 | 34.5 \\[33, 36\\] | -62 % \\[-69, -53\\] |  | law(a\\_b=1) &lt;b&gt; |"
    first, second, third = runs(uri)
    assert second.data.metrics[f"{OBJECTIVE}_confirmed"] == 34.5
    assert second.data.tags[names.RANK] == "1 tied"
    assert second.data.tags[names.MEAN] == "34.5 [33, 36]"
    assert second.data.tags[names.AGAINST] == "-62 % [-69, -53]"
    assert not {names.RANK, names.MEAN} & (first.data.tags.keys() | third.data.tags.keys())
    assert [run.data.metrics.get(names.PLACE) for run in (first, second, third)] == [2.0, 1.0, None]
    local = MlflowClient(uri).download_artifacts(parent.info.run_id, "leaderboard.json", str(tmp_path))
    assert json.loads(Path(local).read_text()) == rows


def test_the_saved_view_is_the_leaderboard_and_leaves_out_parent_and_replicates(
    uri: str, tmp_path: Path
) -> None:
    mlflow = projection(uri, tmp_path)
    for number in (2, 0, 1):
        mlflow.sync(full_record(number))
    for number, purpose in enumerate((Purpose.CONFIRM, Purpose.NOISE, Purpose.REPLICATE, Purpose.HOLD), 3):
        mlflow.sync(full_record(number, purpose=purpose, replicate_of=0))
    path = mlflow.save_view()
    page, _, query = path.partition("?")
    assert page == f"/#/experiments/{mlflow.runs.experiment_id}/runs"
    key = dict(part.split("=") for part in query.split("&"))["viewStateShareKey"]
    client = MlflowClient(uri)

    def in_view() -> list[str]:
        tags = client.get_experiment(mlflow.runs.experiment_id).tags
        state = json.loads(tags[f"mlflow.sharedViewState.{key}"])
        order = f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"
        found = client.search_runs([mlflow.runs.experiment_id], state["searchFilter"], order_by=[order])
        return [run.data.tags[names.TRIAL] for run in found]

    assert in_view() == ["0", "1", "2"]  # by the objective, while nobody knows better
    confirmed = {"number": 2, "rank": 1, "confirmed": True, "mean": 3.0}
    mlflow.sync_leaderboard([confirmed, {"number": 1, "rank": None}])
    assert in_view() == ["2", "1", "0"]  # confirmed ones on top


@pytest.mark.parametrize("is_earlier", [False, True])
def test_the_experiment_opens_as_one_of_training(uri: str, tmp_path: Path, is_earlier: bool) -> None:
    client = MlflowClient(uri)
    if is_earlier:
        client.create_experiment("s", (tmp_path / "mlflow-artifacts" / "s").as_uri())
    for kind in ("custom_model_development", "chosen by hand"):
        projection(uri, tmp_path).sync(full_record(0))
        experiment = client.get_experiment_by_name("s")
        assert experiment is not None
        assert experiment.tags["mlflow.experimentKind"] == kind
        client.set_experiment_tag(experiment.experiment_id, "mlflow.experimentKind", "chosen by hand")


def test_a_trial_says_on_what_data_it_was_trained(uri: str, tmp_path: Path) -> None:
    data = {OWN: ("digits", "d" * 64), "mlp": ("stripes", "e" * 64)}
    for _ in range(2):
        mlflow = projection(uri, tmp_path, datasets=data)
        mlflow.sync(full_record(0))
        mlflow.sync(full_record(1, purpose=Purpose.HOLD, replicate_of=0, setting="mlp"))
        mlflow.sync(full_record(2, purpose=Purpose.HOLD, replicate_of=0, setting="unknown"))
    found = [
        [(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs] for run in runs(uri)
    ]
    assert found == [[("digits", "d" * 36)], [("stripes", "e" * 36)], []]


class Older(Flaky):
    """A client of a server that knows neither data sets nor logged models."""

    def __getattr__(self, name: str) -> object:
        if name in ("log_inputs", "create_logged_model"):

            def unknown(*_: object, **__: object) -> object:
                raise MlflowException("no such endpoint", ENDPOINT_NOT_FOUND)

            return unknown
        return super().__getattr__(name)


def test_an_older_server_gets_what_it_knows_and_the_model_as_files(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older = Older(connect(uri))
    mlflow = projection(uri, tmp_path, older, datasets={OWN: ("digits", "d" * 64)})
    for number in (0, 0, 1):
        mlflow.sync_model(full_record(number), lambda: nn.Linear(1, 1))
    assert [line.getMessage() for line in caplog.records if "earlier version" in line.getMessage()] == [
        "the MLflow server is of an earlier version: the runs of trials do not say on what data they were trained",
        "the MLflow server is of an earlier version: models of finalists are among the files of their runs, and load "
        "from there",
    ]
    run, _ = sorted(runs(uri), key=lambda each: int(each.data.tags[names.TRIAL]))
    assert run.data.tags[names.MODEL] == f"runs:/{run.info.run_id}/model"
    assert "model/MLmodel" in {
        file.path for file in MlflowClient(uri).list_artifacts(run.info.run_id, "model")
    }
    assert run.inputs.dataset_inputs == []


def test_a_model_that_is_not_kept_is_left_out(uri: str, tmp_path: Path) -> None:
    def lost() -> object:
        raise OperationFailed("the model of trial 0 is lost")

    mlflow = projection(uri, tmp_path)
    mlflow.sync_model(full_record(0), lost)
    assert names.MODEL not in runs(uri)[0].data.tags
    with pytest.raises(OperationFailed):
        mlflow.register(full_record(0), lost, "schedules")


# --- live -----------------------------------------------------------------------------------------


def test_the_tracker_ends_with_the_newest_state_of_every_trial(uri: str, tmp_path: Path) -> None:
    tracker = Tracker(projection(uri, tmp_path), linger=0.05)
    tracker.put_parent(ParentInfo())
    for records in zip(history(0, State.COMPLETE), history(1, State.STOPPED), strict=True):
        for record in records:
            tracker.put(record)
    tracker.put_leaderboard([{"rank": 1, "number": 1, "confirmed": True, "mean": 2.0}])
    left = tracker.close(timeout=20)
    assert not left
    assert tracker.num_waiting == 0
    assert [run.data.tags[names.STATE] for run in runs(uri)] == ["complete", "stopped"]
    assert runs(uri)[1].data.tags[names.RANK] == "1"
    assert all(
        len(rows) == 3
        for seen in stored(uri).values()
        for key, rows in seen[3].items()
        if key in (OBJECTIVE, "train_loss")
    )


def test_a_burst_of_reports_is_one_write(uri: str, tmp_path: Path) -> None:
    client = Flaky(connect(uri))
    tracker = Tracker(projection(uri, tmp_path, client), linger=0.3)
    for record in history(0, State.COMPLETE):
        tracker.put(record)
    assert not tracker.close(timeout=20)
    assert client.calls["create_run"] == 2  # the parent and the trial
    assert client.calls["set_terminated"] == 1
    assert client.calls["log_artifacts"] == 1


def test_an_outage_neither_blocks_nor_loses_anything(
    uri: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    client = Flaky(connect(uri))
    client.down = True
    with caplog.at_level(logging.WARNING, "search.tracking"):
        tracker = Tracker(projection(uri, tmp_path, client), linger=0.0)
        for number in range(20):
            for record in history(number, State.COMPLETE):
                tracker.put(record)  # MLflow comes back after the last: none may wait for it
        deadline = time.monotonic() + 60
        while tracker.error is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert tracker.num_waiting == 20
        client.down = False
        assert not tracker.close(timeout=20)
    assert any("MLflow is away" in message for message in caplog.messages)
    assert capfd.readouterr() == ("", "")
    seen = stored(uri)
    assert len(seen) == 20
    for number, (status, _, _, values, _) in seen.items():
        assert status == "FINISHED"
        assert [value for _, value, _ in values[OBJECTIVE]] == [
            report.objective for report in full_record(int(number)).reports
        ]


def test_a_store_of_files_that_is_away_keeps_no_values_out(uri: str, tmp_path: Path) -> None:
    client = Flaky(connect(uri))
    client.fail_at = "log_artifacts"
    tracker = Tracker(projection(uri, tmp_path, client), linger=0.0)
    tracker.put_parent(ParentInfo(files={"search.yaml": "name: s"}))
    tracker.put(full_record(0))
    deadline = time.monotonic() + 20
    while not client.calls["log_batch"] and time.monotonic() < deadline:
        time.sleep(0.05)
        tracker.put_parent(ParentInfo(files={"search.yaml": "name: s"}))  # it changes while trials go on
    assert [(run.info.status, len(run.data.metrics) > 1) for run in runs(uri)] == [("RUNNING", True)]
    client.fail_at = None
    assert not tracker.close(timeout=20)
    assert [run.info.status for run in runs(uri)] == ["FINISHED"]


def test_close_says_what_mlflow_lacks_and_reconcile_fills_it_in(uri: str, tmp_path: Path) -> None:
    client = Flaky(connect(uri))
    tracker = Tracker(projection(uri, tmp_path, client), linger=0.0)
    tracker.put(full_record(0))
    while tracker.num_waiting:
        time.sleep(0.01)
    client.down = True
    tracker.put(full_record(1))
    tracker.put(full_record(2))
    left = tracker.close(timeout=0.5)
    assert left.trials == (1, 2)
    assert left.message("reconcile s") == (
        "MLflow is not up to date (ConnectionError: MLflow is away): 2 trials wait; run `reconcile s`"
    )
    changes = reconcile([full_record(number) for number in range(3)], projection(uri, tmp_path))
    assert (changes.runs, changes.values) == (2, 12)


def test_close_says_so_where_mlflow_is_only_slow() -> None:
    assert Leftover(trials=(3,)).message("reconcile s") == (
        "MLflow is not up to date (it was too slow for the time that is left at the end): 1 trial waits; "
        "run `reconcile s`"
    )


def test_a_record_that_mlflow_refuses_does_not_hold_up_the_others(uri: str, tmp_path: Path) -> None:
    class Picky(Projection):
        def sync(self, record: TrialRecord, *, verify: bool = False) -> Changes:
            if record.number == 0:
                raise MlflowException.invalid_parameter_value("not this one")
            return super().sync(record, verify=verify)

    client = connect(uri)
    folder = tmp_path / "s"
    picky = Picky(
        uri, search_name="s", objective=OBJECTIVE, total_steps=TOTAL_STEPS, folder=folder, client=client
    )
    tracker = Tracker(picky, linger=0.0)
    for number in range(3):
        tracker.put(full_record(number))
    left = tracker.close(timeout=20)
    assert left.trials == (0,)
    assert [run.data.tags[names.TRIAL] for run in runs(uri)] == ["1", "2"]


def test_a_killed_tracking_process_is_started_again_and_nothing_is_lost(uri: str, tmp_path: Path) -> None:
    before = set(descendants())
    remote = ProjectionProcess(settings(uri, tmp_path), tmp_path / "search.log")
    tracker = Tracker(remote, linger=0.01)
    tracker.put(full_record(0))
    deadline = time.monotonic() + 60
    while tracker.num_waiting and time.monotonic() < deadline:
        time.sleep(0.05)
    (process,) = set(descendants()) - before
    os.kill(process, signal.SIGKILL)
    tracker.put(full_record(1, State.STOPPED))
    tracker.put_parent(ParentInfo(status="FINISHED"))
    assert not tracker.close(60)
    remote.close()
    assert set(descendants()) <= before
    assert reconcile([full_record(0), full_record(1, State.STOPPED)], projection(uri, tmp_path)) == Changes()


def test_ctrl_c_is_none_of_the_tracking_process_that_still_starts(uri: str, tmp_path: Path) -> None:
    before = set(descendants())
    process = ProjectionProcess(settings(uri, tmp_path))
    with ThreadPoolExecutor() as pool:
        try:
            written = pool.submit(process.sync_parent, ParentInfo())
            while not written.done():
                for started in set(descendants()) - before:
                    os.kill(started, signal.SIGINT)
                time.sleep(0.05)
            written.result()
        finally:
            process.close()
    assert len(runs(uri, "parent")) == 1


def test_the_tracking_process_passes_on_what_mlflow_refuses(uri: str, tmp_path: Path) -> None:
    remote = ProjectionProcess(settings("nosuch://store", tmp_path))
    try:
        with pytest.raises(TrackingError, match="nosuch"):
            remote.sync(full_record(0))
    finally:
        remote.close()
    with pytest.raises(TrackingError, match="lost"):  # closed: not started again
        remote.sync(full_record(0))


def test_put_after_close_is_reported_not_raised(uri: str, tmp_path: Path) -> None:
    tracker = Tracker(projection(uri, tmp_path, connect(uri)))
    tracker.close(timeout=5)
    tracker.put(full_record(3))
    assert tracker.close(timeout=1).trials == (3,)


def test_a_hanging_mlflow_does_not_hold_up_close(uri: str, tmp_path: Path) -> None:
    release = threading.Event()

    class Hanging(Projection):
        def sync(self, record: TrialRecord, *, verify: bool = False) -> Changes:
            release.wait()
            return Changes()

    folder = tmp_path / "s"
    hanging = Hanging(
        uri, search_name="s", objective=OBJECTIVE, total_steps=TOTAL_STEPS, folder=folder, client=object()
    )
    tracker = Tracker(hanging, linger=0.0)
    tracker.put(full_record(0))
    left = tracker.close(timeout=0.2)
    assert left.trials == (0,)
    release.set()


# --- names, pictures, places ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a@b", "../x", "a//b", "/a", "ä", "x" * 251, "a\nb"])
def test_a_bad_objective_name_is_refused_before_anything_starts(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="A metric name has"):
        projection("sqlite:///never.db", tmp_path, object(), objective=name)


@pytest.mark.parametrize("name", ["fid", "fd_digits_cnn", "a/b.c-d e:f"])
def test_good_metric_names_pass(name: str) -> None:
    assert check_metric_name(name) == name


def test_nested_data_becomes_flat_parameters() -> None:
    data = {"a": {"b": 1.5, "c": {}}, "d": [1, 2], "e": [{"name": "x"}], "f g/h@": None}
    assert names.flatten(data) == {
        "a.b": "1.5",
        "a.c": "{}",
        "d": "[1, 2]",
        "e.0.name": "x",
        "f g_h_": "None",
    }


@pytest.mark.parametrize("name", PRESETS)
def test_the_density_of_every_stage_integrates_to_one(name: str) -> None:
    for _, edges_N, density_M in stage_densities(PRESETS[name].schedule, 1000):
        widths_M = edges_N[1:] - edges_N[:-1]
        assert abs(float((density_M * widths_M).sum()) - 1) < 1e-9


@pytest.mark.parametrize("name", NOISE)
def test_every_noise_distribution_can_be_drawn(name: str, tmp_path: Path) -> None:
    schedule = dataclasses.replace(ICT, noise=NOISE.build(name))
    path = tmp_path / "density.png"
    path.write_bytes(density_png(schedule, 1000))
    with Image.open(path) as image:
        assert image.size == (640, 360)
        assert len(image.getcolors(1 << 20) or []) > 50


def test_tables_leave_out_what_has_no_value_and_escape_the_rest() -> None:
    rows = [{"a": "x|<b>", "b": None, "c": {"d": 1}, "e": 1.23456}]
    assert "<td>x|&lt;b&gt;</td><td>1.235</td>" in html_table(rows, "t")


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="SQLite file"):
        sqlite_file(uri)


def test_files_go_beside_the_database_or_to_the_server(tmp_path: Path) -> None:
    assert artifact_root("http://127.0.0.1:5000", tmp_path) is None
    assert artifact_root(f"sqlite:///{tmp_path}/x/m.db", tmp_path) == tmp_path / "x" / "mlflow-artifacts"
    assert artifact_root("postgresql+psycopg://h/d", tmp_path) == tmp_path / "mlflow-artifacts"
