"""How many trials a worker holds at once."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch

from search.file.spec import SearchSpec
from trainable.setting import Setting
from trainable.stack.networks import alone_because
from trainable.stack.probe import quickest_size
from trainable.task import OWN
from trainable.threads import threads_of

SIZES = (1, 4, 8)  # that are tried where the file leaves it to us

_log = logging.getLogger(__name__)


def stack_of(spec: SearchSpec, settings: Mapping[str, Any], note: Callable[[str], None]) -> int:
    """As `resources.stack` says; 1 where the search's own trials are trained one at a time all the same.

    settings: by name, each a `Setting` where it is not a script. note: is told, in a line each, which networks are.
    "auto" takes a second or two.
    """
    stack = spec.resources.stack
    if stack == 1 or spec.script is not None:
        return 1
    device = torch.device("cuda" if spec.resources.gpu else "cpu")
    reasons = {name: reason for name, each in settings.items() if (reason := _alone(each, device))}
    for title, reason in {settings[name].network.title: reason for name, reason in reasons.items()}.items():
        note(f"resources.stack: network {title} {reason}, so its trials are trained one at a time")
    if OWN in reasons:
        return 1
    if stack == "auto":
        stack, seconds = quickest_size(settings[OWN], SIZES, threads_of(spec.resources.cpu))
        times = ", ".join(f"{1e3 * each:.2f} ms with {size}" for size, each in seconds.items())
        _log.info("a step of a trial takes %s at once: stack %d", times, stack)
    return stack


def _alone(setting: Setting, device: torch.device) -> str | None:
    with torch.random.fork_rng(devices=[]):
        return alone_because(setting.network.build(setting.assets.image_shape), device, setting.training)
