"""What the page of a search shows, as plain values."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search.errors import OperationFailed
from search.evidence.holding import HoldRules
from search.evidence.leaderboard import Leaderboard, leaderboard
from search.evidence.noise import SeedNoise
from search.evidence.shortlist import Listed
from search.record import Purpose, Report, State, TrialRecord
from search.report import section
from search.report.answer import elsewhere
from search.report.cost import efficiency_text, spent
from search.report.curves import MOST_DRAWN, described, drawn, kind_of, points
from search.report.densities import bands, densities, level_counts, peak
from search.report.elsewhere import ratios
from search.report.found import Export, Found
from search.report.importance import FEWEST, importances
from search.report.parameters import against_options
from search.report.progress import best_so_far, noise_factor, outlook, outlook_text
from search.report.seeds import averages, means, seed_values
from search.report.usage import uses
from spaces import PRESETS, SearchSpace
from tests.records import OBJECTIVE, record, replicates
from tests.search.test_holding import LONGER, SEARCHED, SEEDS, board_of, race_of, there
from trainable.task import WORST_OBJECTIVE

SPACE = SearchSpace.from_mapping({"noise": {"lognormal": None, "uniform": None}})


def found_of(records: Sequence[TrialRecord], board: Leaderboard | None = None, **fields) -> Found:
    plain = {
        "name": "s",
        "objective": OBJECTIVE,
        "conclusion": "A conclusion.",
        "state": "finished",
        "board": board or leaderboard("s", OBJECTIVE, records),
        "records": tuple(records),
        "total_steps": 100,
        "rungs": (50, 100),
        "space": SPACE,
        "commands": {"export": "python -m search export s"},
    }
    return Found(**plain | fields)


def baseline(number: int, value: float, preset: str = "ict", **fields) -> TrialRecord:
    return record(number, value, preset=preset, purpose=Purpose.BASELINE, **fields)


# Densities and levels


def rows_of(*records: TrialRecord):
    return leaderboard("s", OBJECTIVE, records).rows


def test_a_density_integrates_to_one_over_ln_sigma() -> None:
    shown = densities(rows_of(baseline(0, 3.0), baseline(1, 4.0, "vp")))
    for name in ("ict", "vp"):
        own = [point for point in shown if point["schedule"] == name]
        width = math.log(own[1]["sigma"] / own[0]["sigma"])
        assert sum(point["density"] for point in own) * width == pytest.approx(1, abs=0.01)


def test_the_densest_level_of_ict_is_near_the_mode_of_its_lognormal() -> None:
    (row,) = rows_of(baseline(0, 3.0))
    median, densest = peak(row)
    assert median == pytest.approx(math.exp(-1.1), rel=0.15)
    assert densest == pytest.approx(math.exp(-1.1), rel=0.6)


def test_level_counts_end_at_the_budget_and_are_thinned() -> None:
    shown = level_counts(rows_of(baseline(0, 3.0), baseline(1, 4.0, "gokmen_sinusoidal")), 100_000)
    for name in ("ict", "gokmen_sinusoidal"):
        own = [point for point in shown if point["schedule"] == name]
        assert own[0]["step"] == 0 and own[-1]["step"] == 100_000
        assert len(own) <= 401


def test_bands_share_all_of_the_training() -> None:
    edges, shares = bands({7: PRESETS["ict"].schedule, 8: PRESETS["vp"].schedule}, 8)
    assert len(edges) == 9 and edges == sorted(edges)
    assert all(sum(own) == pytest.approx(1) for own in shares.values())


# Curves


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "searched"),
        ({"state": State.STOPPED}, "stopped"),
        ({"condemned_at": 50}, "audit"),
        ({"purpose": Purpose.BASELINE, "preset": "ict"}, "baseline"),
        ({"purpose": Purpose.CONFIRM, "replicate_of": 0}, "fresh seed"),
    ],
)
def test_each_trial_is_drawn_as_what_it_is(fields: dict, kind: str) -> None:
    assert kind_of(record(1, 5.0, **fields)) == kind


def test_a_diverged_trial_ends_before_it_diverged() -> None:
    diverged = record(0, (50, 7.0), (100, WORST_OBJECTIVE), state=State.DIVERGED)
    assert [point["step"] for point in points([diverged])] == [50]
    assert drawn([record(1, WORST_OBJECTIVE, state=State.DIVERGED), record(2)]) == []


def test_of_too_many_trials_what_is_special_and_a_fair_draw_is_drawn() -> None:
    many = [record(i, 100.0 + i, state=State.STOPPED) for i in range(5000)]
    special = [baseline(5000, 9.0), record(5001, 8.0, condemned_at=50), record(5002, 1.0)]
    shown = drawn([*many, *special])
    assert len(shown) == MOST_DRAWN
    assert {5000, 5001, 5002} <= {each.number for each in shown}
    assert shown == drawn([*many, *special])
    numbers = [each.number for each in shown if each.number < 5000]
    assert 2000 < sum(numbers) / len(numbers) < 3000


def test_a_click_says_what_a_trial_was() -> None:
    failed = record(3, (50, 7.0), state=State.FAILED, reason="RuntimeError: <b>boom</b>")
    told = described(found_of([failed]), [failed])[3]
    assert told["title"] == "trial 3"
    assert told["state"] == "failed: RuntimeError: <b>boom</b>"
    assert told[OBJECTIVE] == "7 at step 50"


# Progress


def test_the_best_so_far_falls_with_what_was_paid() -> None:
    records = [
        baseline(0, 9.0, end_ms=1),
        record(1, (50, 5.0), state=State.STOPPED, end_ms=2),  # a value before the end is no best
        record(2, 7.0, end_ms=3),
        record(3, WORST_OBJECTIVE, state=State.DIVERGED, end_ms=4),
        record(4, 8.0, end_ms=5),
        *replicates(2, [1.0], first=5),  # on a fresh seed: to check, not to be lucky
    ]
    shown = best_so_far(found_of(records))
    assert [(p["trainings"], p["value"]) for p in shown] == [(1.0, 9.0), (2.5, 7.0), (4.5, 7.0)]
    assert "low" not in shown[0]


def test_the_noise_band_is_that_of_one_seed() -> None:
    board = Leaderboard(
        name="s", objective=OBJECTIVE, rows=(), baseline=None, noise={100: SeedNoise(0.1, 1000, 10)}
    )
    factor = noise_factor(board)
    assert factor == pytest.approx(math.exp(1.962 * 0.1), rel=1e-3)
    (first, _) = best_so_far(found_of([record(0, 10.0)], board))
    assert (first["low"], first["high"]) == (pytest.approx(10 / factor), pytest.approx(10 * factor))


def test_the_outlook_knows_an_exponential_tail() -> None:
    # ln(objective) exponential with scale .2, at its quantiles: another tenth of draws lowers the expected minimum
    # by .2 * ln(1.1).
    n = 300
    values = [math.exp(-0.2 * -math.log((i + 0.5) / n)) for i in range(n)]
    expected = outlook(found_of([record(i, value) for i, value in enumerate(values)]))
    assert expected is not None
    assert expected.gain == pytest.approx(1 - math.exp(-0.2 * math.log(1.1)), rel=0.1)
    assert expected.chance == pytest.approx(1 / 11)


def test_of_few_trials_nothing_is_foretold() -> None:
    few = found_of([record(i, 1.0 + i) for i in range(5)])
    assert outlook(few) is None
    assert "cannot be told" in outlook_text(few)


# Importance and options


def proposals(num: int, seed_value=lambda p_mean, noise: abs(p_mean + 1) + 0.1) -> list[TrialRecord]:
    """Schedules over the whole space, whose objective is decided by p_mean alone."""
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    records = []
    for number in range(num):
        trial = study.ask()
        schedule = SPACE.suggest(trial)
        value = seed_value(trial.params.get("lognormal.p_mean", 3.0), trial.params["noise"])
        records.append(record(number, (50, value), (100, value), schedule=schedule, params=trial.params))
    return records


def test_the_option_that_decides_is_the_most_important() -> None:
    ours = importances(found_of(proposals(200)))
    assert ours is not None
    assert (ours.step, ours.num_trials) == (100, 200)
    assert ours.options[0]["name"] == "lognormal.p_mean"
    assert all(
        0 <= row["low"] <= row["mean"] + 1e-9 and row["mean"] <= row["high"] + 1e-9 for row in ours.options
    )
    assert sum(row["mean"] for row in ours.options) == pytest.approx(1, abs=0.01)
    assert len(ours.bands) == 8
    assert sum(row["mean"] for row in ours.bands) == pytest.approx(1, abs=0.01)


def test_importances_draw_nothing_at_random_but_the_trials() -> None:
    records = proposals(60)
    assert importances(found_of(records)) == importances(found_of(records))


def test_importance_is_taken_where_half_of_the_trials_got_to() -> None:
    records = proposals(60)
    stopped = [
        record(r.number, (50, r.objective), schedule=r.schedule, params=r.params, state=State.STOPPED)
        for r in records[20:]
    ]
    ours = importances(found_of([*records[:20], *stopped]))
    assert ours is not None
    assert (ours.step, ours.num_trials) == (50, 60)


def test_importances_are_kept_until_a_trial_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = proposals(40)
    found = replace(found_of(records), folder=tmp_path)
    ours = importances(found)
    (kept,) = tmp_path.iterdir()
    with monkeypatch.context() as broken:
        broken.setattr("optuna.importance.PedAnovaImportanceEvaluator", None)
        assert importances(found) == ours
        with pytest.raises(TypeError):
            importances(replace(found, records=tuple(records[1:])))
    for text in ("", "[]", '{"key": 1}', kept.read_text()[:-20]):
        kept.write_text(text)
        assert importances(found) == ours
        assert json.loads(kept.read_bytes())["step"] == 100


def test_of_few_trials_no_importance_is_claimed() -> None:
    assert importances(found_of(proposals(FEWEST - 1))) is None
    assert importances(found_of([])) is None


def test_options_are_shown_with_the_ends_of_their_ranges() -> None:
    ours = {one.name: one for one in against_options(found_of(proposals(50)))}
    assert set(ours) == set(SPACE.distributions())
    assert ours["noise"].low is None
    p_mean = ours["lognormal.p_mean"]
    assert (p_mean.low, p_mean.high, p_mean.log) == (-3.0, 1.0, False)
    assert all(-3 <= point["x"] <= 1 and point["reached"] == "full budget" for point in p_mean.points)


def test_every_parameter_of_every_proposal_has_its_distribution() -> None:
    space = SearchSpace.from_mapping({"uniform_floor": {"low": 0, "high": 0.2}})
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    known = space.distributions()
    for _ in range(30):
        trial = study.ask()
        space.suggest(trial)
        own = study.trials[trial.number].distributions
        assert own.items() <= known.items()


# Seeds, cost, use


def test_each_value_of_a_finalist_is_shown_with_its_seed() -> None:
    records = [
        baseline(0, 9.0),
        record(1, 5.0),
        *replicates(1, [6.0, 7.0], first=2),
        *replicates(0, [9.0, 9.5], first=4),
    ]
    ours = found_of(records)
    own = [(p["seed"], p["value"], p["when"]) for p in seed_values(ours) if p["schedule"] == "trial 1"]
    assert own == [(0, 5.0, "in the search"), (1, 6.0, "fresh seed"), (2, 7.0, "fresh seed")]
    first = means(ours)[0]
    assert first["schedule"] == "trial 1"
    assert first["mean"] == pytest.approx(math.sqrt(42), rel=1e-3)
    assert first["low"] < first["mean"] < first["high"]


def test_cost_is_counted_by_purpose() -> None:
    hour = 3_600_000
    records = [
        baseline(0, 9.0, start_ms=0, end_ms=hour),
        record(1, (50, 5.0), state=State.STOPPED, start_ms=0, end_ms=hour // 2),
        record(2, start_ms=0),
        *replicates(0, [9.0], first=3, start_ms=0, end_ms=hour),
    ]
    rows = {row.purpose: row for row in spent(found_of(records))}
    assert [(r.trials, r.steps, r.hours, r.saved) for r in rows.values()] == [
        (1, 100, 1.0, 0),
        (2, 50, 0.5, 50),
        (1, 100, 1.0, 0),
    ]
    assert "Early stopping saved 50 steps, 17% of" in efficiency_text(found_of(records))
    assert efficiency_text(found_of([])) == "Nothing is paid for yet."


def test_without_a_winner_there_is_nothing_to_use() -> None:
    assert uses(found_of([record(0, 5.0)])) == []


def test_how_to_use_the_winner_is_kept_until_the_winner_changes(tmp_path: Path) -> None:
    document = json.loads((Path(__file__).parents[2] / "docs" / "digits_winner.json").read_bytes())
    commands = {"export": "python -m search export toy"}
    made: list[int] = []

    def make() -> dict[str, Any]:
        made.append(1)
        return dict(document)

    found = replace(found_of([record(0, 5.0)]), folder=tmp_path, export=Export("a", make), commands=commands)
    first = uses(found)
    assert {"json", "diffusers", "torch"} <= {use.format for use in first}
    (kept,) = tmp_path.iterdir()
    for text in ("", "[]", '{"key": 1}', kept.read_text()[:-20]):
        kept.write_text(text)
        assert uses(found) == first
    made.clear()
    assert uses(found) == first
    assert made == []
    assert uses(replace(found, export=Export("b", make))) == first
    assert made == [1]


def test_of_a_winner_whose_files_are_lost_nothing_is_said(tmp_path: Path) -> None:
    def lost() -> dict[str, Any]:
        raise OperationFailed("a file of a trial is lost")

    assert uses(replace(found_of([record(0, 5.0)]), folder=tmp_path, export=Export("a", lost))) == []


def test_a_report_at_step_zero_or_a_value_of_zero_is_no_trouble() -> None:
    odd = [
        record(0, Report(0, 5.0, 0), state=State.STOPPED),
        record(1, 0.0),
        record(2, math.inf, state=State.DIVERGED),
    ]
    ours = found_of(odd)
    assert [(p["trial"], p["value"]) for p in points(ours.records)] == [(0, 5.0), (1, 1e-12)]
    assert best_so_far(ours)[0]["value"] == 1e-12


# Other settings


def held() -> list[TrialRecord]:
    """Trial 1 is better than ict in a longer training too, trial 2 is worse there."""
    longer = [(0, [60.0, 61.0, 60.0, 62.0]), (1, [30.0, 31.0, 30.0, 31.0]), (2, [90.0, 92.0, 91.0, 90.0])]
    return [*SEARCHED, *(r for number, values in longer for r in there(number, values, LONGER))]


def test_where_a_finding_holds_is_shown_beside_the_search() -> None:
    records = held()
    shown = ratios(found_of(records, board_of(records)))
    assert [(p["setting"], p["schedule"]) for p in shown[:2]] == [
        ("as searched", "trial 1"),
        ("as searched", "trial 2"),
    ]
    found = {(p["setting"], p["schedule"]): p for p in shown}
    assert found[LONGER, "trial 1"]["verdict"] == "better"
    assert found[LONGER, "trial 2"]["verdict"] == "worse"
    assert found[LONGER, "trial 1"]["ratio"] == pytest.approx(0.5, abs=0.02)
    assert found[LONGER, "trial 1"]["seeds"] == 4
    assert ratios(found_of(SEARCHED, board_of(SEARCHED))) == []


def test_a_baseline_that_was_left_out_is_in_the_table_and_not_in_the_picture() -> None:
    records = [*SEARCHED, record(20, 110.0, preset="vp", purpose=Purpose.BASELINE)]
    records += [
        trial
        for number, values in ((0, [10.0, 11.0]), (1, [9.0, 9.5]))
        for trial in there(number, values, LONGER)
    ]
    records += there(20, [21.0], LONGER)
    rules = HoldRules(settings={LONGER: 400}, top=1, baselines=2, rounds=(2,), spread=0)
    board = leaderboard(
        "toy", "fd", records, race=race_of(records), num_finalists=2, holds=rules, seeds=SEEDS
    )
    section = elsewhere(found_of(records, board), "s0")
    (table,), (picture,) = section.tables, section.pictures
    there_only = [(row[1], row[-1]) for row in table.rows if row[0] == LONGER]
    assert there_only == [("vp", "left out"), ("trial 1", "tied")]
    assert [("[" in row[2]) for row in table.rows if row[0] == LONGER] == [False, True]  # of one seed, of two
    assert "trial 1" in picture.text and "vp" not in picture.text


def test_how_the_shortlist_chose_is_said_where_the_finding_holds() -> None:
    listed = [
        Listed(record=record(number, value), values={LONGER: there_})
        for number, value, there_ in ((2, 80.0, 20.0), (1, 50.0, 72.0))
    ]
    board = board_of(held())
    with_it = replace(board, shortlist=tuple(listed))
    lines = elsewhere(found_of(held(), with_it), "a").lines
    assert lines == [
        "Shortlist, geometric means of the search and the settings tried: trial 2 40, trial 1 60."
    ]
    assert elsewhere(found_of(held(), board), "a").lines == []


def test_trials_in_other_settings_are_not_among_the_learning_curves() -> None:
    records = held()
    assert {each.number for each in drawn(records)} == {each.number for each in SEARCHED}
    costs = {row.purpose: row.trials for row in spent(found_of(records, board_of(records)))}
    assert costs["other settings"] == 12


def test_averages_of_each_schedule_are_shown_by_their_horizons() -> None:
    def trial(number_: int, **metrics: float) -> TrialRecord:
        report = Report(step=10, objective=metrics["fd"], time_ms=0, metrics=metrics)
        return SimpleNamespace(reports=[report], objective=metrics["fd"], number=number_)  # type: ignore[return-value]

    several = SimpleNamespace(
        label="a",
        record=trial(0, **{"fd": 4.0, "fd_ema0.3": 4.0, "fd_ema0": 9.0, "loss": 1.0}),
        replicates={
            i: trial(i, **{"fd": v, "fd_ema0.3": v, "fd_ema0": 8.0}) for i, v in ((1, 2.0), (2, 8.0))
        },
    )
    plain = SimpleNamespace(label="b", record=trial(3, fd=1.0), replicates={})
    found: Any = SimpleNamespace(shown_rows=(several, plain), objective="fd", total_steps=10)
    assert averages(found) == (["0.3", "0"], [["a", section.number(4.0), section.number(8.0)]])
    found.shown_rows = (plain,)
    assert averages(found) == ([], [])
