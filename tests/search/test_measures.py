"""Other measures than the objective: what they say of a winner, what is measured when, what the export has of it."""

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from search.evidence.conclusion import measure_lines, sentence
from search.evidence.leaderboard import Leaderboard, leaderboard
from search.evidence.measures import Measure, by_measures
from search.evidence.race import RaceRules, standing
from search.file.spec import SearchSpec, SpecError, spec_of
from search.file.yaml12 import parse_document
from search.record import Measured, Purpose, State, TrialRecord
from search.winner.document import export_document
from spaces import load_schedule
from tests.records import record, replicates

SEEDS = (1, 2, 3)
RACE = RaceRules(top=2, baselines=1, rounds=(3,))


def measure(name: str = "fd_pixels", evaluations: int = 1, **fields: Any) -> Measure:
    plain: dict[str, Any] = {
        "metric": {"name": "frechet_distance"},
        "network": {"name": "pixels"},
        "larger_is_better": False,
        "by_ratio": True,
    }
    return Measure(name=name, num_evaluations=evaluations, **plain | fields)


PIXELS = measure()
KERNEL = measure("kernel_distance_pixels", by_ratio=False)
COVERAGE = measure("coverage_pixels", 2, by_ratio=False, larger_is_better=True)
MEASURES = (PIXELS, KERNEL, COVERAGE)


def with_values(records: list[TrialRecord], values: Mapping[str, list[float]]) -> list[TrialRecord]:
    """The trials with these values by measure, in their order."""
    return [
        replace(r, measured=Measured({key: own[index] for key, own in values.items()}))
        for index, r in enumerate(records)
    ]


BASELINE = {"fd_pixels_nfe1": [1.0, 1.1, 0.9], "kernel_distance_pixels_nfe1": [0.1, 0.0, -0.1]}
BASELINE |= {"coverage_pixels_nfe2": [0.9, 0.91, 0.89]}
LIKE: dict[str, list[float]] = {**BASELINE, "fd_pixels_nfe1": [1.1, 0.9, 1.0]}
WORSE = {**LIKE, "fd_pixels_nfe1": [1.81, 1.98, 1.63]}


def confirmed(winner: Mapping[str, list[float]] = LIKE) -> list[TrialRecord]:
    """Trial 1 is worth half of ict as searched, trial 2 nearly as much as ict."""
    return [
        record(0, 100.0, preset="ict", purpose=Purpose.BASELINE),
        record(1, 50.0),
        record(2, 99.0),
        *with_values(replicates(0, [100.0, 101.0, 99.0], first=3), BASELINE),
        *with_values(replicates(1, [50.0, 51.0, 49.0], first=6), winner),
        *with_values(replicates(2, [99.0, 100.0, 101.0], first=9), LIKE),
    ]


def board_of(records: list[TrialRecord], **given: Any) -> Leaderboard:
    plain: dict[str, Any] = {"race": standing(records, RACE, SEEDS), "num_finalists": 2, "measures": MEASURES}
    return leaderboard("toy", "fd", records, **plain | given)


def compared(values: list[float], baseline: list[float], by: Measure, *, among: int = 1) -> Any:
    measures = [by, *(measure(f"other{i}", by_ratio=False) for i in range(among - 1))]
    keys = [by.key, *(other.key for other in measures[1:])]
    own = dict(enumerate(with_values(replicates(1, values, first=0), dict.fromkeys(keys, values))))
    other = dict(enumerate(with_values(replicates(0, baseline, first=0), dict.fromkeys(keys, baseline))))
    return by_measures(measures, own, other)[0]


# What a measure says


def test_distances_are_compared_by_ratio_and_what_may_be_0_by_difference() -> None:
    found = compared([2.0, 2.2, 1.8], [1.0, 1.0, 1.0], PIXELS)
    logs = [math.log(value) for value in (2.0, 2.2, 1.8)]
    mean = sum(logs) / 3
    error = math.sqrt(sum((value - mean) ** 2 for value in logs) / 2 / 3)
    assert found.change.mean == pytest.approx(math.exp(mean))
    assert found.change.low == pytest.approx(
        math.exp(mean - 4.302653 * error)
    )  # t, 2 degrees of freedom, .975
    assert found.change.high == pytest.approx(math.exp(mean + 4.302653 * error))
    assert found.verdict == "worse"
    found = compared([0.3, 0.1, 0.2], [0.1, -0.1, 0.05], KERNEL)
    assert found.change.mean == pytest.approx((0.2 + 0.2 + 0.15) / 3)
    assert found.change.low == pytest.approx(0.55 / 3 - 4.302653 / 60)  # a standard error of 1/60
    assert found.verdict == "worse"


