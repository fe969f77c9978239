"""The table of how schedules do in many settings: recorded by many, interrupted at will, and what the page says."""

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import command
from bench.quality.record_curves import Task
from bench.transfer import one_seed
from bench.transfer.agreement import LEAST, agreement, between_seeds, scores
from bench.transfer.measuring import SettingRecorder
from bench.transfer.page import Page
from bench.transfer.recording import Folder, Piece, Row, key_of, pieces, rows_in, work
from bench.transfer.rules import FEWEST_SCHEDULES, SHORTLISTS, Rule, lines, rules
from bench.transfer.schedules import TABLE, Chosen, kept
from bench.transfer.settings import SEEDS, SETTINGS, Setting
from bench.transfer.table import measured_with, on_all_seeds, rows_of, together, write
from search.errors import EXIT_INTERRUPTED, InputError
from search.file.holds import SettingSpec
from search.file.spec import load_spec
from search.machine.checkout import ROOT
from search.simulator.table import check_recorded, read_table
from spaces import PRESETS
from trainable.dataset import DATASETS
from trainable.extractor import EXTRACTORS
from trainable.metric.assets import prepare
from trainable.task import WORST_OBJECTIVE

ORDER = [Chosen(f"preset {name}", preset.schedule) for name, preset in PRESETS.items()]
CHEAP = Setting(name="cheap", text="cheap", seconds=1, network={"name": "film_mlp"})
DEAR = Setting(name="dear", text="dear", seconds=16, network={"name": "mlp"}, is_target=True)
NAMES = ("fd_digits_cnn", "fd_strided_cnn", "fd_pixels")
FEATURES = {"data_sha256": "d", "extractor_sha256": dict.fromkeys(NAMES, "a")}


def row(piece: Piece, value: float | None = None) -> Row:
    """As if it had been trained; the schedules from the best to the worst."""
    value = 10.0 + ORDER.index(piece.chosen) + 0.1 * piece.seed if value is None else value
    diverged = value >= WORST_OBJECTIVE
    return {
        "schedule": piece.chosen.schedule.to_dict(),
        "seed": piece.seed,
        "origin": piece.chosen.origin,
        "values": [50.0, value] if diverged else [4 * value, 3 * value, 2 * value, value],
        "cpu_seconds": [1.0, 2.0],
        "losses": [],
        "outcome": "diverged" if diverged else "complete",
        "measures": {} if diverged else {n: dict.fromkeys(NAMES, value / int(n)) for n in ("1", "2")},
        "made": {"git_commit": "c", **FEATURES, "search": measured_with(piece.setting)},
    }


def always() -> bool:
    return True


def recorded(path: Path) -> list[tuple[str, str]]:
    return [(name, key_of(found)) for name in ("cheap", "dear") for found in rows_in(path, name)]


WANTED = pieces([CHEAP, DEAR], ORDER[:6])


def test_a_first_part_of_the_work_has_more_of_what_is_cheap_and_the_first_seed() -> None:
    assert len({(piece.setting.name, piece.key) for piece in WANTED}) == len(WANTED) == 2 * 6 * len(SEEDS)
    assert [piece.seed for piece in WANTED] == [0] * 12 + [1] * 12
    first = WANTED[:5]
    assert [piece.setting.name for piece in first].count("cheap") == 4
    assert {piece.chosen for piece in first if piece.setting is DEAR} == {ORDER[0]}


