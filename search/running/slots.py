"""How many trials run at a time: on this machine, on a cluster."""

import os
from dataclasses import dataclass

from search.engine.ray_cluster import cluster_slots
from search.engine.storage_check import check_here, check_shared
from search.errors import InputError
from search.file.spec import SearchSpec
from search.machine.gpus import VISIBLE, mig_devices_in
from search.running.known import remember
from search.running.search import Search


@dataclass(frozen=True)
class Machine:
    """What this machine offers to trials."""

    cpus: int
    gpus: int

    @classmethod
    def here(cls, *, with_gpus: bool = True) -> "Machine":
        """with_gpus: whether GPUs are looked for, which takes torch."""
        gpus = mig_devices_in(os.environ.get(VISIBLE))
        if with_gpus and not gpus:
            import torch

            gpus = torch.cuda.device_count()
        return cls(cpus=len(os.sched_getaffinity(0)), gpus=gpus)

    def slots(self, spec: SearchSpec) -> int:
        """Trials at a time. InputError if not even one fits."""
        wanted = spec.resources
        if wanted.cpu > self.cpus:
            raise InputError(f"`resources.cpu` is {wanted.cpu:g}, but this machine has {self.cpus} CPUs")
        if wanted.gpu > self.gpus:
            raise InputError(
                f"`resources.gpu` is {wanted.gpu:g}, but this machine has {self.gpus} GPUs that torch sees. "
                "Set it to 0 to train on the CPU"
            )
        return at_once(spec, wanted.trials_on(self.cpus, self.gpus), stack=1)


def at_once(spec: SearchSpec, slots: int, stack: int) -> int:
    """Trials at a time in workers that hold `stack` each. slots: such workers, as far as there is room for them."""
    room = slots * stack
    return min(room, spec.resources.max_concurrent or room)


def slots_here(search: Search) -> int:
    """Trials at a time on this machine; its storage is tried."""
    slots = Machine.here(with_gpus=search.spec.resources.gpu > 0).slots(search.spec)
    check_here(search.trial_storage.location)
    return slots


def slots_on_cluster(search: Search) -> int:
    """The same on the cluster that is connected."""
    slots = cluster_slots(search.spec.resources)
    check_shared(search.trial_storage.location)
    remember(search.folder)
    return slots