@pytest.mark.parametrize(
    ("by", "values", "verdict"),
    [
        (PIXELS, [0.5, 0.51, 0.49], "better"),
        (PIXELS, [0.9, 1.1, 1.0], "tied"),
        (COVERAGE, [1.5, 1.51, 1.49], "better"),
        (COVERAGE, [0.5, 0.51, 0.49], "worse"),
        (KERNEL, [0.5, 0.51, 0.49], "better"),
        (COVERAGE, [1.0, 1.0, 1.0], "tied"),  # the very same, without noise
        (
            COVERAGE,
            [1.2, 1.2, 1.2],
            "tied",
        ),  # better by the same on every seed: counts, of which no noise is seen
        (PIXELS, [0.5], "tied"),  # one seed has no interval
    ],
)
def test_a_verdict_knows_which_way_is_up(by: Measure, values: list[float], verdict: str) -> None:
    assert compared(values, [1.0] * len(values), by).verdict == verdict


def test_the_intervals_of_all_measures_hold_together() -> None:
    alone, among = (compared([2.0, 2.2, 1.8], [1.0] * 3, PIXELS, among=n).change for n in (1, 5))
    assert alone.mean == among.mean
    assert among.low < alone.low and alone.high < among.high
    # t with 2 degrees of freedom: 4.303 at .975, 9.925 at .995
    assert math.log(among.high / among.mean) / math.log(alone.high / alone.mean) == pytest.approx(
        9.924843 / 4.302653, rel=1e-5
    )


def test_only_seeds_that_both_were_measured_on_are_compared() -> None:
    own = dict(enumerate(with_values(replicates(1, [1.0] * 3, first=0), {PIXELS.key: [2.0, 4.0, 8.0]})))
    other = dict(enumerate(with_values(replicates(0, [1.0] * 3, first=0), {PIXELS.key: [1.0, 1.0, 1.0]})))
    other[1] = replace(other[1], measured=None)
    other[2] = replace(other[2], measured=Measured(problem="its model is gone"))
    (found,) = by_measures([PIXELS, KERNEL], own, other)
    assert (found.values, found.baseline_values) == ({0: 2.0}, {0: 1.0})
    assert found.change.low is None


# What the search says then


def test_a_winner_that_no_measure_contradicts_is_named_without_them() -> None:
    board = board_of(confirmed())
    assert "worse" not in sentence(board) and "fd_pixels" not in sentence(board)
    assert measure_lines(board)[0] == (
        "By fd_pixels at 1 evaluation, against ict: trial 1 not told apart (+0 % [-54, +115])."
    )
    assert len(measure_lines(board)) == len(MEASURES)


def test_a_winner_is_not_named_without_the_measure_that_it_is_worse_by() -> None:
    board = board_of(confirmed(WORSE))
    assert board.winner is not None and board.winner.record.number == 1
    assert sentence(board).startswith("trial 1 is better than the best baseline, ict: fd -50 % ["), sentence(
        board
    )
    first, _, _ = sentence(board).partition(". ")
    assert first.endswith(
        "lower on 3 of 3 fresh seeds; but worse by fd_pixels at 1 evaluation (+81 % [+78, +83])."
    )
    assert measure_lines(board)[0].startswith(
        "By fd_pixels at 1 evaluation, against ict: trial 1 worse (+81 % ["
    )


def test_the_leaderboard_as_json_has_all_that_was_measured() -> None:
    plain = board_of(confirmed(WORSE)).to_dict()["measures"]
    assert set(plain) == {"1", "2"}
    assert [by["verdict"] for by in plain["1"]] == ["worse", "tied", "tied"]
    assert plain["1"][0]["ratio"] == pytest.approx(1.8, rel=0.01) and plain["1"][0]["difference"] is None
    assert plain["1"][1]["difference"] == pytest.approx(0.0) and plain["1"][1]["ratio"] is None


def test_the_models_of_finalists_and_of_the_best_baseline_are_measured_once() -> None:
    records = [replace(r, measured=None) for r in confirmed()]
    assert [r.number for r in board_of(records).to_measure()] == [3, 6, 9, 4, 7, 10, 5, 8, 11]
    assert board_of(confirmed()).to_measure() == ()
    half = [r if r.number != 7 else replace(r, measured=None) for r in confirmed()]
    assert [r.number for r in board_of(half).to_measure()] == [7]
    more = board_of(confirmed(), measures=(*MEASURES, measure(evaluations=4)))
    assert len(more.to_measure()) == 9


def test_a_model_that_is_gone_is_told_and_not_asked_for_again() -> None:
    gone = Measured(problem="a checkpoint of step 100 is needed, but there is none")
    records = [replace(r, measured=gone) if r.number in (6, 7) else r for r in confirmed()]
    board = board_of(records)
    assert board.to_measure() == ()
    assert measure_lines(board)[-1] == (
        "The samples of trial 6, 7 were not measured: a checkpoint of step 100 is needed, but there is none"
    )


