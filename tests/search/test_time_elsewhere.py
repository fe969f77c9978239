"""How long trials in other settings still take, before any has run there and while they do."""

import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.evidence.holding import HoldRules
from search.evidence.race import RaceRules
from search.evidence.shortlist import most_entries
from search.file.spec import SearchSpec, load_spec, overridden
from search.policy.agenda import Agenda
from search.policy.conductor import Conductor
from search.policy.elsewhere_left import elsewhere_left
from search.policy.pace_elsewhere import Ratio, pace_in, training_share
from search.policy.race_left import race_left
from search.policy.span import Span, together
from search.record import Purpose, Report, TrialRecord
from search.running import timed_elsewhere
from search.running.plan_of import plan_of
from search.running.timed_elsewhere import ALIKE, ROUGH, TIMED, foreknown
from search.simulator.trials_in_memory import TrialsInMemory
from tests.records import record, replicates
from tests.search.test_conductor import PLAN
from trainable import step_ratios as timing
from trainable.metric.assets import prepare
from trainable.setting import Setting
from trainable.task import OWN

MLP, LONGER = "mlp", "total_steps 400"
RULES = HoldRules(settings={MLP: 100, LONGER: 400}, top=1, baselines=2, rounds=(2,), spread=0, shortlist=4)
HELD = replace(PLAN, race=RaceRules(top=1, baselines=1, rounds=(2,)), holds=RULES, max_concurrent=1)


def agenda_of(*records: TrialRecord, plan: Any = HELD, **spent: tuple[float, int]) -> Agenda:
    """spent: seconds and steps in a setting, by its name; `own` is the search's own."""
    agenda = Agenda(plan, {})
    for one in records:
        agenda.ledger.keep(one)
    own = spent.pop("own", (0.0, 0))
    plain = {
        "wall_seconds": 0.0,
        "trial_seconds": own[0] + sum(seconds for seconds, _ in spent.values()),
        "steps": own[1] + sum(steps for _, steps in spent.values()),
        "elsewhere": {
            name: {"wall_seconds": 0.0, "trial_seconds": seconds, "steps": steps}
            for name, (seconds, steps) in spent.items()
        },
    }
    agenda.spending.restore(plain)
    return agenda


def timed(number: int, training: float, seconds: float) -> TrialRecord:
    """A trial of which the part between two rungs took so long, and trained for so much of it."""
    reports = (
        Report(50, 20.0, 90_000, {"train_seconds": 7.0}),
        Report(100, 10.0, 90_000 + round(1000 * seconds), {"train_seconds": 7.0 + training}),
    )
    return record(number, *reports)


# What is not known for sure


def test_what_is_independent_deviates_in_quadrature() -> None:
    assert together([Span(7, 10, 14), Span(16, 20, 23)]) == Span(25, 30, 35)
    assert together([Span(100, 100, 100)], error=0.1) == Span(90, 100, 110)
    assert together([]) == Span()
    assert together([Span(0, 1, 2), Span(0, 0, 5)]).least == 0


def test_what_has_no_end_stays_so_and_is_cut_to_a_limit() -> None:
    endless = together([Span(5, math.inf, math.inf), Span(1, 2, 3)], error=0.1)
    assert endless == Span(6, math.inf, math.inf)
    assert endless.at_most(50) == Span(6, 50, 50)


# The pace in a setting


def test_a_step_elsewhere_is_as_slow_as_it_was_timed_and_measured_as_often() -> None:
    # Of the second that a step of the search takes, .6 are training: a trial of 100 steps is measured for 40 s.
    agenda = agenda_of(timed(0, 30.0, 50.0), own=(100.0, 100))
    assert pace_in(agenda, MLP, 1.0, Ratio(8.0, 1.25)).seconds == pytest.approx(0.6 * 8 + 0.4)
    assert pace_in(agenda, LONGER, 1.0, Ratio(1.0, 1.1)).seconds == pytest.approx(0.6 + 0.1)
    # The load of today counts there too.
    assert pace_in(agenda, MLP, 3.0, Ratio(8.0, 1.25)).seconds == pytest.approx(3 * (0.6 * 8 + 0.4))


