"""A search that is played to the end of its trials by the conductor and one worker, without Ray; for tests."""

from pathlib import Path

from search.policy.conductor import Conductor
from search.record import Report
from search.running.search import Search
from trainable.metric.assets import prepare
from trainable.setting import Setting
from trainable.task import TrialTask
from trainable.trial import TrialWorker, as_result


def played(folder: Path, text: str) -> tuple[Search, Setting]:
    """The search of this file, with its trials in `folder`/runs, and what they were trained in."""
    path = folder / "toy.yaml"
    path.write_text(f"{text}\nstorage: {{path: {folder / 'runs'}}}\n")
    search = Search.open(str(path))
    spec = search.spec
    assert spec.objective.extractor is not None
    assets = prepare(spec.data, spec.objective.extractor, folder / ".cache")
    search.open_or_create(assets)
    search.write_file()
    conductor = Conductor(search.plan(), search.store)
    setting = Setting(assets, spec.network, spec.training, spec.objective.num_samples)
    worker = TrialWorker(setting)
    while (trial := conductor.next()) is not None:
        task = TrialTask(
            number=trial.number,
            schedule=trial.schedule.to_dict(),
            seed=trial.seed,
            rungs=conductor.plan.rungs,
            folder=search.trial_storage.location_of(trial.number),
        )
        worker.begin(task)
        result = as_result(worker.advance())
        reports = [Report(**report) for report in result["reports"]]
        conductor.observe(trial.number, result["step"], reports, result["outcome"], result["reason"])
    assert conductor.finished
    return search, setting
