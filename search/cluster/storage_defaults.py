"""Where a search on a cluster keeps things that its file says nothing of: in the service of the head."""

from search.errors import InputError
from search.file.spec import SearchSpec, overridden
from search.file.values import SERVICE
from search.machine.checkout import is_shipped
from search.machine.service import mlflow_environment, needed_service, service_here


def with_service(spec: SearchSpec) -> SearchSpec:
    """`spec` for a cluster: what its file leaves out of `storage` is the service's.

    The databases are named "service", so that no password gets into the files and runs of the search.
    """
    given = spec.storage.model_fields_set
    service = service_here()
    changes: dict[str, str] = {}
    if service is not None:
        found = {"path": service.storage, "study_url": SERVICE, "mlflow_uri": SERVICE}
        changes = {f"storage.{field}": value for field, value in found.items() if field not in given}
    spec = overridden(spec, changes)
    if is_shipped():
        check_outlasts(spec)
    return spec


def check_outlasts(spec: SearchSpec) -> None:
    """InputError for a storage path that would go with the folder of the job that runs the search."""
    path = spec.storage.path
    if path.startswith(("/", "~")) or "://" in path:
        return
    if "path" in spec.storage.model_fields_set:
        problem = f"must be absolute for a search on a cluster, but got {path!r}: the folder of a job goes with the job"
        remedy = "Leave it out where the head runs `serve`"
    else:
        problem = "is left out, and the head runs no service that offers one"
        remedy = "Run `python -m search serve` on the head"
    raise InputError(f"storage.path {problem}. {remedy}, or name a folder that all nodes share, or a bucket")


def tracking_environment(spec: SearchSpec) -> dict[str, str]:
    """What the process that writes to MLflow needs in its environment to be let in."""
    return mlflow_environment(needed_service()) if spec.storage.mlflow_uri == SERVICE else {}