def test_the_share_of_training_is_that_of_most_trials() -> None:
    usual = [timed(number, 30.0, 50.0) for number in range(3)]
    interrupted = timed(3, 30.0, 5000.0)
    elsewhere = replace(timed(4, 1.0, 50.0), setting=MLP)
    assert training_share([elsewhere, interrupted, *usual]) == pytest.approx(0.6)
    # Of a script nothing but its steps is known, of one rung not when it began.
    assert training_share([record(0, (50, 9.0), (100, 8.0)), record(1, 10.0)]) == 1.0


def test_what_was_timed_gives_way_to_what_is_seen() -> None:
    def pace(steps: int) -> Any:
        return pace_in(agenda_of(own=(100.0, 100), mlp=(3.0 * steps, steps)), MLP, 1.0, Ratio(1.0, 4.0))

    assert (pace(0).seconds, pace(0).factor) == (1.0, 4.0)
    paces = [pace(steps) for steps in (0, 10, 100, 1000)]
    assert [p.seconds for p in paces] == sorted(p.seconds for p in paces)
    assert paces[1].seconds == pytest.approx(
        math.sqrt(3.0)
    )  # a tenth of a trial is worth as much as the timing
    assert paces[-1].seconds == pytest.approx(3.0, rel=0.02)
    assert paces[-1].factor < 1.02
    assert all(p.seconds / p.factor <= 3.0 <= p.seconds * p.factor for p in paces)


# How many trials


def test_what_is_left_elsewhere_has_an_end_before_a_trial_has_run_there() -> None:
    agenda = agenda_of(own=(100.0, 100))
    left = elsewhere_left(agenda, {}, 1.0, {}, Span(4, 4, 4))
    # Four and two of the shortlist, then one proposal and two presets on two seeds each, in both settings, of which one
    # preset may be left out after its first: as likely as not, and the last setting ends with a whole trial.
    assert left.expected == (4 + 5.5) * 100 + (2 + 6) * 400
    assert left.expected / 4.2 < left.least < left.expected / 4  # the pace, and that it may be a trial fewer
    assert left.most == pytest.approx(left.expected * 4, rel=1e-3)
    narrow = elsewhere_left(agenda, {}, 1.0, dict.fromkeys((MLP, LONGER), Ratio(1.0, 1.1)), Span(4, 4, 4))
    assert 1.1**2 <= narrow.most / narrow.least < 1.3


def test_the_shortlist_is_as_long_as_proposals_run_to_their_ends() -> None:
    assert most_entries(RULES, 1, finished=3.9) == {MLP: 3, LONGER: 2}
    assert most_entries(RULES, 1, finished=math.inf) == {MLP: 4, LONGER: 2}
    left = elsewhere_left(agenda_of(own=(1.0, 1)), {}, 1.0, {}, Span(0, 1, 4))
    assert left.expected == (1 + 5.5) * 100 + (1 + 6) * 400


def test_slots_share_what_is_left() -> None:
    wide = replace(HELD, max_concurrent=4)
    left = elsewhere_left(agenda_of(plan=wide, own=(1.0, 1)), {}, 1.0, {}, Span(4, 4, 4))
    # One turn of the shortlist in each; five or six more trials in the first, where slots do not wait for the last; two
    # turns.
    assert left.expected == 100 + 400 + 137.5 + 800


def test_what_runs_elsewhere_has_its_steps_left() -> None:
    running = record(9, purpose=Purpose.HOLD, setting=LONGER, replicate_of=0)
    left = elsewhere_left(agenda_of(running, own=(1.0, 1)), {9: 150}, 1.0, {}, Span())
    rest = elsewhere_left(agenda_of(running, own=(1.0, 1)), {9: 350}, 1.0, {}, Span())
    assert left.expected - rest.expected == pytest.approx(200)


def test_nothing_is_left_without_settings() -> None:
    assert elsewhere_left(agenda_of(plan=PLAN), {}, 1.0, {}, Span()) == Span()


# The race


def baselines(*values: float) -> list[TrialRecord]:
    names = list(HELD.baselines)
    return [
        record(n, *((step, value) for step in HELD.rungs), preset=names[n], purpose=Purpose.BASELINE)
        for n, value in enumerate(values)
    ]


@pytest.mark.parametrize(("values", "trials"), [((10.0, 90.0), 2 + 5), ((90.0, 10.0), 5 + 5)])
def test_seeds_of_the_noise_floor_count_where_the_first_baseline_is_confirmed(
    values: tuple[float, float], trials: int
) -> None:
    plan = replace(HELD, race=RaceRules(top=1, baselines=1, rounds=(5,)), noise_seeds=3)
    unknown = race_left(Agenda(plan, {}), over=False).turns(1)
    assert (unknown.least, unknown.most) == (2 + 5, 5 + 5)
    floor = replicates(0, [11.0, 12.0, 13.0], first=10, purpose=Purpose.NOISE)
    known = race_left(agenda_of(*baselines(*values), *floor, plan=plan), over=False).turns(1)
    assert known == Span(trials, trials, trials)


