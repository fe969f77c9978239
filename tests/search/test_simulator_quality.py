"""The comparison of searches: at equal compute, against the stock wiring, and what is said of it."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from bench.quality import curve_facts
from bench.quality.curve_facts import LookUp, Prediction
from bench.quality.quality_page import (
    INTERVALS,
    STOCK,
    Cell,
    Quality,
    intervals_of,
    losses,
    markdown,
    page,
    quality_table,
    spread,
)
from bench.quality.search_quality import DOCS, TRIALS, Kept, alone, contenders, default_label
from bench.quality.stock_search import StockTPE, StoppedAsComplete, best_observed
from search.evidence.leaderboard import leaderboard
from search.file.spec import SearchSpec, load_spec
from search.record import Purpose, State
from search.simulator.table import CurveTable
from spaces import PRESETS
from tests.records import record
from trainable.task import WORST_OBJECTIVE


def quality(label: str, regrets: dict[int, float], noise: float = 0.0) -> Quality:
    """Trials are the compute. 40 repeats."""
    rng = np.random.default_rng(len(label))
    cells = [
        Cell(label, trials, [float(trials)] * 40, (regret + noise * rng.normal(size=40)).tolist(), 3, 1, 0.1)
        for trials, regret in regrets.items()
    ]
    return Quality.of(cells, best=10.0)


def test_regret_is_interpolated_in_the_logarithm_of_compute() -> None:
    one = quality("one", {10: 4.0, 40: 2.0})
    assert one.regret_at(20)[0] == pytest.approx(3.0)
    assert one.regret_at(40)[0] == 2.0
    assert math.isnan(one.regret_at(9)[0])
    assert math.isnan(one.regret_at(41)[0])


def test_the_compute_to_a_regret_is_that_from_which_on_it_stays() -> None:
    one = quality("one", {10: 4.0, 20: 1.0, 40: 3.0, 80: 1.0})
    every = np.ones(len(one.samples_SB[0]))
    assert one.compute_to(2.0 * every)[0] == pytest.approx(40 * math.sqrt(2))
    assert one.compute_to(5.0 * every)[0] == 10
    assert one.compute_to(0.5 * every)[0] == math.inf
    assert one.compute_to(1.0 * every)[0] == pytest.approx(80)


def test_a_spread_says_when_there_is_nothing() -> None:
    assert spread(np.array([1.0, 0.5, 1.5, 0.5, 1.5])) == "1.00 [0.50, 1.50]"
    assert spread(np.array([math.inf, 2.0])) == "never"
    assert spread(np.array([math.nan, 2.0])) == "-"


def test_the_default_is_marked_and_its_losses_are_named() -> None:
    found = {
        "ours": quality("ours", {10: 4.0, 60: 2.0}),
        "other": quality("other", {10: 5.0, 60: 1.0}),
    }
    table = quality_table(list(found.values()), "ours")
    assert table.splitlines()[2].startswith("| other |"), "the best first"
    assert "**ours** (default)" in table
    lines = losses(found, "ours")
    assert lines[-1].startswith("- At compute 60: `other` by 1.00 [")
    assert lines[0].endswith("by none.")
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_the_search_file_is_one_of_the_contenders() -> None:
    whole = load_spec("searches/digits.yaml")
    spec = alone(whole)
    assert whole.space.ends is not None and whole.all_settings
    assert spec.space.ends is None and not spec.all_settings
    labels = [contender.label for contender in contenders(spec)]
    assert default_label(spec) in labels
    assert len(set(labels)) == len(labels)
    for contender in contenders(spec):
        changed = contender.spec(spec, TRIALS[0])
        assert changed.budget.max_trials == TRIALS[0]
        confirms = any(word in contender.label for word in ("confirmed", "race"))
        assert (changed.confirm.rules is not None) == confirms


def test_an_interrupted_comparison_goes_on_but_not_with_cells_of_another(tmp_path: Path) -> None:
    cells = [Cell(label, 10, [10.0], [1.0], 1, 0, 0.1) for label in ("one", "two")]
    kept = Kept(tmp_path / "partial", {"repeats": 1})
    for cell in cells:
        kept.add(cell)
    with kept.path.open("a") as file:
        file.write('{"label": "thr')
    assert Kept(tmp_path / "partial", {"repeats": 1}).cells == cells
    assert Kept(tmp_path / "partial", {"repeats": 2}).cells == []
    assert Kept(tmp_path / "partial", {"repeats": 1}).cells == []


class Looks(RandomSampler):
    """Keeps the study that it is shown."""

    shown: list[FrozenTrial]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        self.shown = study.get_trials()
        return {}


def test_the_stock_wiring_tells_stopped_trials_as_complete_with_their_last_value() -> None:
    looks = Looks(seed=0)
    study = optuna.create_study(sampler=StoppedAsComplete(looks))
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    for state in states:
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        trial.report(5.0, 10)
        trial.report(3.0, 20)
        study.tell(trial, 1.0 if state is TrialState.COMPLETE else None, state=state)
    running = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    assert [trial.number for trial in looks.shown] == [0, 1, 2, 3]
    assert [trial.state for trial in looks.shown] == [
        TrialState.COMPLETE,
        TrialState.COMPLETE,
        TrialState.FAIL,
        TrialState.RUNNING,
    ]
    assert [trial.value for trial in looks.shown[:2]] == [1.0, 3.0]
    assert looks.shown[1].params == study.trials[1].params
    assert 0 <= running.params["x"] <= 1


def test_the_stock_sampler_proposes_in_a_space_that_is_conditional() -> None:
    study = optuna.create_study()
    for number in range(15):
        study.sampler = StockTPE().sampler(number)
        trial = study.ask()
        family = trial.suggest_categorical("family", ["a", "b"])
        value = trial.suggest_float(f"{family}.x", 0, 1)
        trial.report(value, 1)
        study.tell(trial, value) if number % 2 else study.tell(trial, state=TrialState.PRUNED)
    assert len(study.trials) == 15


def test_the_stock_winner_is_the_best_last_value_finished_or_not() -> None:
    records = [record(0, 9.0, purpose=Purpose.BASELINE), record(1, 7.0), record(2, 5.0, state=State.STOPPED)]
    given_out = best_observed(leaderboard("toy", "fd", records))
    assert given_out.row.record.number == 2
    assert given_out.claims
    assert given_out.baseline is not None
    assert given_out.baseline.record.number == 0
    assert STOCK in {contender.label for contender in contenders(alone(load_spec("searches/digits.yaml")))}


# What the curves say


def table_of(values_SRT: np.ndarray) -> CurveTable:
    """Schedules that differ in nothing that matters here."""
    count, num_seeds, num_steps = values_SRT.shape
    return CurveTable(
        schedules=(PRESETS["ict"].schedule,) * count,
        seeds=tuple(range(num_seeds)),
        steps=tuple(range(1, num_steps + 1)),
        values_SRT=values_SRT,
        seconds_SR=np.ones((count, num_seeds)),
    )


def test_the_noise_is_found_on_the_scale_where_it_is_equal() -> None:
    rng = np.random.default_rng(0)
    mean_S11 = np.exp(rng.uniform(2, 5, size=(100, 1, 1)))
    by_factor = curve_facts.seed_noise(table_of(mean_S11 * np.exp(0.2 * rng.normal(size=(100, 3, 1)))))[0]
    # Standard errors of about .01, .06 and .1: fails by chance, with other numbers, less than once in 1e5.
    assert by_factor.ln_sd.value == pytest.approx(0.2, abs=0.06)
    assert by_factor.slope.value == pytest.approx(1, abs=0.35)
    assert abs(by_factor.log.value) < 0.45 < by_factor.raw.value
    added = curve_facts.seed_noise(table_of(mean_S11 + 1000 + rng.normal(size=(100, 3, 1))))[0]
    assert abs(added.raw.value) < 0.45


def test_a_diverged_schedule_is_not_noise() -> None:
    rng = np.random.default_rng(0)
    values_SRT = np.exp(3 + 0.1 * rng.normal(size=(60, 3, 1)))
    values_SRT[7, 1] = WORST_OBJECTIVE
    assert curve_facts.seed_noise(table_of(values_SRT))[0].ln_sd.value < 0.2


def test_noise_levels_go_from_the_best_schedules_to_the_worst() -> None:
    mean_S11 = np.arange(1.0, 41)[:, None, None]
    table = table_of(mean_S11 * np.array([0.9, 1.0, 1.1])[None, :, None])
    levels = curve_facts.noise_levels(table)
    assert [level.mean for level in levels] == pytest.approx([5.5, 15.5, 25.5, 35.5])
    assert [level.sd for level in levels] == pytest.approx([0.55, 1.55, 2.55, 3.55])
    assert [level.ln_sd for level in levels] == pytest.approx([np.std(np.log([0.9, 1, 1.1]), ddof=1)] * 4)


def test_common_random_numbers_cut_the_variance_by_what_schedules_share() -> None:
    rng = np.random.default_rng(0)
    shared_R = rng.normal(size=(1, 300, 1))
    own_SR = rng.normal(size=(12, 300, 1))
    count, num_seeds, ratios = curve_facts.common_random_numbers(
        table_of(np.exp(math.sqrt(0.75) * shared_R + math.sqrt(0.25) * own_SR))
    )
    assert (count, num_seeds) == (12, 300)
    # A correlation of .75 leaves a quarter; its standard error at 300 seeds is .03.
    assert ratios[0].value == pytest.approx(0.25, abs=0.15)


def test_the_last_rung_correlates_more_than_one_of_pure_noise() -> None:
    rng = np.random.default_rng(0)
    final_SR = rng.normal(size=(40, 2)) + 10
    values_SRT = np.stack([rng.normal(size=(40, 2)) + 10, final_SR + 0.01, final_SR], axis=2)
    noise, same = curve_facts.rung_correlations(table_of(values_SRT))
    assert abs(noise.value) < 0.7 < same.value == pytest.approx(1)


def test_the_page_says_by_which_intervals_its_searches_were_played() -> None:
    document = json.loads((DOCS / "search-quality.json").read_bytes())
    assert intervals_of(document) in (DOCS / "search-quality.md").read_text()
    document["about"]["intervals"] = INTERVALS
    assert intervals_of(document) == INTERVALS
    document["about"]["intervals"] = "of another rule"
    assert "former" in intervals_of(document)


def test_a_space_with_gap_and_weight_is_compared_with_fewer_and_shown_as_a_section(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = alone(load_spec("searches/digits_recipe.yaml"))
    found = contenders(recipe)
    assert default_label(recipe) == "density_gp, asha, confirmed"
    assert [one.label for one in found if "confirmed" not in one.label] == [
        f"{name}, asha" for name in ("random", "tpe", "same_rung_tpe", "cmaes", "density_gp")
    ]
    for contender in found:
        changed = contender.spec(recipe, 10)
        assert (changed.confirm.rules is not None) == ("confirmed" in contender.label)

    monkeypatch.setattr(
        curve_facts,
        "surrogate_predictions",
        lambda *_, whole=False: [Prediction(15, 0.7 + whole / 10, 0.5, 1.0)],
    )
    for name in ("interval_coverage", "rung_correlations"):
        monkeypatch.setattr(curve_facts, name, lambda *_: [])
    monkeypatch.setattr(curve_facts, "look_up", lambda *_: ([LookUp(0.1, 0.2, 0.9)], 0.9))
    rng = np.random.default_rng(0)
    values_SRT = np.exp(3 + 0.1 * rng.normal(size=(40, 3, 2)))
    about = {"about": {"git_commit": "c", "num_curves": 120, "cpu_hours": 0.1}}
    table = replace(table_of(values_SRT), about={**about, "data_sha256": "d", "extractor_sha256": "e"})

    def document(spec: SearchSpec) -> dict[str, Any]:
        cells = [
            Cell(contender.label, trials, [float(trials)] * 4, [1.0, 2.0, 3.0, 4.0], 3, 1, 0.1)
            for contender in contenders(spec)
            for trials in (10, 60)
        ]
        return {
            "about": {"heading": [], "git_commit": "c", "repeats": 4, "intervals": INTERVALS},
            "file": "searches/digits_recipe.yaml",
            "default": default_label(spec),
            **{"best": 7.0, "preset": "ict", "best_preset": 26.0, "cells": [vars(cell) for cell in cells]},
        }

    whole = page(document(alone(load_spec("searches/digits.yaml"))), table, (document(recipe), table))
    before, _, after = whole.partition("## With gap, weight and constant searched too")
    section, _, rest = after.partition("## What the curves say")
    assert "| **density_gp, asha, confirmed** (default) | 2.50 [" in before and "## How it was made" in rest
    assert "| **density_gp, asha, confirmed** (default) | 2.50 [" in section
    assert "| 15 | 0.80 | 0.50 | 0.70 | 0.50 | 1.00 |" in section
