"""All who hear what becomes of a search's trials while it runs: MLflow, the screen, the log, the janitor."""

import logging
import math
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import Tensor

from search.cluster.storage_defaults import tracking_environment
from search.machine.checkout import is_shipped
from search.policy.conductor import Conductor
from search.policy.next_trial import Refused
from search.record import Purpose, State, TrialRecord
from search.running import foretold
from search.running.known import LOG_FILE, SPEC_FILE
from search.running.live_page import LivePage
from search.running.page import write_page
from search.running.result import Result
from search.running.search import Search
from search.running.tracked import models_of, parent_info, projection_settings
from search.screen.live_state import PHASE_OF
from search.screen.silence import Waiting
from search.screen.view import ProgressView
from search.study.retention import Janitor, Retention
from search.tracking import ProjectionProcess, Tracker
from search.winner.pictures import compared_rows, make_grids
from search.winner.sampling import median_trial, sampling_of

# How long the end waits for MLflow, and for the storage. After Ctrl-C somebody waits for it; a job may be stopped when
# the head is busy, and has `RAY_JOB_STOP_WAIT_TIME_S` for both.
_CLOSE_SECONDS, _STOPPED_SECONDS, _STOPPED_JOB_SECONDS = 120.0, 5.0, 25.0
_AGAIN_SECONDS = 60.0  # what a search that is finished already gives it: MLflow alone takes seconds to begin
_FORESEE_SECONDS = 2.0  # how often the end is foretold: in a large search that costs some milliseconds

_log = logging.getLogger(__name__)


def bring_up_to_date(search: Search, result: Result) -> str | None:
    """Tell MLflow of a finished search what a driver that was killed could not; what it lacks then, in one line.

    What has its final status there is taken to be complete: it is written last.
    """
    projection = ProjectionProcess(
        projection_settings(search), search.folder / LOG_FILE, tracking_environment(search.spec)
    )
    tracker = Tracker(projection, linger=0.0)
    for record in result.records:
        tracker.put(record)
    median = median_trial(result.board.winner) if result.board.winner is not None else None
    measured = sampling_of(search.trial_storage, median.number) if median is not None else None
    if median is not None and measured is not None:
        tracker.put_sampling(median, measured)
    tracker.put_parent(parent_info(search, result.mlflow_status(), result))
    tracker.put_leaderboard([row.to_dict() for row in result.board.rows], result.conclusion)
    for record, make in models_of(search, result):
        tracker.put_model(record, make)
    leftover = tracker.close(_AGAIN_SECONDS)
    projection.close()
    return leftover.message(search.command("reconcile")) if leftover else None