# Timed while the search starts

FILE = """\
name: t
data: digits
network: {name: mlp, width: 8, depth: 1}
training: {total_steps: 200, batch_size: 16}
presets: [ict]
budget: {max_trials: 8}
confirm: {top: 1, baselines: 1, rounds: [2]}
holds_at:
"""
SETTINGS = """\
  settings:
    - training: {total_steps: 4x}
    - network: {name: mlp, width: 256, depth: 3}
"""
DEEPER = "mlp(depth=3)"


def read(tmp_path: Path, settings: str = SETTINGS) -> SearchSpec:
    (tmp_path / "t.yaml").write_text(FILE + settings)
    return load_spec(tmp_path / "t.yaml")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[SearchSpec], Mapping[str, Setting]]:
    def prepared(spec: SearchSpec) -> Mapping[str, Setting]:
        own = spec.own_setting
        assets = prepare(own.data, own.extractor, tmp_path_factory.mktemp("cache"))
        return {
            each.name: Setting(assets, each.network, each.training, num_samples=100)
            for each in (own, *spec.settings)
        }

    return prepared


BEGUN = threading.Event()
BEGUN.set()


class Told:
    """What the conductor is told."""

    def __init__(self) -> None:
        self.ratios: Mapping[str, Ratio] | None = None
        self.heard = threading.Event()

    def foreknow(self, ratios: Mapping[str, Ratio]) -> None:
        self.ratios = ratios
        self.heard.set()


def test_what_is_other_than_steps_is_timed(
    tmp_path: Path, prepared: Callable[[SearchSpec], Mapping[str, Setting]]
) -> None:
    spec, told = read(tmp_path), Told()
    with foreknown(spec, prepared(spec), told, stack=1, begun=BEGUN):  # type: ignore[arg-type]
        assert told.heard.wait(60)
    assert told.ratios is not None
    assert told.ratios["total_steps 800"] == Ratio(1.0, ALIKE)
    deeper = told.ratios[DEEPER]
    assert deeper.seconds > 1.5 and deeper.factor == TIMED


