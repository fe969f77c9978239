"""What one search file needs of this machine: slots, memory, data, features, storage."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from search.checks.check import Check, guarded
from search.machine.cache_folder import cache_folder

if TYPE_CHECKING:
    from search.file.spec import SearchSpec
    from trainable.download import Remote

_TRIAL_GIB = 0.6  # a worker with torch imported and a small network


def findings(spec: "SearchSpec", free_gib: float) -> Iterator[Check]:
    """All checks in order. free_gib: memory that is free. One that breaks is itself a finding."""
    yield from guarded("slots", check_slots(spec, free_gib))
    if spec.script is not None:
        yield from guarded("script", check_script(spec))
    else:
        yield from guarded("data", _in_our_words("data", check_data(spec)))
        yield from guarded("network", _in_our_words("network", check_own_network(spec)))
        yield from guarded("features", _in_our_words("features", check_features(spec)))
    yield from guarded("storage", check_storage(spec))


def _in_our_words(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    """The checks; what data sets and feature networks lack, they say in one line for the user."""
    try:
        yield from checks
    except ValueError as error:
        yield Check(name, "fail", str(error))


def check_slots(spec: "SearchSpec", free_gib: float) -> Iterator[Check]:
    """How many trials run at a time here, and whether their memory is free."""
    from search.running.slots import Machine

    slots = Machine.here().slots(spec)
    per_trial = f"cpu {spec.resources.cpu:g}, gpu {spec.resources.gpu:g}"
    yield Check("slots", "ok", f"{slots} trial{'' if slots == 1 else 's'} at a time ({per_trial} each)")
    needed = _TRIAL_GIB * (slots + 1)
    message = f"{free_gib:.1f} GiB free, about {needed:.1f} GiB for {slots} trials and the driver"
    if needed > free_gib:
        most = int(free_gib / _TRIAL_GIB) - 1
        remedy = f"Set resources.max_concurrent to {most}, or free some" if most >= 1 else "Free some"
        yield Check("memory", "warn", message, remedy)
    else:
        yield Check("memory", "ok", message)


def check_data(spec: "SearchSpec") -> Iterator[Check]:
    """Whether the data set is here and whole, or can be downloaded."""
    from spaces.registry import name_of

    data = spec.own_setting.data
    name = name_of(data)
    missing = _missing(data.downloads(cache_folder()))
    if missing:
        yield _downloadable("data", name, missing)
        return
    images = data.load(cache_folder())
    message = f"{name}: {len(images.x_NCHW)} images of {'x'.join(map(str, images.image_shape))}"
    if images.held_out_reference:
        message += f", and {len(images.reference_NCHW)} held out to compare samples with"
    if images.file is not None:
        message += f", which all trials share in {images.file}"
    yield Check("data", "ok", message)


def check_own_network(spec: "SearchSpec") -> Iterator[Check]:
    """Whether a network of the user's keeps the rules, where the images are here to try it with."""
    from trainable.training.network_probe import check_network

    for setting in (spec.own_setting, *spec.settings):
        setting.network.check()
        if (code := setting.network.code) is None:
            continue
        message = f"{setting.network.title} is there, checksum {code.sha256[:12]}"
        if not _missing(setting.data.downloads(cache_folder())):
            shape = setting.data.glance(cache_folder()).image_shape
            check_network(setting.network, shape, setting.training)
            message = f"{message}, and takes images of {'x'.join(map(str, shape))}"
        yield Check("network", "ok", message)


def check_features(spec: "SearchSpec") -> Iterator[Check]:
    """Whether the feature network has what it needs, or can download it."""
    from spaces.registry import name_of

    data, extractor = spec.own_setting.data, spec.own_setting.extractor
    name = name_of(extractor)
    extractor.check()
    images = None
    with suppress(ValueError):  # of data that cannot be looked at, the line above tells
        images = None if _missing(data.downloads(cache_folder())) else data.glance(cache_folder())
    if images is not None:
        extractor.check_suits(images.image_shape, images.has_labels)
    missing = _missing(extractor.downloads(cache_folder()))
    if missing:
        yield _downloadable("features", name, missing)
    else:
        yield Check("features", "ok", f"{name} has what it needs")


def check_script(spec: "SearchSpec") -> Iterator[Check]:
    """Whether the folder of the script can be shipped, and what its command begins with is here."""
    from search.running.script import check_command, code_of

    code = code_of(spec)
    check_command(spec, code)
    size = sum(path.stat().st_size for path in code.files.values()) / 1e6
    yield Check(
        "script",
        "ok",
        f"{code.folder}: {len(code.files)} files of {size:.1f} MB, checksum {code.sha256[:12]}",
    )


def check_storage(spec: "SearchSpec") -> Iterator[Check]:
    """Whether a bucket can be listed, written, read and cleared from here; of a folder, `disk` tells."""
    from search.engine.storage_check import check_here
    from trainable.storage.location import is_bucket

    if is_bucket(spec.storage.path):
        check_here(spec.trials)
        yield Check("storage", "ok", f"{spec.storage.path} can be read and written from here")


def _missing(remotes: "Sequence[Remote]") -> "list[Remote]":
    return [remote for remote in remotes if not remote.path.exists()]


def _downloadable(check: str, name: str, missing: "Sequence[Remote]") -> Check:
    from trainable.download import answers

    faults = [fault for remote in missing if (fault := answers(remote.urls)) is not None]
    folder: Path = missing[0].path.parent
    if faults:
        files = ", ".join(remote.path.name for remote in missing)
        message = f"{name} is not in {folder}, and cannot be downloaded ({faults[0]})"
        return Check(check, "fail", message, f"Put there by hand: {files}")
    size = sum(remote.num_bytes for remote in missing) / 1e6
    return Check(
        check, "ok", f"{name} is downloaded when the search is started ({size:.0f} MB into {folder})"
    )