def test_a_feature_network_that_cannot_be_had_is_told_and_not_waited_for() -> None:
    records = [replace(r, measured=None) for r in confirmed()]
    board = board_of(records, missing_judges={"pixels": "too many values"})
    assert board.to_measure() == ()
    assert measure_lines(board) == ["The samples were not measured by pixels: too many values"]


def test_nothing_is_measured_where_nothing_is_compared() -> None:
    records = [replace(r, measured=None) for r in confirmed()]
    presets = [r for r in records if 0 in (r.number, r.replicate_of)]
    proposals = [r for r in records if 0 not in (r.number, r.replicate_of)]
    for some in (presets, proposals, records[:3]):
        assert board_of(some).to_measure() == ()


def test_a_seed_that_only_the_baseline_was_trained_on_is_not_measured() -> None:
    records = [replace(r, measured=None) for r in confirmed()]
    records += replicates(0, [100.0], first=20, seed=9, purpose=Purpose.NOISE)
    assert 20 not in [r.number for r in board_of(records).to_measure()]


def test_a_trial_that_diverged_has_nothing_to_measure() -> None:
    records = [replace(r, measured=None) for r in confirmed()]
    records[7] = replace(records[7], state=State.DIVERGED)
    assert 7 not in [r.number for r in board_of(records).to_measure()]


# What is kept


def kept(value: Any = 1.5, sha256: str = "a") -> dict[str, Any]:
    return {
        "judges": {"pixels": {"extractor_sha256": sha256, "values": {PIXELS.key: value}}},
        "problem": None,
    }


def test_values_on_another_feature_network_of_the_same_name_do_not_count() -> None:
    assert Measured.of(kept(), {"pixels": "a"}) == Measured({PIXELS.key: 1.5})
    assert Measured.of(kept(), {"pixels": "b"}) == Measured.of(kept(), {}) == Measured()


@pytest.mark.parametrize(
    "damaged", [{}, kept("x"), kept(None), {**kept(), "problem": 7}, {**kept(), "judges": []}]
)
def test_damaged_values_are_refused(damaged: dict[str, Any]) -> None:
    with pytest.raises((AttributeError, LookupError, ValueError)):
        Measured.of(damaged, {"pixels": "a"})


# The search file

FILE = """\
name: m
data: digits
training: {total_steps: 200}
presets: [ict]
budget: {max_trials: 8}
"""


def read(text: str = "", file: str = FILE) -> SearchSpec:
    return spec_of(parse_document(file + text))


def keys(spec: SearchSpec) -> list[str]:
    return [found.key for found in spec.measures.measures]


def test_by_default_the_second_network_of_the_data_and_the_pixels_judge() -> None:
    assert keys(read()) == [
        *("fd_strided_cnn_nfe1", "fd_strided_cnn_nfe2"),
        *("kernel_distance_strided_cnn_nfe1", "kernel_distance_strided_cnn_nfe2"),
        *("coverage_strided_cnn_nfe1", "coverage_strided_cnn_nfe2"),
        *("fd_pixels_nfe1", "fd_pixels_nfe2"),
    ]


@pytest.mark.parametrize(
    ("extractor", "judges"),
    [
        ("strided_cnn", ["digits_cnn", "pixels"]),
        ("pixels", ["strided_cnn"]),
        ("small_cnn", ["strided_cnn", "pixels"]),
    ],
)
def test_the_feature_network_of_the_objective_does_not_judge_itself(
    extractor: str, judges: list[str]
) -> None:
    assert list(read(f"objective: {{extractor: {extractor}}}\n").measures.by_network) == judges


@pytest.mark.parametrize("data", ["fashion_mnist", "cifar10", "{name: idx_folder, root: x}"])
def test_every_data_set_has_a_second_measure(data: str) -> None:
    spec = read(file=FILE.replace("digits", data))
    assert (
        spec.measures.by_network and type(spec.objective.extractor).__name__ not in spec.measures.by_network
    )


def test_few_samples_have_only_the_measures_that_take_so_few() -> None:
    assert "coverage_strided_cnn_nfe1" not in keys(read("objective: {num_samples: 5}\n"))


def test_measures_may_be_named_and_switched_off() -> None:
    spec = read(
        "measures:\n  judges:\n  - {extractor: pixels, metrics: [{name: recall, nearest_k: 5}, density]}\n  nfe: [4]\n"
    )
    assert keys(spec) == ["recall_nearest_k_5_pixels_nfe4", "density_pixels_nfe4"]
    assert [(found.larger_is_better, found.by_ratio) for found in spec.measures.measures] == [
        (True, False)
    ] * 2
    assert not read("measures: []\n").is_measured
    assert read("measures:\n").is_measured and read("measures:\n").measures == read().measures
    assert not read("confirm: {top: 0}\n").is_measured


