"""The places on this machine that a search writes to, looked at before it begins."""

from search.file.spec import SearchSpec
from search.machine.cache_folder import cache_folder, check_cache
from search.machine.search_folders import check_usable
from search.machine.sqlite_url import sqlite_file


def check_places(spec: SearchSpec) -> None:
    """InputError for one that cannot be written to. Nothing is made or left there."""
    check_usable(spec.folder, "storage.path")
    for field, url in (("study_url", spec.study_url_resolved), ("mlflow_uri", spec.mlflow_uri_resolved)):
        file = sqlite_file(url)
        if file is not None:
            check_usable(file.parent, f"storage.{field}")
    check_cache(cache_folder())
