"""Runs a search on this machine or on a Ray cluster, from its file to its leaderboard.

What drives it takes a second to import. A Ray of our own, which takes seconds to start, is begun before.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from search.engine.ray_cluster import cluster_ray
from search.engine.ray_here import remove_leftovers
from search.machine.interruption import Interruption
from search.machine.sqlite_url import sqlite_file
from search.running.known import LOG_FILE
from search.running.outcome import Outcome
from search.running.own_ray import OwnRay
from search.running.search import Search
from search.running.slots import slots_here, slots_on_cluster
from search.screen.silence import Log
from search.screen.view import ProgressView


def run_search(
    search: Search, *, interrupted: Interruption, view: ProgressView, address: str | None = None
) -> Outcome:
    """Run the search, or go on with it, until it is finished or `interrupted` is set.

    address: of the Ray cluster that runs the trials; None: a Ray of our own on this machine. Raises InputError
    for a search that cannot run there, KeyboardInterrupt if it is interrupted before its study is there.
    """
    log = partial(Path, search.folder, LOG_FILE)
    with search.held_here(), _connected(address, view, log) as ray_folder:
        with interrupted.raising(), view.waiting("the storage", log):
            slots = slots_here(search) if ray_folder is None else slots_on_cluster(search)
        with OwnRay(search.spec.resources, slots, view).ended() as own_ray:
            if ray_folder is None and _is_new(search):
                own_ray.begin()
            with interrupted.raising():
                from search.running.driver import drive

            ray = own_ray if ray_folder is None else ray_folder
            return drive(search, slots, ray, interrupted=interrupted, view=view, log=log)


def _is_new(search: Search) -> bool:
    """Whether a look at its folder shows that trials are to run: it has no study yet."""
    file = sqlite_file(search.spec.study_url_resolved)
    return file is not None and not file.exists()


@contextmanager
def _connected(address: str | None, view: ProgressView, log_of_driver: Log) -> Iterator[Path | None]:
    """The folder of the cluster's Ray, connected; None without a cluster."""
    if address is None:
        remove_leftovers()  # of a driver that was killed, also where nothing is left to train
        yield None
        return
    view.phase("connecting to the cluster", 0)
    with ExitStack() as stack:
        with view.waiting(f"the cluster at {address}", log_of_driver):
            ray_folder = stack.enter_context(cluster_ray(address))
        yield ray_folder
