"""A search whose workers hold several trials each, killed and gone on with: its values are those of trials alone."""

import os
import signal
from pathlib import Path

import pytest
import torch

from search.machine.cache_folder import cache_folder
from search.record import State
from search.running.search import Search
from tests.integration.processes import workers_of
from tests.integration.running import finish, start, toy, until
from trainable.metric.assets import prepare
from trainable.setting import Setting
from trainable.task import TrialTask
from trainable.trial import TrialWorker

pytestmark = pytest.mark.integration

SEARCH = toy(
    1500,
    8,
    """
space: {noise: {lognormal: , uniform: }, curriculum: {constant: {levels: {low: 5, high: 40}}}}
algorithm: random
noise_floor: {seeds: 0}
confirm: {top: 0}
resources: {stack: 3}
""",
)


def test_killed_and_gone_on_with_it_finds_what_trials_alone_find(tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text(f"{SEARCH}storage: {{path: {tmp_path}}}\n")
    process = start("run", file)
    there = tmp_path / "toy" / "trials"
    until(lambda: len([*there.glob("*/*.json")]) >= 3, 300, "trials have checkpoints")
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)  # three trials with it
    before = {*there.glob("*/*.json")}
    until(lambda: {*there.glob("*/*.json")} - before, 300, "a trial of the other worker's has a checkpoint")
    process.kill()
    process.communicate()
    code, _, err = finish(start("run", file))
    assert code == 0, err

    search = Search.kept_in(tmp_path / "toy")
    spec, records = search.spec, search.records()
    states = {record.state for record in records}
    assert len(records) == 8 and states <= {State.COMPLETE, State.STOPPED}
    assets = prepare(spec.own_setting.data, spec.own_setting.extractor, cache_folder())
    torch.set_num_threads(1)  # as a worker with one CPU
    alone = TrialWorker(Setting(assets, spec.own_setting.network, spec.training, spec.objective.num_samples))
    for record in (records[0], records[-1]):
        steps = tuple(report.step for report in record.reports)
        alone.begin(
            TrialTask(
                number=record.number,
                schedule=record.schedule.to_dict(),
                seed=record.seed,
                rungs=steps,
                folder=str(tmp_path / f"alone-{record.number}"),
            )
        )
        while (progress := alone.advance()).outcome is None:
            pass
        assert [report["objective"] for report in progress.reports] == [r.objective for r in record.reports]