@pytest.mark.parametrize("kills", [[0], [3], [3, 7, 8]])
def test_what_was_recorded_before_a_kill_is_neither_lost_nor_doubled(
    tmp_path: Path, kills: list[int]
) -> None:
    class Killed(Exception):
        pass

    for kill in kills:
        folder = Folder(tmp_path, {})

        def record(piece: Piece, kill: int = kill) -> Row:
            if len(recorded(tmp_path)) >= kill:
                raise Killed
            return row(piece)

        with pytest.raises(Killed):
            work(WANTED, folder, record, always)
        folder.close()
        assert len(recorded(tmp_path)) == kill
        with (tmp_path / "dear.jsonl").open("ab") as file:
            file.write(b'{"schedule": {"gr')  # a line that the kill cut short
    folder = Folder(tmp_path, {})
    assert work(WANTED, folder, row, always) == len(WANTED) - kills[-1]
    assert work(WANTED, folder, row, always) == 0
    assert sorted(recorded(tmp_path)) == sorted((piece.setting.name, piece.key) for piece in WANTED)
    folder.close()


def test_what_the_table_has_is_not_recorded_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path, {"cheap": [row(WANTED[0])]})
    assert work(WANTED, folder, row, always) == len(WANTED) - 1
    assert (WANTED[0].setting.name, WANTED[0].key) not in recorded(tmp_path)
    folder.close()


def test_when_the_time_is_over_no_trial_is_begun(tmp_path: Path) -> None:
    folder = Folder(tmp_path, {})
    answers = iter([True, True, False])
    assert work(WANTED, folder, row, lambda: next(answers)) == 2
    folder.close()


class Child:
    """A process of ours, made by `os.fork`, that does something and ends; what it says is read line by line."""

    def __init__(self, do: Callable[[Callable[[str], None]], None]):
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                do(lambda text: os.write(writing, f"{text}\n".encode()) and None)
            finally:
                os._exit(0)
        os.close(writing)
        self.said = os.fdopen(reading)

    def end(self, kill: bool = False) -> None:
        if kill:
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.said.close()


def test_a_claim_holds_against_other_processes_until_its_own_is_killed(tmp_path: Path) -> None:
    def hold(say: Callable[[str], None]) -> None:
        with Folder(tmp_path, {}).claim(WANTED[0]) as mine:
            say(str(mine))
            signal.pause()

    child = Child(hold)
    assert child.said.readline() == "True\n"
    folder = Folder(tmp_path, {})
    with folder.claim(WANTED[0]) as mine, folder.claim(WANTED[1]) as other:
        assert (mine, other) == (False, True)
    assert work(WANTED, folder, row, always) == len(WANTED) - 1, "what another is at is passed over"
    child.end(kill=True)
    assert work(WANTED, folder, row, always) == 1
    folder.close()


def test_processes_that_record_at_once_share_the_work(tmp_path: Path) -> None:
    def record(say: Callable[[str], None]) -> None:
        say(str(work(WANTED, Folder(tmp_path, {}), row, always)))

    children = [Child(record) for _ in range(4)]
    counts = [int(child.said.readline()) for child in children]
    for child in children:
        child.end()
    assert sum(counts) == len(WANTED)
    assert sorted(recorded(tmp_path)) == sorted((piece.setting.name, piece.key) for piece in WANTED)


# The table


def rows(setting: Setting, value: Callable[[int, int], float] | None = None, count: int = 6) -> list[Row]:
    """value: of the schedule with this index on this seed."""
    return [
        row(Piece(setting, chosen, seed), None if value is None else value(index, seed))
        for index, chosen in enumerate(ORDER[:count])
        for seed in SEEDS
    ]


def test_a_table_gives_back_the_rows_and_is_one_of_recorded_curves(tmp_path: Path) -> None:
    made = rows(CHEAP)
    made[3] = row(Piece(CHEAP, ORDER[1], 1), WORST_OBJECTIVE)
    path = write(CHEAP, made, ORDER, tmp_path)
    found = {key_of(each): each for each in rows_of(CHEAP, tmp_path)}
    assert found.keys() == {key_of(each) for each in made}
    for each in made:
        again = found[key_of(each)]
        assert (again["outcome"], again["measures"], again["made"]) == (
            each["outcome"],
            each["measures"],
            each["made"],
        )
        assert (again["values"][-1], again["cpu_seconds"][-1]) == (each["values"][-1], 2.0)
    table = read_table(path)
    check_recorded(table, CHEAP.spec, [500, 1000, 1500, 2000])
    assert table.values_SRT[2, 1].tolist() == [4 * 12.1, 3 * 12.1, 2 * 12.1, 12.1]
    assert table.values_SRT[1, 1].tolist() == [50, *[WORST_OBJECTIVE] * 3]
    assert [chosen.schedule for chosen in ORDER[:6]] == list(table.schedules)