class Audience:
    """Told of every change of a trial. tracker: brings it to MLflow. training: set when a trial was seen to train.

    `begin` comes first, `close` last.
    """

    def __init__(
        self,
        search: Search,
        conductor: Conductor,
        view: ProgressView,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.training = threading.Event()
        self._search = search
        self._conductor = conductor
        self._view = view
        self._projection = ProjectionProcess(
            projection_settings(search), search.folder / LOG_FILE, tracking_environment(search.spec)
        )
        self.tracker = Tracker(self._projection)
        holds = conductor.plan.holds
        self._janitor = Janitor(
            Retention(conductor.plan.race, holds.shortlist if holds is not None else 0),
            search.trial_storage,
            of_script=search.spec.script is not None,
        )
        # Trials and purposes that the view knows of.
        self._started: set[int] = set()
        self._retried: set[int] = set()
        self._entered: set[Purpose] = set()
        self._page = LivePage(search.folder / SPEC_FILE, search.folder / LOG_FILE, clock=clock)
        self._clock, self._foreseen_at, self._kept_at = clock, -math.inf, -math.inf

    def begin(self) -> None:
        """The search goes on: here are the trials that the study knows already."""
        records = self._conductor.records.values()
        self.tracker.put_parent(parent_info(self._search, "RUNNING"))
        for record in records:
            self.tracker.put(record)  # what a killed driver or a lost MLflow left open
        self._view.restored(records)
        self._view.expect({name: self._conductor.num_trials(purpose) for purpose, name in PHASE_OF.items()})
        self._janitor.restored(records)
        self._conductor.on_change = self.changed
        self._conductor.on_refused = self._refused
        self._view.watch("mlflow", self._mlflow)

    def changed(self, record: TrialRecord) -> None:
        """A trial was started, has reported or has ended."""
        self.tracker.put(record)
        if record.state is not State.RUNNING:
            self._janitor.ended(record)
        why = record.decisions[-1] if record.decisions else "no reason was kept"
        _log.info("trial %d %s %s %s; %s", record.number, record.purpose, record.state, record.objective, why)
        self._show_retry(record)
        self._show_phase(record.purpose)
        self._show_trial(record)
        self._page.changed(len(self._conductor.records))
        self._foresee()

    def progressed(self, number: int, step: int) -> None:
        """A sign of life of a trial."""
        self.training.set()
        self._view.trial_progress(number, step)
        self._foresee()

    def _foresee(self) -> None:
        now = self._clock()
        if now - self._foreseen_at < _FORESEE_SECONDS:
            return
        self._foreseen_at = now
        found = self._conductor.outlook()
        left = None if found.least is None or found.most is None else (found.least, found.most)
        self._view.foresee(found.steps, found.seconds, left)
        if now - self._kept_at >= foretold.KEEP_SECONDS:
            self._kept_at = now
            foretold.keep(self._search.folder, left, time.time())

    def trained(self) -> None:
        """Nothing is trained any more; how long the rest takes is not foretold."""
        self._view.foresee(0, 0.0, None)
        foretold.forget(self._search.folder)

    def note(self, text: str) -> None:
        """Something that the user should know, in one line: for the log and the screen."""
        _log.warning(text)
        self._view.note(f"warning: {text}")

    def _refused(self, refused: Refused) -> None:
        self.note(
            f"trial {refused.number}, which somebody put into the study's queue, is refused: {refused.reason}"
        )

    def write_page(self, result: Result, images_NCHW: Tensor | None) -> None:
        """The page of the search as it ended; where it cannot be made, that is noted, and nothing else is lost.

        images_NCHW: of the data set; None where a script trains.
        """
        self._view.phase("making the page", 0)
        try:
            self._page.close()
            if result.finished and images_NCHW is not None:
                make_grids(self._search.spec, compared_rows(result.board), images_NCHW)
            write_page(self._search, result)
        except Exception as error:  # of whatever kind: the search is over, and its results are kept
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            _log.warning("the page", exc_info=error)
            self.note(f"the page was not made ({reason}). Make it with: {self._search.command('report')}")

    def close(self, result: Result | None) -> str | None:
        """Everybody comes to an end. What MLflow lacks then, in one line, if anything.

        result: how the search stands; None: an error ended it, and it can be gone on with.
        """
        seconds = _STOPPED_JOB_SECONDS if is_shipped() else _STOPPED_SECONDS
        if result is not None and result.finished:
            seconds = _CLOSE_SECONDS
        status = result.mlflow_status() if result is not None else "KILLED"
        try:
            self.tracker.put_parent(parent_info(self._search, status, result))
        finally:
            foretold.forget(self._search.folder)
            self._page.close()
            self._janitor.close(seconds)
            leftover = self.tracker.close(seconds)
            self._projection.close()
        return leftover.message(self._search.command("reconcile")) if leftover else None

    def _mlflow(self) -> Waiting | None:
        """MLflow, while it owes an answer."""
        since = self.tracker.silent_since
        if since is None:
            return None
        error = f": {self.tracker.error}" if self.tracker.error else ""
        whom = f"MLflow ({self.tracker.num_waiting} changes wait{error})"
        return Waiting(whom, since, partial(Path, self._search.folder, LOG_FILE))

    def _show_retry(self, record: TrialRecord) -> None:
        if record.micro_batch is not None and record.number not in self._retried:
            self._retried.add(record.number)
            self._view.note(
                f"trial {record.number} ran out of GPU memory: once more with {record.micro_batch} images at once"
            )

    def _show_phase(self, purpose: Purpose) -> None:
        num_trials = self._conductor.num_trials
        if purpose is not Purpose.REPLICATE and purpose not in self._entered:
            self._entered.add(purpose)
            self._view.phase(PHASE_OF[purpose], num_trials(purpose))
        changing = (Purpose.SHORTLIST, Purpose.CONFIRM)
        self._view.expect({PHASE_OF[purpose]: num_trials(purpose) for purpose in changing})

    def _show_trial(self, record: TrialRecord) -> None:
        if record.state is not State.RUNNING:
            self._view.trial_ended(record)
        elif record.number not in self._started:
            self._started.add(record.number)
            self._view.trial_started(record)
        else:
            self._view.trial_reported(record)
