"""Why schedules transfer: laws, a run, what is kept, how the rule is judged; the page is of what is kept."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.transfer.recording import Row
from bench.transfer.schedules import kept
from bench.why import command
from bench.why.closing_norm import ClosingNorm
from bench.why.laws import EXTRA, HIGH, LOW, SETTINGS, Run, Setting, laws, wanted
from bench.why.measuring import LEVELS, NUM_HELD_OUT, SHARES, Measuring
from bench.why.page import Page
from bench.why.results import RESULTS, Results
from bench.why.rule import LOOKED_AT, Check, Judged, area, checks, judged, rarest_share, share_text
from search.errors import InputError
from spaces import PRESETS, NoiseSchedule
from spaces.equality import equal
from spaces.thin_ends import LEAST, ends
from trainable.dataset import DATASETS
from trainable.extractor import EXTRACTORS
from trainable.metric.assets import prepare
from trainable.networks.mlp import Mlp

TINY = Setting("tiny", "tiny", ClosingNorm(inner=Mlp(width=8)), total_steps=32)


def mass(schedule: NoiseSchedule, low: float, high: float) -> float:
    """Of a law between two levels, on many levels."""
    return float(schedule.stage_with(4097).mass(np.log([low, high]))[0])


# What is trained


def test_a_repaired_law_is_the_narrow_one_but_for_a_share_at_one_end() -> None:
    of = laws()
    narrow, grid = of["narrow"], of["narrow"].grid
    for law, low, high in (("narrow_low", grid.sigma_min, LOW), ("narrow_high", HIGH, grid.sigma_max)):
        before, after = mass(narrow, low, high), mass(of[law], low, high)
        assert after == pytest.approx((1 - EXTRA) * before + EXTRA, abs=0.002)
        assert (of[law].grid, of[law].curriculum) == (grid, narrow.curriculum)
    assert [law for law, schedule in of.items() if schedule.uniform_floor] == list(of)[5:]


def test_runs_are_different_ones_and_cheap_before_dear() -> None:
    runs = wanted()
    assert len({run.key for run in runs}) == len(runs)
    assert {run.setting.name for run in runs} == {setting.name for setting in SETTINGS}
    assert {run.law for run in runs} == set(laws())


def test_a_closing_norm_bounds_what_the_last_layer_gets() -> None:
    module = ClosingNorm(inner=Mlp(width=8)).build((1, 4, 4))
    module.reset_parameters(torch.Generator().manual_seed(0))
    plain = Mlp(width=8).build((1, 4, 4))
    plain.load_state_dict(module.state_dict())
    with torch.no_grad():
        for parameters in (module, plain):
            parameters.image_out.weight.fill_(1.0)  # type: ignore[union-attr, operator]
            parameters.layers[0].weight.mul_(1e6)  # type: ignore[union-attr, index]
        x_BCHW, c_noise_B = (
            torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(1)),
            torch.zeros(3),
        )
        assert module(x_BCHW, c_noise_B).abs().max() <= 8
        assert plain(x_BCHW, c_noise_B).abs().max() > 1e4


@pytest.fixture
def measuring(tmp_path: Path) -> Measuring:
    return Measuring(prepare(DATASETS.build("digits"), EXTRACTORS.build("pixels"), tmp_path))


def test_a_run_is_measured_at_its_times_and_levels_and_repeats(measuring: Measuring) -> None:
    run = Run(TINY, "ict", 0, PRESETS["ict"].schedule)
    row = measuring(run)
    assert row["steps"] == [2, 4, 8, 16, 32]
    assert np.shape(row["rms_TL"]) == np.shape(row["frechet_TL"]) == (len(SHARES), len(LEVELS))
    # At the lowest level hardly anything can be wrong but the noise itself.
    assert row["rms_TL"][-1][0] == pytest.approx(LEVELS[0], rel=0.2)
    assert row["frechet_TL"][-1][0] < row["frechet_TL"][-1][-1]
    assert {**measuring(run), "cpu_seconds": 0} == {**row, "cpu_seconds": 0}


# What is kept


def row_of(run: Run, value: float = 10.0) -> dict[str, Any]:
    table = [[value] * len(LEVELS)] * len(SHARES)
    steps = [round(share * run.setting.total_steps) for share in SHARES]
    return {
        **{"setting": run.setting.name, "law": run.law, "seed": run.seed, "schedule": run.schedule.to_dict()},
        **{"steps": steps, "rms_TL": table, "frechet_TL": table, "cpu_seconds": 60.0},
    }


def test_results_are_written_and_read_again_and_a_run_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results, run = Results.read(path), next(run for run in wanted() if run.law == "narrow_low")
    assert not results.has(run)
    results.add(row_of(run, 1.0), {"git_commit": "a"})
    results.add(row_of(run, 2.0), {"git_commit": "b"})
    results.judge([Judged("x", 0.1, 0.2, 0.3, {"mlp_2000": 1.5})])
    results.write(path)
    again = Results.read(path)
    assert again.has(run) and len(again.rows) == 1
    assert (again.rows[0]["frechet_TL"][0][0], again.made[again.rows[0]["made"]]) == (
        2.0,
        {"git_commit": "b"},
    )
    assert again.judged == results.judged
    assert not again.has(replace(run, schedule=PRESETS["ict"].schedule)), "of another schedule"
    # What is in the table now is taken in, what it lacks is kept.
    again.judge([Judged("x", 0.1, 0.2, 0.3, {"film_mlp_2000": 2.5})])
    assert again.judged[0].ratios == {"mlp_2000": 1.5, "film_mlp_2000": 2.5}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"made": [], "rows": [3]}', '{"made": [], "rows": [], "judged": [{}]}']
)
def test_a_file_of_something_else_is_one_line(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"holds no results of this benchmark: take it from git again"):
        Results.read(path)
    monkeypatch.setattr(command, "RESULTS", path)
    assert command.main(["--report"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


# The rule


def found(*schedules: tuple[float, float]) -> list[Judged]:
    """(share at the thinner end, ratio in mlp_2000)."""
    return [
        Judged(f"s{i}", share, 0.5, share, {"mlp_2000": ratio}) for i, (share, ratio) in enumerate(schedules)
    ]


def test_counts_are_of_warned_and_failed() -> None:
    check = Check("mlp", "mlp_2000", found((0.01, 9.0), (0.04, 1.0), (0.06, 3.0), (0.2, 1.0), (0.3, 2.0)))
    assert check.count(warned=True, failed=True) == check.count(warned=True, failed=False) == 1
    assert check.count(warned=False, failed=True) == 1
    assert (check.count(failed=False), check.count()) == (3, 5)
    assert check.cells()[0] == "mlp" and [cell.partition(":")[0] for cell in check.cells()[1:]] == [
        *("1 of 2", "1 of 3", "1 of 2")
    ]


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    def thinner(each: Judged) -> float:
        return each.below

    assert area(found((0.1, 9.0), (0.2, 1.0), (0.3, 1.0)), thinner) == 1
    assert area(found((0.3, 9.0), (0.2, 1.0), (0.1, 1.0)), thinner) == 0
    assert area(found((0.2, 9.0), (0.2, 1.0)), thinner) == 0.5
    assert math.isnan(area(found((0.2, 1.0)), thinner))


def test_the_interval_of_a_share_is_clopper_and_pearsons() -> None:
    assert share_text(0, 10) == "0 of 10: 0.00 [0.00, 0.31]"  # 1 - .025**(1/10)
    assert share_text(10, 10) == "10 of 10: 1.00 [0.69, 1.00]"
    assert share_text(0, 0) == "none"


def test_schedules_are_judged_against_ict_over_their_seeds() -> None:
    order = [chosen for chosen in kept() if chosen.origin in ("preset ict", "recorded, best 1", "filling 0")]
    values = {"preset ict": (10.0, 40.0), "recorded, best 1": (100.0, 400.0), "filling 0": (20.0,)}
    rows: list[Row] = [
        {"schedule": chosen.schedule.to_dict(), "seed": seed, "values": [999.0, value]}
        for chosen in order
        for seed, value in enumerate(values[chosen.origin])
    ]
    by_origin = {each.origin: each for each in judged({"mlp_2000": rows}, order)}
    assert by_origin.keys() == {"recorded, best 1", "filling 0"}
    assert by_origin["recorded, best 1"].ratios == {"mlp_2000": 10.0}
    assert by_origin["filling 0"].ratios == {"mlp_2000": 1.0}
    best = next(chosen.schedule for chosen in order if chosen.origin == "recorded, best 1")
    shares = ends(best, 2000)
    assert by_origin["recorded, best 1"].below == pytest.approx(shares.below, rel=0.01)
    assert by_origin["recorded, best 1"].warned and not by_origin["filling 0"].warned
    assert judged({"film_mlp_2000": rows[:1]}, order) == []


def test_the_rarest_share_is_that_of_the_least_band() -> None:
    even = NoiseSchedule.from_dict(
        {**PRESETS["ict"].schedule.to_dict(), "curriculum": {"name": "constant", "levels": 2}}
    )
    assert rarest_share(even, 100) == pytest.approx(0.5 / math.log(80 / 0.002))


# The page


def test_the_page_shows_what_is_kept_and_a_dash_for_what_is_not() -> None:
    results = Results()
    for run in wanted():
        if run.setting.name == "mlp" and run.seed == 0:
            results.add(row_of(run, 123.0), {})
    text = Page(results).text()
    count = f"{len(laws())} of {len(wanted())} trainings on the digits, {len(laws())} CPU-minutes"
    assert count in " ".join(text.split())
    assert f"{NUM_HELD_OUT} images" in text
    assert "| ict | - | - | - | - | 123 | - |" in text
    assert "{" not in text


def test_the_shipped_page_is_of_the_shipped_results_which_are_of_these_laws() -> None:
    results = Results.read(RESULTS)
    assert RESULTS.stat().st_size <= 200_000
    assert command.PAGE.read_text() == Page(results).text()
    known = {run.key: run.schedule for run in wanted()}
    for row in results.rows:
        law = known[row["setting"], row["law"], row["seed"]]
        assert equal(NoiseSchedule.from_dict(row["schedule"]), law, total_steps=2000, tolerance=1e-9)


def test_the_shipped_rule_is_what_is_judged() -> None:
    by_origin = {chosen.origin: chosen.schedule for chosen in kept()}
    assert set(LOOKED_AT) <= set(by_origin)
    shipped = Results.read(RESULTS).judged
    for each in shipped:
        shares = ends(by_origin[each.origin], 2000)
        assert (each.below, each.above) == pytest.approx((shares.below, shares.above), rel=0.01, abs=1e-12)
    made_with = next(
        check for check in checks(shipped) if check.text.endswith("the schedules it was made with")
    )
    assert len(made_with.schedules) == len(LOOKED_AT)
    assert made_with.count(warned=True, failed=False) == made_with.count(warned=False, failed=True) == 0
    assert LEAST == 0.05
    json.dumps([each.to_dict() for each in shipped], allow_nan=False)