def test_writing_a_table_from_itself_changes_no_byte(tmp_path: Path) -> None:
    before = write(CHEAP, rows(CHEAP), ORDER, tmp_path).read_bytes()
    both = together(CHEAP, rows_of(CHEAP, tmp_path), rows(CHEAP, lambda index, seed: 99.0))
    assert write(CHEAP, both, ORDER, tmp_path).read_bytes() == before


def test_what_the_simulator_plays_on_was_trained_on_all_seeds() -> None:
    all_rows = rows(CHEAP)
    gone = key_of(all_rows[3])
    whole = on_all_seeds([row for row in all_rows if key_of(row) != gone])
    schedules = [row["schedule"] for row in whole]
    assert all_rows[3]["schedule"] not in schedules and len(whole) == len(all_rows) - len(SEEDS)


def test_trials_measured_with_other_features_or_options_do_not_join_a_table(tmp_path: Path) -> None:
    last = rows(CHEAP)[-1]
    other = [{**last, "made": {**last["made"], "data_sha256": "e"}}]
    with pytest.raises(
        InputError, match=r"the same data and feature networks.*record on one kind of machine"
    ):
        together(CHEAP, rows(CHEAP)[:4], other)
    write(CHEAP, rows(CHEAP), ORDER, tmp_path)
    changed = replace(CHEAP, total_steps=1000)
    for found in (rows_of(CHEAP, tmp_path), rows(CHEAP)):
        with pytest.raises(InputError, match=r"cheap: .* recorded with another training\.total_steps"):
            together(changed, found)
    with pytest.raises(InputError, match="2 curves are of schedules that are not listed"):
        write(CHEAP, rows(CHEAP), ORDER[:5], tmp_path)


def test_the_measures_of_one_evaluation_are_of_the_samples_of_the_objective(tmp_path: Path) -> None:
    network = {"name": "film_mlp", "width": 8, "depth": 1}
    setting = Setting(name="tiny", text="tiny", seconds=1, network=network, total_steps=8)
    assets = prepare(DATASETS.build("digits"), EXTRACTORS.build("pixels"), tmp_path)
    record = SettingRecorder(setting, [assets])
    found = record(Task(ORDER[0].schedule, 1, "here"))
    assert (found["outcome"], found["seed"], found["origin"]) == ("complete", 1, "here")
    assert len(found["values"]) == len(found["cpu_seconds"]) == 4
    assert found["measures"]["1"] == {"fd_pixels": found["values"][-1]}
    assert found["measures"]["2"]["fd_pixels"] not in (found["values"][-1], WORST_OBJECTIVE)
    assert found == {**record(Task(ORDER[0].schedule, 1, "here")), "cpu_seconds": found["cpu_seconds"]}


# The page


def of(values: Sequence[float], spread: float = 0.0) -> np.ndarray:
    """scores_SR; the second seed is `spread` above the first."""
    return np.array([[value, value + spread] for value in values])