@pytest.mark.parametrize("text", ["", "measures: []\n", "measures: {nfe: [3]}\n", "confirm: {top: 0}\n"])
def test_what_is_written_reads_back_and_is_the_same_search(text: str) -> None:
    spec = read(text)
    again = spec_of(parse_document(spec.to_yaml()))
    assert again == spec and again.resolved() == spec.resolved()
    assert "measures" in spec.resolved() and "measures" not in spec.fingerprint_fields()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("measures: [{extractor: pixel}]", r"judges\[0\]\.extractor\.name: unknown feature network 'pixel'"),
        ("measures: [{extractor: fashion_cnn}]", r"judges\[0\]\.extractor: must suit the data set digits"),
        (
            "measures: [{extractor: pixels}, {extractor: pixels}]",
            r"judges\[1\]\.extractor: must be given once",
        ),
        ("measures: [{extractor: pixels, metrics: [kid]}]", r"metrics\[0\]\.name: unknown metric 'kid'"),
        (
            "measures: [{extractor: pixels, metrics: [recall, recall]}]",
            r"metrics\[1\]: must be given once, but recall is given twice",
        ),
        (
            "measures: [{extractor: pixels, metric: [recall]}]",
            r"judges\[0\]\.metric: unknown field \(did you mean metrics",
        ),
        ("measures: {judge: []}", r"measures\.judge: unknown field \(did you mean judges"),
        ("measures: [{extractor: pixels, metrics: []}]", r"judges\[0\]\.metrics"),
        (
            "measures: {nfe: [0]}",
            r"measures\.nfe: must be different numbers of network evaluations from 1 to 99",
        ),
        (
            "measures: [{extractor: pixels, metrics: [coverage]}]\nobjective: {num_samples: 4}",
            r"metrics\[0\]: must be one for objective\.num_samples=4, but coverage needs at least 6",
        ),
    ],
)
def test_measures_that_cannot_be_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as error:
        read(text)
    assert len(str(error.value).splitlines()) == 1


# The export


def document(records: list[TrialRecord]) -> dict[str, Any]:
    header = {
        **{"search": read().resolved(), "extractor_sha256": "0" * 64, "data_sha256": "1" * 64},
        **{"versions": {}, "git_commit": None},
    }
    exported = export_document(board_of(records), header)
    return copy.deepcopy(exported)


def test_the_export_has_the_measures_and_the_loader_warns_of_one_that_is_worse() -> None:
    loaded = load_schedule(document(confirmed(WORSE)))
    assert [(part.name, part.network_evaluations, part.verdict) for part in loaded.measures] == [
        ("fd_pixels", 1, "worse"),
        ("kernel_distance_pixels", 1, "tied"),
        ("coverage_pixels", 2, "tied"),
    ]
    assert loaded.measures[0].values == {"1": 1.81, "2": 1.98, "3": 1.63}
    assert loaded.warnings == ("It is worse by fd_pixels at 1 network evaluation: 1.81 times that of ict.",)
    fewer = {**LIKE, "coverage_pixels_nfe2": [0.4, 0.42, 0.38]}
    assert load_schedule(document(confirmed(fewer))).warnings == (
        "It is worse by coverage_pixels at 2 network evaluations: -0.5 from that of ict.",
    )
    assert load_schedule(document(confirmed())).warnings == ()


@pytest.mark.parametrize(
    ("nth", "change", "message"),
    [
        (0, {"ratio": 0.3}, "the change must be that of the values"),
        (0, {"verdict": "better"}, "`verdict` must be what the interval says"),
        (2, {"verdict": "worse"}, "`verdict` must be what the interval says"),
        (0, {"interval": [0.1, 0.2]}, "`interval` must hold the change"),
        (0, {"difference": 1.0}, "one of `ratio` and `difference` must be there"),
        (1, {"difference": None}, "one of `ratio` and `difference` must be there"),
        (0, {"values": {"9": 1.0}}, "must be of the same seeds"),
        (0, {"larger_is_better": True}, "`verdict` must be what the interval says"),
        (0, {"verdict": "perfect"}, "measures.0.verdict"),
    ],
)
def test_a_changed_measure_is_refused(nth: int, change: dict[str, Any], message: str) -> None:
    exported = document(confirmed(WORSE))
    exported["measures"][nth] |= change
    with pytest.raises(ValueError, match=message):
        load_schedule(exported)


def test_an_export_without_measures_is_read_as_before() -> None:
    exported = document(confirmed())
    del exported["measures"]
    del exported["provenance"]["document_sha256"]
    assert load_schedule(exported).measures == ()