def test_nothing_is_timed_before_a_trial_trains(
    tmp_path: Path, prepared: Callable[[SearchSpec], Mapping[str, Setting]], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def timed(*_: object) -> Mapping[str, float]:
        assert begun.is_set()
        return {DEEPER: 2.0}

    monkeypatch.setattr(timed_elsewhere, "step_ratios", timed)
    spec, told, early = read(tmp_path), Told(), Told()
    with foreknown(spec, prepared(spec), early, stack=1, begun=begun):  # type: ignore[arg-type]
        pass
    assert early.ratios is None
    with foreknown(spec, prepared(spec), told, stack=1, begun=begun):  # type: ignore[arg-type]
        begun.set()
        assert told.heard.wait(60)
    assert told.ratios is not None and told.ratios[DEEPER].seconds == 2.0


def test_where_trials_train_otherwise_a_small_network_may_be_as_slow(
    tmp_path: Path, prepared: Callable[[SearchSpec], Mapping[str, Setting]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timed_elsewhere, "step_ratios", lambda *_: {DEEPER: 9.0})
    spec = read(tmp_path)
    for more, stack in (({"resources.cpu": 2}, 1), ({"resources.stack": 4}, 4)):
        told = Told()
        changed = overridden(spec, more)
        with foreknown(changed, prepared(changed), told, stack=stack, begun=BEGUN):  # type: ignore[arg-type]
            assert told.heard.wait(60)
        assert told.ratios is not None
        deeper = told.ratios[DEEPER]
        assert deeper.seconds / deeper.factor <= 1.0 < 9.0 <= deeper.seconds * deeper.factor


def test_a_network_whose_step_takes_long_is_counted_and_not_timed(
    tmp_path: Path, prepared: Callable[[SearchSpec], Mapping[str, Setting]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timed_elsewhere, "MOST_TIMED", 1.0)
    monkeypatch.setattr(timed_elsewhere, "step_ratios", pytest.fail)
    spec, told = read(tmp_path), Told()
    with foreknown(spec, prepared(spec), told, stack=1, begun=BEGUN):  # type: ignore[arg-type]
        assert told.heard.wait(60)
    assert told.ratios is not None
    assert told.ratios[DEEPER].seconds > 10 and told.ratios[DEEPER].factor == ROUGH


def test_a_network_that_fails_there_spoils_nothing(
    tmp_path: Path,
    prepared: Callable[[SearchSpec], Mapping[str, Setting]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(timed_elsewhere, "step_ratios", failing)
    spec, told = read(tmp_path), Told()
    with caplog.at_level(logging.WARNING), foreknown(spec, prepared(spec), told, stack=1, begun=BEGUN):  # type: ignore[arg-type]
        pass
    assert told.ratios is None
    assert "steps of other settings were not timed" in caplog.text


def test_a_search_that_is_over_waits_for_no_timing(
    tmp_path: Path, prepared: Callable[[SearchSpec], Mapping[str, Setting]]
) -> None:
    spec = read(tmp_path)
    own, other = (prepared(spec)[name] for name in (OWN, DEEPER))
    looked: list[int] = []

    def end_at_the_second_look() -> bool:
        looked.append(1)
        return len(looked) > 1

    assert timing.step_ratios(own, {DEEPER: other}, end_at_the_second_look) == {}
    assert len(looked) == 2
    with foreknown(spec, {}, Told(), stack=1, begun=BEGUN) as nothing:  # type: ignore[arg-type]
        assert nothing is None
    assert not any(thread.name == "timing" for thread in threading.enumerate())


def test_steps_are_timed_in_turns_by_the_time_that_one_thread_computes(
    tmp_path: Path, prepared: Callable[[SearchSpec], Mapping[str, Setting]]
) -> None:
    settings = prepared(read(tmp_path))
    ticks = iter(range(10**6))
    # A clock that goes on with each look: whatever is trained, a step then takes as long as any other.
    found = timing.step_ratios(settings[OWN], {DEEPER: settings[DEEPER]}, clock=lambda: float(next(ticks)))
    assert found == {DEEPER: 1.0}


def test_the_time_left_is_narrower_once_the_conductor_knows() -> None:
    def look(ratios: Mapping[str, Ratio] | None) -> float:
        now = [0.0]
        conductor = Conductor(HELD, TrialsInMemory(), clock=lambda: now[0])
        if ratios is not None:
            conductor.foreknow(ratios)
        trial = conductor.next()
        assert trial is not None
        conductor.observe(trial.number, 1, [], None)
        now[0] = 50.0
        conductor.observe(trial.number, 50, [Report(50, 9.0, 0)], None)
        found = conductor.outlook()
        assert found.least is not None and found.most is not None
        return found.most / found.least

    assert look(dict.fromkeys((MLP, LONGER), Ratio(1.0, ALIKE))) < 2 < look(None) < 20


def test_what_is_computed_when_nothing_is_trained_any_more_counts_too() -> None:
    def look(plan: Any) -> float:
        now = [0.0]
        conductor = Conductor(plan, TrialsInMemory(), clock=lambda: now[0])
        trial = conductor.next()
        assert trial is not None
        reports: list[Report] = []
        for step, seconds in ((1, 0.0), (50, 50.0), (75, 75.0)):
            now[0] = seconds
            if step > 1:
                reports.append(Report(step, 9.0, round(1000 * seconds), {"train_seconds": 0.8 * seconds}))
            conductor.observe(trial.number, step, reports, None)
        found = conductor.outlook()
        assert found.least is not None and found.most is not None
        return (found.least + found.most) / 2

    plan = replace(PLAN, max_concurrent=1)
    more = look(replace(plan, distances_after=1000)) - look(plan)
    # A fifth of a second for each step is measuring: seven seconds for each of three rungs.
    assert 1000 * 0.2 * 33 * 0.5 < more < 1000 * 0.2 * 33


def test_confirmed_models_and_sampling_levels_are_measured_after_the_trials() -> None:
    spec = load_spec("searches/digits.yaml")
    # Two finalists on five seeds by four measures at 1 and 2 evaluations; 20 distances for each of 2 + 3 + 4 levels.
    assert plan_of(spec, 1).distances_after == 10 * 4 * 2 + 20 * 9
    assert plan_of(overridden(spec, {"sampling": {}, "measures.judges": []}), 1).distances_after == 0