def test_a_proxy_agrees_with_what_orders_alike_and_its_winner_costs_nothing() -> None:
    target = of([0, 1, 2, 3, 4, 5])
    same = agreement([of([0, 10, 20, 30, 40, 50])], target, reference=2)
    assert same is not None and same.over_reference is not None
    assert (same.num_schedules, same.winner) == (6, 0)
    assert (same.correlation.value, same.correlation.low, same.correlation.high) == pytest.approx((1, 1, 1))
    assert (same.over_best.value, same.over_reference.value) == pytest.approx((1, math.exp(-2)))
    reverse = agreement([of([5, 4, 3, 2, 1, 0])], target, reference=2)
    assert reverse is not None and reverse.over_reference is not None
    assert (reverse.winner, reverse.correlation.value) == (5, pytest.approx(-1))
    assert (reverse.over_best.value, reverse.over_reference.value) == pytest.approx(
        (math.exp(5), math.exp(3))
    )
    mean = agreement([of([5, 4, 3, 2, 1, 0]), of([0, 10, 20, 30, 40, 50])], target, reference=2)
    assert mean is not None and mean.correlation.value == pytest.approx(1)


def test_only_common_schedules_count_and_too_few_are_no_answer() -> None:
    target = of(range(10))
    target[LEAST + 1 :] = np.nan
    proxy = of(range(10))
    proxy[0, 1] = np.nan  # one seed is enough
    found = agreement([proxy], target, reference=9)
    assert found is not None
    assert (found.num_schedules, found.over_reference) == (LEAST + 1, None)
    proxy[:2] = np.nan
    assert agreement([proxy], target, reference=9) is None


def test_the_interval_covers_seeds_as_well_as_schedules() -> None:
    rng = np.random.default_rng(1)
    values = np.linspace(0, 1, 40)
    widths = []
    for noise in (0.01, 0.5):
        noisy = values[:, None] + noise * rng.standard_normal((40, 2))
        found = agreement([noisy], of(values), reference=0)
        assert found is not None and found.correlation.low <= found.correlation.value
        widths.append(found.correlation.high - found.correlation.low)
    assert widths[1] > 2 * widths[0]
    between = between_seeds(of(values, spread=1.0))
    assert between is not None and between.value == pytest.approx(1)
    assert between_seeds(of(values[: LEAST - 1])) is None


def test_scores_are_logarithms_of_the_objective_or_of_a_measure() -> None:
    made = [*rows(CHEAP, count=2), row(Piece(CHEAP, ORDER[2], 1), WORST_OBJECTIVE)]
    scores_SR = scores(made, ORDER)
    assert scores_SR.shape == (len(ORDER), len(SEEDS))
    assert np.exp(scores_SR[0]) == pytest.approx([10, 10.1])
    assert np.isnan(scores_SR[2, 0]) and np.exp(scores_SR[2, 1]) == pytest.approx(WORST_OBJECTIVE)
    assert np.isnan(scores_SR[3:]).all()
    assert np.exp(scores(made, ORDER, ("2", "fd_digits_cnn"))[0]) == pytest.approx([5, 5.05])


def kind_and_true(count: int) -> dict[str, np.ndarray]:
    """ln of distances (S, 2) in six settings: film_mlp_2000 likes most what all others like least."""
    true_SR = np.log(np.geomspace(10, 40, count))[:, None] + np.zeros(2)
    names = ("mlp_2000", "small_unet_500", "film_mlp_8000", "small_unet_2000", "unet_16_32_2000")
    return {"film_mlp_2000": true_SR[::-1], **dict.fromkeys(names, true_SR)}


def test_of_two_settings_held_out_the_rule_is_taken_that_the_others_agree_with() -> None:
    order = kept()[:FEWEST_SCHEDULES]
    head, *rows, held_out = lines(kind_and_true(FEWEST_SCHEDULES), order, 5)
    assert head[0] == f"rule, of {FEWEST_SCHEDULES} schedules"
    by_rule = {row[0]: row for row in rows}
    film_mlp, mlp = (by_rule[text] for text in ("film_mlp 96x2, 2,000 steps", "mlp 256x2, 2,000 steps"))
    values = np.geomspace(10, 40, FEWEST_SCHEDULES)
    worst = pytest.approx(40 / values[5], abs=0.01)
    assert float(film_mlp[1].split()[0]) == float(film_mlp[2]) == worst
    assert float(mlp[2]) == pytest.approx(40 / values[::-1][5], abs=0.01)  # the best, but in film_mlp_2000
    # It is taken for the one pair in which each other rule trains.
    assert (film_mlp[3], float(held_out[2])) == ("1 of 15", worst)
    assert sum(int(row[3].split()[0]) for row in rows) == int(mlp[3].split()[2])


