"""A search: its file, its study, what its trials keep, and how it stands."""

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import InputError
from search.evidence.leaderboard import Leaderboard
from search.evidence.row import Row
from search.file.identity import AMOUNT, changed_fields
from search.file.spec import SearchSpec, overridden, spec_of
from search.file.yaml12 import Document
from search.machine.checkout import git_commit
from search.machine.driver import driver_of, only_driver
from search.policy.agenda import Agenda
from search.policy.plan import Plan
from search.policy.trials import CONFIRM_ANYWAY, JUDGES, SEARCH_CLOSED
from search.record import TrialRecord
from search.running.judged import facts_of
from search.running.kept import spec_at, spec_in
from search.running.known import SPEC_FILE, SUMS_FILE, command, folder_of
from search.running.own_code import sha256_of, sha256_of_plugins, sha256_of_start
from search.running.plan_of import board_of, objective_of, plan_of
from search.running.result import Result
from search.running.status import status_of
from search.screen.status_text import Status
from search.study.reading import StudyReader
from search.study.trial_storage import TrialStorage
from search.winner.sampling import read_found, read_sampling
from trainable.storage.atomic import write_atomically
from trainable.task import OWN

if TYPE_CHECKING:
    from search.study.store import StudyStore
    from trainable.command.script import Script
    from trainable.metric.assets import Assets
    from trainable.setting import Setting

# What values belong to, by their key in the study's header; None where a search has no such thing.
_MEASURED_WITH = {
    **{"data_sha256": "data set", "extractor_sha256": "feature network", "code_sha256": "script"},
    **{"network_sha256": "network", "plugins_sha256": "plugin", "start_sha256": "file of first weights"},
}
_STACK = "stack"
_PACKAGES = ("ray", "optuna", "torch", "mlflow", "sqlalchemy", "numpy")


