"""What the study and MLflow hold of a search, as JSON. Run on the head, in its checkout, by its Python.

Argument: the name of the search. Prints {"trials": [...], "runs": [...], "parents": [status, ...]}; the values of
both as [[step, objective], ...].
"""

import json
import os
import sys
from typing import Any

from search.machine.service import mlflow_environment, needed_service
from search.running.search import Search
from search.study.records import canonical
from search.tracking import names
from search.tracking.client import connect


def main(name: str) -> dict[str, Any]:
    service = needed_service()
    search = Search.open(name, service.storage)
    trials = [
        {
            "number": record.number,
            "stage": record.purpose,
            "state": record.state,
            "seed": record.seed,
            "schedule": canonical(record.schedule.to_dict()),
            "values": [[report.step, report.objective] for report in record.reports],
        }
        for record in search.records()
    ]
    os.environ.update(mlflow_environment(service))
    client = connect(service.mlflow_uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    mine = f"tags.`{names.STUDY}` = '{search.header['study_id']}'"
    runs, parents = [], []
    for run in client.search_runs(experiments, mine, max_results=1000):
        if run.data.tags[names.ROLE] != "trial":
            parents.append(run.info.status)
            continue
        history = client.get_metric_history(run.info.run_id, search.objective)
        runs.append(
            {
                "number": int(run.data.tags[names.TRIAL]),
                "status": run.info.status,
                "values": sorted([metric.step, metric.value] for metric in history),
            }
        )
    return {"trials": trials, "runs": sorted(runs, key=lambda run: run["number"]), "parents": parents}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