def test_a_preset_far_behind_on_one_seed_is_counted_and_whether_it_is_the_better_one_after_all() -> None:
    order = [Chosen("preset one", PRESETS["ict"].schedule), Chosen("preset two", PRESETS["vp"].schedule)]
    order += [Chosen("filling 1", PRESETS["ecm"].schedule)]
    nothing = np.full((3, 2), np.nan)
    there = {setting.name: nothing for setting in SETTINGS}
    # On one seed the second preset is three times as far, on the other the first: so one is the better after all.
    there["mlp_2000"] = np.log([[10.0, 40.0], [30.0, 10.0], [1.0, 1.0]])
    there["film_mlp_2000"] = np.log([[10.0, 10.0], [19.0, 21.0], [1.0, 1.0]])
    _, *rows = one_seed.lines(there, order)
    assert [row[1:] for row in rows] == [("2", "1", "0"), ("2", "2", "1")]


def test_the_rule_with_a_shortlist_is_that_of_the_default_search() -> None:
    spec = load_spec(ROOT / "searches/digits.yaml")
    by_name = {setting.name: setting.spec.own_setting for setting in SETTINGS}
    count, names = SHORTLISTS[0]
    assert all(map(SettingSpec.is_like, spec.settings, (by_name[name] for name in names)))
    assert len(spec.settings) == len(names) and spec.holds_at.shortlist == count


def test_a_rule_that_trains_in_a_setting_is_not_judged_there_and_shortlists_halve() -> None:
    scores_of = {name: scores_SR.mean(axis=1) for name, scores_SR in kind_and_true(40).items()}
    least_S = np.zeros(40)
    found = Rule(("film_mlp_2000",), 0.0, (6, ("mlp_2000", "small_unet_500", "film_mlp_8000")))
    scores_of["film_mlp_2000"] /= 2  # it tells schedules apart less than others do
    assert found.winner(scores_of, least_S) == 34  # of its best six, 34 to 39, the best elsewhere
    assert Rule(("film_mlp_2000",), 0.0).winner(scores_of, least_S) == 39
    least_S[3] = 0.2
    assert Rule(("film_mlp_2000",), 0.1).winner(scores_of, least_S) == 3
    two_left = frozenset({"mlp_2000", "small_unet_2000", "unet_16_32_2000"})
    assert {rule.names for rule in rules(two_left)} == {("mlp_2000",)}
    assert rules(two_left - {"unet_16_32_2000"}) == []


@pytest.mark.parametrize("missing", ["a setting", "schedules"])
def test_no_rule_is_judged_by_too_little(missing: str) -> None:
    scores_of = kind_and_true(FEWEST_SCHEDULES)
    if missing == "schedules":
        scores_of = {name: scores_SR[1:] for name, scores_SR in scores_of.items()}
    else:
        scores_of = dict([*scores_of.items()][:3])
    assert [*lines(scores_of, kept()[1 : FEWEST_SCHEDULES + 1], 5)] == []


