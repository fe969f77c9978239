"""Where MLflow has the files of an experiment: beside its database, also after that was moved or copied.

MLflow keeps absolute addresses. Those of the old place would have a copy write into the original, and a moved one make
the old folder again.
"""

import logging

from sqlalchemy import NullPool, create_engine, text

from search.tracking.client import ARTIFACTS

_log = logging.getLogger(__name__)


def bring_artifacts_along(uri: str, experiment_id: str, name: str, before: str, now: str) -> None:
    """Have the experiment `name`, and all its runs, keep files at `now`, unless they were somebody else's choice.

    uri: of the database. before, now: the experiment's artifact location as MLflow knows it, and as it is.
    """
    if before == now or not before.endswith(f"/{ARTIFACTS}/{name}"):
        return
    values = {"now": now, "before": before, "length": len(before), "experiment": int(experiment_id)}
    engine = create_engine(uri, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE experiments SET artifact_location = :now WHERE experiment_id = :experiment"), values
        )
        connection.execute(
            text(
                "UPDATE runs SET artifact_uri = :now || substr(artifact_uri, :length + 1) "
                "WHERE experiment_id = :experiment AND substr(artifact_uri, 1, :length) = :before"
            ),
            values,
        )
    _log.warning(
        "MLflow's database was moved: the files of %s were in %s and are in %s now", name, before, now
    )
