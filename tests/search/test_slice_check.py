"""What is said of a slice: enough, too small and what would do, and that it is measured once for a kind of card."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import search.engine.slice_check
from search.checks.check import Check
from search.checks.here import check_share
from search.checks.here import slice_found_before as doctors_check
from search.engine.slice_check import (
    bytes_needed,
    check_slice,
    finding,
    found_before,
    largest_schedule,
    smallest_share,
)
from search.errors import InputError, OperationFailed
from search.file.spec import Resources, SearchSpec, overridden, spec_of
from search.file.yaml12 import Document
from search.study.store import StudyStore
from trainable.gpu.gpu_slice import usable_bytes
from trainable.gpu.memory_probe import MemoryProbe, Peak

MIB, GIB = 2**20, 2**30
TOTAL = 24 * GIB


def probe(share: float, *peaks: tuple[int, int, int], wanted: int = 128) -> MemoryProbe:
    """peaks: images at once, GiB of a step, MiB of an evaluation."""
    return MemoryProbe(
        node="worker-1",
        card="NVIDIA L4",
        total_bytes=TOTAL,
        usable_bytes=usable_bytes(TOTAL, share),
        wanted=wanted,
        peaks=tuple(Peak(micro_batch=m, step=s * GIB, evaluation=e * MIB) for m, s, e in peaks),
    )


def test_enough_says_what_is_free_and_whether_less_would_do() -> None:
    text = finding(probe(0.5, (128, 2, 500)), Resources(gpu=0.5))
    assert text == (
        "GPU slice: 0.5 of NVIDIA L4 (11.2 GiB of 24.0 GiB for tensors); a step of 128 images takes 2.0 GiB, "
        "an evaluation 0.5 GiB: 82 % free; 0.125 would do"
    )
    assert "would do" not in finding(probe(0.5, (128, 9, 500)), Resources(gpu=0.5))


def test_too_small_names_the_nearest_slice_and_micro_batch() -> None:
    # 1 GiB at all and 1 for 16 images: 9 for 128.
    with pytest.raises(InputError) as error:
        finding(probe(0.25, (64, 5, 100), (32, 3, 100)), Resources(gpu=0.25))
    assert str(error.value) == (
        "resources.gpu: 0.25 of NVIDIA L4 (5.2 GiB of 24.0 GiB for tensors) is too small for a step of 128 images "
        "and an evaluation: it needs about 9.0 GiB. Use resources.gpu: 0.5 or resources.micro_batch: 64 "
        "(the same training, slower)"
    )


def test_too_large_for_any_card_leaves_the_micro_batch() -> None:
    with pytest.raises(InputError, match=r"about 65.0 GiB. Use resources.micro_batch: 16 \(the same"):
        finding(probe(1.0, (16, 9, 0), (8, 5, 0)), Resources(gpu=1.0))


def test_one_image_alone_tells_nothing_of_the_batch() -> None:
    with pytest.raises(InputError, match=r"an evaluation: Use resources.micro_batch: 1 \("):
        finding(probe(0.25, (1, 5, 0)), Resources(gpu=0.25))


def test_no_image_at_all() -> None:
    with pytest.raises(InputError, match=r"not even one image at once fits\. Use a larger slice"):
        finding(probe(0.25), Resources(gpu=0.25))


def test_a_worker_without_cuda_is_named() -> None:
    blind = replace(probe(0.25), card=None)
    with pytest.raises(OperationFailed, match="Ray has a GPU on worker-1, but torch sees none there"):
        finding(blind, Resources(gpu=0.25))


def test_an_evaluation_that_needs_more_than_a_step_counts() -> None:
    assert bytes_needed(probe(0.25, (64, 1, 4000), (32, 1, 2000))) == 8000 * MIB
    assert bytes_needed(probe(0.25, (128, 1, 4000))) == 4000 * MIB


@pytest.mark.parametrize(("need", "share"), [(1, 0.0833), (4.7, 0.25), (20, 1.0), (21.5, None), (30, None)])
def test_the_smallest_share_holds_the_need_and_some_spare(need: float, share: float | None) -> None:
    assert smallest_share(TOTAL, int(need * GIB)) == share
    if share is not None:
        assert usable_bytes(TOTAL, share) > 1.05 * need * GIB


def spec_with(**fields: Any) -> SearchSpec:
    data = {"name": "toy", "data": "digits", "resources": {"gpu": 0.5}, **fields}
    return spec_of(Document("toy.yaml", data, {}))


def test_the_schedule_that_is_tried_has_the_most_levels_of_space_and_presets() -> None:
    space = {"noise": {"lognormal": None}, "curriculum": {"constant": {"levels": {"low": 10, "high": 3000}}}}
    found = largest_schedule(spec_with(space=space, presets=["ict"]))
    assert max(len(stage.sigma_N) for stage in found.stages(1000)) == 3000
    space["curriculum"] = {"constant": {"levels": 10}}
    found = largest_schedule(spec_with(space=space, presets=["ict", "ict_short"]))
    assert max(len(stage.sigma_N) for stage in found.stages(1000)) == 1281


def test_every_family_of_the_default_space_can_be_the_one() -> None:
    assert largest_schedule(spec_with()).stages(100)
    space = {"noise": {"lognormal": None}, "gap": {"ect": None}}  # without a grid and a curriculum
    assert largest_schedule(spec_with(space=space, presets=["cmt"])).gap.CONTINUOUS


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[MemoryProbe]:
    """What the cluster answers, one after another."""
    answers: list[MemoryProbe] = []

    def measured(spec: SearchSpec, *args: Any) -> MemoryProbe:
        answer, known = answers[0], args[-1]
        if known is not None and (known.card, known.total_bytes) == (answer.card, answer.total_bytes):
            return known
        return answers.pop(0)

    monkeypatch.setattr(search.engine.slice_check, "measure_on_cluster", measured)
    return answers


def store_in(folder: Path) -> StudyStore:
    url = f"sqlite:///{folder / 'study.db'}"
    return StudyStore.open(url, "toy") or StudyStore.create(url, "toy", {"search": {}})


def test_it_is_measured_once_for_a_slice_and_again_for_another_or_another_card(
    tmp_path: Path, asked: list[MemoryProbe]
) -> None:
    spec, notes = spec_with(), []
    larger = replace(probe(0.25, (128, 2, 500)), card="NVIDIA A40", total_bytes=2 * TOTAL)
    asked += [probe(0.5, (128, 2, 500)), probe(0.25, (128, 2, 500)), larger]

    def check(spec: SearchSpec) -> None:
        check_slice(spec, None, store_in(tmp_path), threading.Event(), notes.append)  # type: ignore[arg-type]

    for _ in range(2):
        check(spec)
    assert len(asked) == 2
    assert notes == ["measuring the GPU memory of a trial", found_before(store_in(tmp_path).header)]
    quarter = overridden(spec, {"resources.gpu": 0.25})
    check(quarter)
    assert str(found_before(store_in(tmp_path).header)).startswith("GPU slice: 0.25 of NVIDIA L4")
    check(quarter)
    assert asked == []
    assert str(found_before(store_in(tmp_path).header)).startswith("GPU slice: 0.25 of NVIDIA A40")


def test_what_was_refused_is_asked_again(tmp_path: Path, asked: list[MemoryProbe]) -> None:
    asked += [probe(0.5), probe(0.5, (128, 2, 500))]
    store = store_in(tmp_path)
    with pytest.raises(InputError):
        check_slice(spec_with(), None, store, threading.Event())  # type: ignore[arg-type]
    assert found_before(store.header) is None
    check_slice(spec_with(), None, store, threading.Event())  # type: ignore[arg-type]
    assert found_before(store.header) is not None


def test_doctor_says_what_a_share_leaves_and_what_the_search_has_found(
    tmp_path: Path, asked: list[MemoryProbe]
) -> None:
    assert check_share(0.25, TOTAL) == Check("slice", "ok", "0.25 of it has 5.2 GiB for tensors")
    assert check_share(0.02, TOTAL).level == "fail"
    spec = spec_with(storage={"path": str(tmp_path)})
    [before] = doctors_check(spec)
    assert before.message == "a trial's memory is measured on a slice when the search is started"
    spec.folder.mkdir()
    store = StudyStore.create(spec.study_url_resolved, spec.name, {"search": {}})
    asked.append(probe(0.5, (128, 2, 500)))
    check_slice(spec, None, store, threading.Event())  # type: ignore[arg-type]
    [after] = doctors_check(spec)
    assert after.message.startswith("GPU slice: 0.5 of NVIDIA L4")
    assert [check.level for check in doctors_check(spec_with(resources={"gpu": 2}))] == ["warn", "ok"]
    assert list(doctors_check(spec_with(resources={"gpu": 0}))) == []