class Search:
    """One search, as its file describes it. Whatever is asked of its study is read then, and changes nothing.

    What needs the study raises InputError where the search was not started, and OperationFailed where its database
    or its trials' storage cannot be used.
    """

    def __init__(self, spec: SearchSpec, store: "StudyStore | None" = None):
        self.spec = spec
        self._store = store
        self._read: StudyReader | StudyStore | None = None

    @classmethod
    def open(cls, name_or_file: str, storage: str | None = None) -> "Search":
        """The search called so in `storage`, or described by the file of that name. InputError if there is none.

        storage: None: where searches usually are, or where the file says.
        """
        if Path(name_or_file).suffix in (".yaml", ".yml") or os.sep in name_or_file:
            spec = spec_at(Path(name_or_file))
            return cls(spec if storage is None else overridden(spec, {"storage.path": storage}))
        return cls.kept_in(folder_of(name_or_file, storage))

    @classmethod
    def kept_in(cls, folder: Path) -> "Search":
        """The search that was started in `folder`. InputError where its file cannot be read."""
        return cls(spec_in(folder))

    # What it is

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def folder(self) -> Path:
        """Where the driver keeps its file, its log and, by default, its study."""
        return self.spec.folder

    @property
    def trial_storage(self) -> TrialStorage:
        """Where its trials keep their files."""
        return TrialStorage(self.spec.trials)

    @property
    def objective(self) -> str:
        """Name of what is minimised: `fid` or `fd_<network>`."""
        return objective_of(self.spec)

    def plan(self, max_concurrent: int = 1) -> Plan:
        """What the policy needs of it, with so many trials at a time."""
        return plan_of(self.spec, max_concurrent, self.header.get(_STACK, 1) if self.is_started else 1)

    def command(self, verb: str, *options: str) -> str:
        """The command line that does `verb` with it, for a message."""
        return command(self.spec, verb, *options)

    # What is kept of it

    @property
    def is_started(self) -> bool:
        """Whether it has a study."""
        if self._store is None and self._read is None and self.folder.exists():
            self._read = StudyReader.open(self.spec.study_url_resolved, self.name, self._sums)
            if self._read is not None:
                self._read.check_header()
        return self._store is not None or self._read is not None

    def check_started(self) -> None:
        """InputError if it has no study yet."""
        if not self.is_started:
            raise InputError(f"search {self.name!r} has not been started. Run: python -m search run FILE")

    @property
    def store(self) -> "StudyStore":
        """Its study, to be written to; opened once."""
        self.check_started()
        if self._store is None:
            self._store = self._existing()
        assert self._store is not None
        return self._store

    @property
    def kept(self) -> "StudyReader | StudyStore":
        """Its study, to be looked at; opened once."""
        self.check_started()
        found = self._store or self._read
        assert found is not None
        return found

    @property
    def header(self) -> Mapping[str, Any]:
        """Facts of the whole search that the study keeps: its resolved file, checksums, versions."""
        return self.kept.header

    def records(self) -> list[TrialRecord]:
        """All trials by number."""
        return self.kept.records()

    # How it stands

    def board(self) -> Leaderboard:
        """Who leads, and how sure that is."""
        return board_of(self.spec, self.records(), self.header)

    def result(self) -> Result:
        """What was found so far, and whether anything is left to do."""
        agenda = self._agenda()
        return Result.of(self.spec, agenda, self.header, len(self.kept.enqueued()))

    def status(self, now: float | None = None) -> Status:
        """How it stands, in plain values. now: seconds since 1970.

        Hours are those of slots held by trials: of trials that have ended, and since then of those that run.
        """
        agenda = self._agenda()
        with driver_of(self.folder) as driver:
            since = driver.since if driver is not None else None
        return status_of(self.spec, agenda, self.header, since, time.time() if now is None else now)

    def document(self, board: Leaderboard | None = None, *, unconfirmed: bool = False) -> dict[str, Any]:
        """The export of its winner, with what its trials' folders hold of it. Raises as `export_document` does.

        board: as it was read before.
        """
        from search.winner.document import export_document

        return export_document(
            self.board() if board is None else board,
            self.header,
            unconfirmed=unconfirmed,
            measured=lambda row: read_sampling(self.trial_storage, row),
            found=lambda row: read_found(self.trial_storage, row),
        )

    def export_key(self, row: Row) -> str:
        """Checksum of what is exported of `row` but for the evidence: its schedule, its training, its levels."""
        found = read_found(self.trial_storage, row) if row.record.schedule.adapts else None
        parts = [
            *(row.record.schedule.to_dict(), found.to_dict() if found is not None else None),
            *(read_sampling(self.trial_storage, row), self.header),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _agenda(self) -> Agenda:
        return Agenda.of(self.plan(), self.kept.read(), self.header)

    # What a driver does with it

    def held_here(self) -> AbstractContextManager[None]:
        """No other process of this machine drives it meanwhile; OperationFailed if one does."""
        return only_driver(self.folder, self.command("stop"))

    def held_everywhere(self, interrupted: threading.Event) -> AbstractContextManager[None]:
        """No driver on another machine drives it meanwhile; see `only_driver_of`."""
        from search.study.lock import only_driver_of

        return only_driver_of(self.store, self.spec.study_url_resolved, self.name, interrupted)

    def open_or_create(self, assets: "Assets | Script") -> None:
        """Have a study: a new one if there is none. InputError if it is that of another search or of other data.

        assets: with what it is measured: data and feature network, or a script.
        """
        from search.study.store import StudyStore

        self._store = self._existing()
        if self._store is None:
            header, url = _header(self.spec, assets), self.spec.study_url_resolved
            self._store = StudyStore.create(url, self.name, header, sums=self._sums)
            return
        self._check_identity()
        self.check_measured_with(assets)

    def check_settings(self, settings: Mapping[str, "Setting"]) -> None:
        """InputError for other data in one of its other settings than those that were measured there before."""
        known = self.header.get("settings", {})
        found = {
            name: {
                **{key: getattr(setting.assets, key) for key in ("data_sha256", "extractor_sha256")},
                **({"network_sha256": network} if (network := sha256_of(setting.network)) else {}),
            }
            for name, setting in settings.items()
            if name != OWN
        }
        for name, checksums in found.items():
            if known.get(name, checksums) != checksums:
                raise InputError(
                    f"search {self.name!r} was measured with {name} by other data, another feature network or network: "
                    "distances cannot be compared. Bring these back, or give this search another `name`"
                )
        if not found.keys() <= known.keys():
            self.store.set_header("settings", {**known, **found})

    def keep_stack(self, stack: int) -> None:
        """Keep how many trials a worker holds now: its hours are divided among them."""
        if self.header.get(_STACK, 1) != stack:
            self.store.set_header(_STACK, stack)

    def keep_judges(self, prepared: Mapping[str, "Assets | str"]) -> None:
        """Keep which feature networks measure samples, and which cannot be had; see `measuring.prepared_judges`."""
        known = self.header.get(JUDGES, {})
        facts = facts_of(prepared, known)
        if facts != known:
            self.store.set_header(JUDGES, facts)

    def check_measured_with(self, assets: "Assets | Script") -> None:
        """InputError for other data, another feature network, network or script than it was measured with."""
        for key, what in _MEASURED_WITH.items():
            before, now = self.header.get(key), _measured_with(self.spec, assets)[key]
            if before != now:
                raise InputError(
                    f"search {self.name!r} was measured with another {what} (checksum {str(before)[:12]}, now "
                    f"{str(now)[:12]}): distances cannot be compared. Bring that {what} back, or give "
                    "this search another `name`"
                )

    def write_file(self) -> None:
        """Keep its resolved file in its folder."""
        write_atomically(self.folder / SPEC_FILE, self.spec.to_yaml().encode())

    def amended(self, changes: Mapping[str, Any]) -> "Search":
        """The same search with other amounts, as its study and its folder have it from now on.

        That is what only `extend`, `confirm` and `compare` may do. A larger budget opens the search again. A
        confirmation that is asked for by itself may exceed it. OperationFailed while somebody drives it.
        """
        if self._agenda().is_exhausted and any(field.startswith("budget.") for field in changes):
            raise InputError(
                f"search {self.name!r} cannot be extended: its space seems to hold no schedule that was not trained. "
                "Give a wider `space` in a search file with another `name`"
            )
        spec = overridden(self.spec, changes)
        store, more = self.store, Search(spec, self.store)
        with more.held_here(), more.held_everywhere(threading.Event()):
            changed = changed_fields(self._identity(), more.spec.fingerprint_fields())
            sections = {field.partition(".")[0] for field in changed}
            if not sections <= set(AMOUNT):  # its file was edited
                raise self._is_another(changed)
            # By what is asked: of a command that was cut off here, which is given again, nothing may be left to change.
            is_larger = any(field.startswith("budget.") for field in changes)
            facts = {"search": more.spec.resolved(), "identity": more.spec.fingerprint_fields()}
            store.set_headers(
                {**facts, CONFIRM_ANYWAY: not is_larger, **({SEARCH_CLOSED: False} if is_larger else {})}
            )
            more.write_file()
        return more

    @property
    def _sums(self) -> Path:
        return self.folder / SUMS_FILE

    def _existing(self) -> "StudyStore | None":
        from search.study.store import StudyStore

        store = StudyStore.open(self.spec.study_url_resolved, self.name, self._sums)
        if store is not None:
            store.check_header()
        return store

    def _identity(self) -> Mapping[str, Any]:
        """What makes the search that the study was begun with; options that came later are at their defaults."""
        known: Mapping[str, Any] = self.header["identity"]
        document = Document("study", dict(self.header["search"]), {})
        try:
            filled_in = spec_of(document, self.folder).fingerprint_fields()
        except InputError:
            return known
        return {key: filled_in.get(key, value) for key, value in known.items()}

    def _check_identity(self) -> None:
        changed = changed_fields(self._identity(), self.spec.fingerprint_fields())
        if changed:
            raise self._is_another(changed)

    def _is_another(self, changed: Sequence[str]) -> InputError:
        """What is told where the study is that of a search with other `changed` fields."""
        sections = dict.fromkeys(field.partition(".")[0] for field in changed)
        remedy = "Give this one another `name` (`--name` of compare)"
        if sections.keys() <= AMOUNT.keys():
            commands = [f"`{self.command(AMOUNT[section])}`" for section in sections]
            remedy = f"Do more of it with {' or '.join(commands)}"
        return InputError(
            f"search {self.name!r} exists with another {', '.join(changed)}. {remedy}, or undo the change (its file "
            f"is {self.folder / SPEC_FILE})"
        )


def _measured_with(spec: SearchSpec, assets: "Assets | Script") -> dict[str, str | None]:
    own = {
        "network_sha256": sha256_of(spec.network),
        "plugins_sha256": sha256_of_plugins(spec.plugins),
        "start_sha256": sha256_of_start(spec),
    }
    return {key: getattr(assets, key, None) for key in _MEASURED_WITH} | own


def _header(spec: SearchSpec, assets: "Assets | Script") -> dict[str, Any]:
    import importlib.metadata

    return {
        "study_id": secrets.token_hex(8),
        "search": spec.resolved(),
        "identity": spec.fingerprint_fields(),
        "objective": assets.objective,
        **_measured_with(spec, assets),
        "extractor_accuracy": getattr(assets, "extractor_accuracy", None),
        "plugins": {plugin.name: plugin.sha256 for plugin in spec.plugins},
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "git_commit": git_commit(),
    }
