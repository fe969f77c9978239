"""Where a search on a cluster keeps things that its file says nothing of: in the service of the head."""

from typing import TYPE_CHECKING

from search.errors import InputError
from search.service.here import Service, mlflow_environment, service_here
from search.service.package import is_shipped

if TYPE_CHECKING:
    from search.spec import SearchSpec


def needed_service() -> Service:
    """The service of this machine; InputError if there is none."""
    service = service_here()
    if service is None:
        raise InputError(
            "the search keeps its study or its runs in the service of a cluster's head, and there is none on this "
            "machine. On the head run: python -m search serve. From elsewhere give --address"
        )
    return service


def with_service(spec: "SearchSpec") -> "SearchSpec":
    """`spec` for a cluster: what its file leaves out of `storage` is the service's.

    The databases are named "service", so that no password gets into the files and runs of the search.
    """
    from search.spec import overridden
    from search.spec_fields import SERVICE

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


def check_outlasts(spec: "SearchSpec") -> None:
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


def tracking_environment(spec: "SearchSpec") -> dict[str, str]:
    """What the process that writes to MLflow needs in its environment to be let in."""
    from search.spec_fields import SERVICE

    return mlflow_environment(needed_service()) if spec.storage.mlflow_uri == SERVICE else {}
