"""Trained networks of finalists in MLflow: logged at their trial's run, loaded with `mlflow.pytorch.load_model`."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from search.machine.temporary import PREFIX, temporary_folder
from search.tracking import names
from search.tracking.runs import Run, Runs

# What loading a network needs besides this package.
_NEEDED = ("torch", "numpy", "optuna", "pydantic")
_FOLDER = "model"  # in a run's files, on a server that knows no logged models
_LOGGED = "models:/"


def log_model(runs: Runs, run: Run, module: Any, total_steps: int) -> None:
    """Log the network once, at the run. Its tag `search.model` says under which address it loads.

    module: with averaged weights. It is pickled: it loads where this package can be imported, as in a checkout. Its
    code is some two hundred files, each a request to a server.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    client = runs.client
    if names.MODEL in run.tags:
        return
    name = run.tags[names.SCHEDULE].partition("(")[0]
    try:
        made = client.create_logged_model(
            runs.experiment_id, f"trial_{run.tags[names.TRIAL]}_{name}", run.run_id
        )
    except MlflowException as error:
        if not runs.is_not_known(
            error, "models of finalists are among the files of their runs, and load from there"
        ):
            raise
        with _saved(module, run.run_id, None) as folder:
            client.log_artifacts(run.run_id, str(folder), _FOLDER)
        runs.write(run, tags={names.MODEL: f"runs:/{run.run_id}/{_FOLDER}"})
        return
    with _saved(module, run.run_id, made.model_id) as folder:
        client.log_model_artifacts(made.model_id, str(folder))
    client.finalize_logged_model(made.model_id, "READY")
    client.log_outputs(run.run_id, [LoggedModelOutput(made.model_id, total_steps)])
    runs.write(run, tags={names.MODEL: f"{_LOGGED}{made.model_id}"})


def register_model(runs: Runs, run: Run, name: str) -> str:
    """Register the model that was logged at the run under `name`; returns the new version."""
    from mlflow.exceptions import MlflowException

    try:
        runs.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source, model_id = run.tags[names.MODEL], None
    if source.startswith(_LOGGED):
        # By its place: MLflow would look the address up in the store of the whole process.
        model_id = source.removeprefix(_LOGGED)
        source = runs.client.get_logged_model(model_id).artifact_location
    made = runs.client.create_model_version(name, source, run.run_id, model_id=model_id)
    return str(made.version)


@contextlib.contextmanager
def _saved(module: Any, run_id: str, model_id: str | None) -> Iterator[Path]:
    """A folder with the network as MLflow's pytorch flavor keeps it."""
    import mlflow.pytorch
    from mlflow.models import Model

    logging.getLogger("mlflow.pytorch").setLevel(logging.ERROR)  # it warns of pickles
    with temporary_folder(f"{PREFIX}{os.getpid()}-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that it would pin by itself
        mlflow.pytorch.save_model(
            module.cpu(),
            str(folder / _FOLDER),
            mlflow_model=Model(run_id=run_id, model_id=model_id),
            serialization_format="pickle",
            pip_requirements=[f"{package}=={version(package).partition('+')[0]}" for package in _NEEDED],
        )
        yield folder / _FOLDER