def test_the_page_says_how_much_is_recorded_and_ranks_the_proxies() -> None:
    film, mlp, unet = (
        next(setting for setting in SETTINGS if setting.name == name)
        for name in ("film_mlp_2000", "mlp_2000", "unet_16_32_2000")
    )
    made = {
        film.name: rows(film, lambda index, seed: 100.0 - index, count=8),
        mlp.name: rows(mlp, lambda index, seed: 10.0 + index, count=8),
        unet.name: rows(unet, lambda index, seed: 20.0 + index, count=7)[:-1],
    }
    text = Page(made, ORDER).text()
    assert f"45 of {len(SETTINGS) * len(ORDER) * len(SEEDS):,} trials" in " ".join(text.split())
    assert f"| {unet.text} | 7 | 13 | 2 | 1.00 [1.00, 1.00] |" in text
    section = text.partition(f"### Target: {unet.text}\n")[2].partition("\n#")[0]
    best, _, worst = section.strip().splitlines()[2:]
    assert best.startswith(f"| {mlp.text} | 2 | 7 | 1.00 [1.00, 1.00] | 1.00")
    assert f"| {ORDER[0].origin} | 1.00 [1.00, 1.00] |" in best
    assert worst.startswith(f"| {film.text} | 2 | 7 | -1.00 [-1.00, -1.00] | -1.00")
    assert f"| {ORDER[6].origin} | 1.30 " in worst
    fashion = text.partition("### Target: Fashion-MNIST")[2].partition("\n#")[0]
    assert fashion.strip().endswith(
        f"Fewer than {LEAST} schedules are recorded in this setting and another one."
    )


@pytest.mark.parametrize("content", ["{}\n", "[]\n", "3\n", "no JSON\n"])
@pytest.mark.parametrize("options", [[], ["--report"]])
def test_a_folder_of_something_else_is_one_line(
    content: str, options: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mlp_2000.jsonl").write_text(content)
    assert command.main(["transfer", "--folder", str(tmp_path), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}/mlp_2000.jsonl, line 1: a trial has schedule, seed")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"about": {"made": [3]}, "search": {}}'])
def test_a_damaged_table_is_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "cheap.json").write_text(content)
    with pytest.raises(
        InputError, match=r"cheap\.json is no table of this benchmark .*take it from git again"
    ):
        rows_of(CHEAP, tmp_path)


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_recording_that_is_ended_says_so_and_leaves_no_temporary_folder(
    number: int, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "transfer", "--anew", "--folder", str(tmp_path / "kept")],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "trials are there" in "".join(itertools.islice(process.stdout, 5))
    # The first trial may be at work or finished, whatever the machine's speed.
    while not any(temporary.glob("transfer-*")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == EXIT_INTERRUPTED
    assert said.splitlines()[-1].startswith("interrupted: ")
    assert not any(temporary.glob("transfer-*"))


# What is shipped


def test_the_schedules_are_many_different_ones_of_each_kind() -> None:
    found = kept()
    assert len({chosen.schedule for chosen in found}) == len(found) >= 60
    kinds = {"preset": 15, "recorded": 8, "filling": 30}
    for kind, least in kinds.items():
        assert sum(chosen.origin.startswith(kind) for chosen in found) >= least
        assert any(chosen.origin.startswith(kind) for chosen in found[:4])
    filling = [chosen.schedule for chosen in found if chosen.origin.startswith("filling")]
    assert sum(schedule.uniform_floor > 0 for schedule in filling) == len(filling) / 2


def tables() -> Iterator[Path]:
    yield from (path for path in sorted(TABLE.glob("*.json")) if path.name != "schedules.json")


def test_the_shipped_table_is_of_the_settings_and_the_page_is_of_the_table() -> None:
    assert sum(path.stat().st_size for path in TABLE.iterdir()) <= 5_000_000
    assert {path.stem for path in tables()} <= {setting.name for setting in SETTINGS}
    count = 0
    for setting in SETTINGS:
        found = rows_of(setting)
        count += len(found)
        assert {json.dumps(each["schedule"], sort_keys=True) for each in found} <= {
            json.dumps(chosen.schedule.to_dict(), sort_keys=True) for chosen in kept()
        }
    page = " ".join((ROOT / "docs/transfer.md").read_text().split())
    assert f"Recorded so far: {count:,} of {len(SETTINGS) * len(kept()) * len(SEEDS):,} trials" in page
