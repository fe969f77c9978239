"""How fast the settings of `holds_at` are, before a trial runs there: a few steps timed, beside the first trials."""

import logging
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from search.file.holds import SettingSpec, steps_are_like
from search.file.spec import SearchSpec
from search.policy.conductor import Conductor
from search.policy.pace_elsewhere import Ratio
from search.running.size import size_of
from trainable.setting import Setting
from trainable.step_ratios import step_ratios
from trainable.task import OWN

MOST_TIMED = 2e9  # operations of a step: about a fifth of a second on one CPU
# By which factor a ratio may be off: of steps that are alike; timed as trials run; otherwise.
ALIKE, TIMED, ROUGH = 1.1, 1.25, 2.0
_LOOK_SECONDS = 0.2

_log = logging.getLogger(__name__)


@contextmanager
def foreknown(
    spec: SearchSpec,
    settings: Mapping[str, Any],
    conductor: Conductor,
    stack: int,
    begun: threading.Event,
) -> Iterator[None]:
    """In this block the conductor comes to know it, behind what else is done: a second or two of one CPU.

    settings: by name, what trials are trained in. stack: trials that a worker holds. begun: set when a
    trial trains: before, all CPUs have enough to do.
    """
    over = threading.Event()

    def time_them() -> None:
        while not begun.wait(_LOOK_SECONDS):
            if over.is_set():
                return
        try:
            conductor.foreknow(_ratios(spec, settings, stack, over))
        except Exception as error:  # of a network of the user's too: less is foretold, and all else goes on
            _log.warning("steps of other settings were not timed", exc_info=error)

    thread = threading.Thread(target=time_them, name="timing", daemon=True)
    if spec.all_settings:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if spec.all_settings:
            thread.join()


def _ratios(
    spec: SearchSpec, settings: Mapping[str, Any], stack: int, over: threading.Event
) -> dict[str, Ratio]:
    if spec.script is not None:
        own_script = spec.own_script_setting
        return {s.name: Ratio(1.0, ALIKE) for s in spec.script_settings if steps_are_like(s, own_script)}
    own = spec.own_setting
    others = [setting for setting in spec.settings if not steps_are_like(setting, own)]
    if not others:
        return {setting.name: Ratio(1.0, ALIKE) for setting in spec.settings}
    operations = {each.name: _operations(spec, each, settings[each.name]) for each in (own, *others)}
    quick = [s.name for s in others if max(operations[OWN], operations[s.name]) <= MOST_TIMED]
    timed = step_ratios(settings[OWN], {name: settings[name] for name in quick}, over.is_set) if quick else {}
    found = {setting.name: Ratio(1.0, ALIKE) for setting in spec.settings}
    for setting in others:
        seconds = timed.get(setting.name, operations[setting.name] / operations[OWN])
        as_here = spec.resources.gpu == 0 and spec.resources.cpu <= 1 and stack == 1
        found[setting.name] = _ratio(
            seconds,
            is_timed=setting.name in timed and setting.data == own.data,
            as_here=as_here,
        )
    _log.info("steps of other settings, in those of the search: %s", found)
    return found


def _ratio(seconds: float, *, is_timed: bool, as_here: bool) -> Ratio:
    """as_here: whether trials train on one thread of a CPU too. Else small networks are slower than they seem here."""
    if as_here:
        return Ratio(seconds, TIMED if is_timed else ROUGH)
    between = math.sqrt(seconds)
    return Ratio(between, max(ROUGH, TIMED * max(between, 1 / between)))


def _operations(spec: SearchSpec, setting: SettingSpec, prepared: Setting) -> float:
    return size_of(spec.resources, setting, prepared.assets.image_shape).operations
