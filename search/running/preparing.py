"""What a run has before its first trial: data and feature networks or a script, judges of samples."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from search.engine.storage_check import check_images_shared
from search.file.spec import SearchSpec
from search.machine.cache_folder import usable_cache
from search.running.losses import shown_warnings
from search.running.measuring import prepared_judges
from search.running.own_code import keep_code
from search.running.script import keep_script, script_of
from search.running.search import Search
from search.screen.silence import Log
from search.screen.view import ProgressView
from trainable.command.script import Script
from trainable.metric.assets import Assets, prepare
from trainable.setting import Setting
from trainable.task import OWN
from trainable.training.network_probe import check_network
from trainable.trial import device_of


def begun_with_data(
    search: Search, view: ProgressView, log: Log, *, on_cluster: bool
) -> Mapping[str, Setting]:
    """By name, what trials are trained in, prepared. The search has a study from now on."""
    settings = _prepared(search.spec, view, log, on_cluster=on_cluster)
    with view.waiting("the study's database", log):
        search.open_or_create(settings[OWN].assets)
        search.check_settings(settings)
    keep_code(search.spec)
    return settings


def _prepared(spec: SearchSpec, view: ProgressView, log: Log, *, on_cluster: bool) -> dict[str, Setting]:
    """By name, what trials are trained in: as searched, and in the settings where a winner must hold."""
    view.phase("preparing data and feature network", 0)
    device = "cpu" if on_cluster else device_of(spec.resources.gpu)
    settings: dict[str, Setting] = {}
    waiting = view.waiting("the preparation of data and feature network", log)
    with usable_cache() as folder, shown_warnings(logging.getLogger("trainable"), view), waiting:
        for setting in (spec.own_setting, *spec.settings):
            own = settings.get(OWN)
            is_like_own = (setting.data, setting.extractor) == (
                spec.own_setting.data,
                spec.own_setting.extractor,
            )
            settings[setting.name] = Setting(
                assets=own.assets
                if own is not None and is_like_own
                else prepare(setting.data, setting.extractor, folder, device),
                network=setting.network,
                training=setting.training,
                num_samples=spec.objective.num_samples,
                sigma_start=spec.sampling.sigma_start,
            )
            if spec.start is not None:
                made = settings[setting.name]
                settings[setting.name] = replace(made, start=spec.start.of(setting, made.assets.image_shape))
        for prepared in settings.values():
            if prepared.network.code is not None:
                check_network(prepared.network, prepared.assets.image_shape, prepared.training)
    if on_cluster:
        for file in {setting.assets.images_file for setting in settings.values()}:
            if file is not None:
                check_images_shared(file)
    return settings


def begun_with_script(
    search: Search, view: ProgressView, log: Log, *, on_cluster: bool
) -> Mapping[str, Script]:
    """By name, what trials run, copied beside them. The search has a study from now on."""
    view.phase("copying the script's folder", 0)
    script, code = script_of(search.spec, on_cluster=on_cluster)
    with view.waiting("the study's database", log):
        search.open_or_create(script)
    keep_script(code, script)
    keep_code(search.spec)
    others = {
        setting.name: replace(script, command=setting.trainer.command)
        for setting in search.spec.script_settings
    }
    return {OWN: script, **others}


def judges_of(
    search: Search, settings: Mapping[str, Any], view: ProgressView, log: Log, *, on_cluster: bool
) -> dict[str, Assets | str]:
    """What measures the samples of confirmed models when the search is over; what cannot be had is told now."""
    spec = search.spec
    if not spec.is_measured:
        return {}
    device = "cpu" if on_cluster else device_of(spec.resources.gpu)
    waiting = view.waiting("the preparation of the feature networks that measure samples", log)
    with usable_cache() as folder, shown_warnings(logging.getLogger("trainable"), view), waiting:
        judges = prepared_judges(spec, settings[OWN].assets, folder, device)
    for name, judge in judges.items():
        if isinstance(judge, str):
            view.note(f"warning: samples are not measured by {name}: {judge}")
    search.keep_judges(judges)
    return judges
