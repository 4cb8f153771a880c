"""Follow the endpoint rows: load what they point at, then move our pointer. Never the other way round."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from deployments.runtime import loading
from deployments.runtime.loading import Runtime
from deployments.serve import database, split, tables
from deployments.serve.configuration import Configuration
from deployments.serve.live import Live, Route, header
from deployments.serve.tables import EndpointRow
from mlportal.lib.errors import DomainError, Unavailable

log = logging.getLogger("mlportal.serve")
Result = TypeVar("Result")
News = tuple[dict[str, Any], dict[str, Any]]

RETRY_SECONDS = (2.0, 5.0, 15.0, 60.0)
MAX_QUESTIONS = 256


@dataclass(slots=True)
class _Failure:
    reason: str
    tries: int = 0
    again_at: float = 0.0


@dataclass(slots=True)
class Warm:
    """Loaded versions by id, least recently used first."""

    budget_bytes: int
    loaded: OrderedDict[int, Runtime] = field(default_factory=OrderedDict)

    def get(self, version_id: int) -> Runtime | None:
        """The version, marked as used."""
        if version_id in self.loaded:
            self.loaded.move_to_end(version_id)
        return self.loaded.get(version_id)

    def put(self, version_id: int, runtime: Runtime) -> None:
        """Keep a version."""
        self.loaded[version_id] = runtime
        self.loaded.move_to_end(version_id)

    def trim(self, live: set[int]) -> None:
        """Drop the versions unused longest until those that are not live fit the budget."""
        spare = [version_id for version_id in self.loaded if version_id not in live]
        total = sum(self.loaded[version_id].size_bytes for version_id in spare)
        for version_id in spare:
            if total <= self.budget_bytes:
                return
            total -= self.loaded.pop(version_id).size_bytes


class Follower:
    """Keeps ``routes`` equal to the endpoint table.

    One thread owns the database connection: it looks for changes, answers questions about tokens, and replaces
    ``routes`` as a whole. A second thread loads versions. Readers take ``routes`` without a lock.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.routes: dict[tuple[str, str], Route] = {}
        self.project_ids: dict[str, int] = {}
        self.slugs: dict[int, str] = {}
        self.read_at = 0.0
        self.settled = False
        self.load_failures = 0
        self.loads = 0
        self._configuration = configuration
        self._questions: queue.Queue[Callable[[database.Source], None]] = queue.Queue(MAX_QUESTIONS)
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._loading: set[int] = set()
        self._arrived: queue.SimpleQueue[tuple[int, Runtime | None, str]] = queue.SimpleQueue()
        self._failures: dict[int, _Failure] = {}
        self._warm = Warm(configuration.cache_bytes)
        self._bare: set[int] = set()  # loaded before their conversion was there
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._told: set[tuple[int | None, int]] = set()
        self._stop = threading.Event()
        self._again = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End both threads."""
        self._stop.set()
        self._thread.join(timeout=5)
        self._loader.shutdown(wait=False, cancel_futures=True)

    @property
    def current(self) -> bool:
        """Whether the table was read in the last 10 seconds."""
        return time.monotonic() - self.read_at < 10

    def news(self) -> Iterator[News]:
        """Which variants are ready or cannot be loaded, each once: header and record for the log."""
        while not self._news.empty():
            yield self._news.get_nowait()

    def ask(self, question: Callable[[database.Source], Result]) -> Future[Result]:
        """Run a query on the connection's thread.

        Raises
        ------
        Unavailable
            When too many questions wait.
        """
        answer: Future[Result] = Future()

        def run(source: database.Source) -> None:
            try:
                answer.set_result(question(source))
            except database.Lost:
                answer.set_exception(Unavailable("The database is away.", retry_after=2))
                raise

        try:
            self._questions.put_nowait(run)
        except queue.Full:
            raise Unavailable("Too many sign-ins wait for the database.", retry_after=1) from None
        return answer

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                source = database.connect(self._configuration.database)
            except database.Lost:
                self._refuse_questions()
                self._stop.wait(0.5)
                continue
            try:
                self._follow(source)
            except database.Lost as error:
                log.warning("database lost: %s", error)
                self._stop.wait(0.5)
            finally:
                source.close()

    def _follow(self, source: database.Source) -> None:
        self._again.set()  # what changed before this connection is told by nobody
        while not self._stop.is_set():
            self.poll(source)
            self._answer_questions(source)

    def poll(self, source: database.Source) -> None:
        """Look once: a revision whose versions are warm answers from here on, another one begins to load."""
        if source.changed() or self._again.is_set() or self._due():
            self._again.clear()
            self._refresh(source)
        self.read_at = time.monotonic()

    def _answer_questions(self, source: database.Source) -> None:
        """Answer for one poll interval."""
        end = time.monotonic() + database.SQLITE_POLL_SECONDS
        while (left := end - time.monotonic()) > 0:
            try:
                self._questions.get(timeout=left)(source)
            except queue.Empty:
                return

    def _refuse_questions(self) -> None:
        class Away:
            def query(self, _sql: str, _values: Any = ()) -> list[tuple[Any, ...]]:
                raise database.Lost("away")

        while not self._questions.empty():
            try:
                self._questions.get_nowait()(Away())  # type: ignore[arg-type]
            except database.Lost:
                continue

    def _due(self) -> bool:
        now = time.monotonic()
        waiting = (failure for key, failure in self._failures.items() if key not in self._loading)
        return any(failure.again_at <= now for failure in waiting)

    def _refresh(self, source: database.Source) -> None:
        self._collect()
        rows = tables.endpoints(source)
        wanted = set[int]().union(*(row.versions for row in rows))
        for version_id in tables.converted(source, self._bare & wanted):
            self._load(version_id, source)
        routes = {(row.project, row.name): self._route(row, source) for row in rows}
        self.routes = routes
        self.project_ids = {row.project: row.project_id for row in rows}
        self.slugs = {row.project_id: row.project for row in rows}
        answering = set[int]().union(*(route.version_ids for route in routes.values()))
        self._warm.trim(wanted | answering)
        self._failures = {key: failure for key, failure in self._failures.items() if key in wanted}
        self.settled = self.settled or not self._loading

    def _route(self, row: EndpointRow, source: database.Source) -> Route:
        before = self.routes.get((row.project, row.name))
        before = before if before and before.row.id == row.id else None
        live = before.live if before else None
        if row.version_id is None or row.revision_id is None:
            return Route(row, None, "")
        if row.ways:
            return self._divided(row, before, source)
        if live and live.is_of(row) and self._is_newest(live):
            return Route(row, live, "")
        runtime = self._warm.get(row.version_id)
        if runtime is not None:
            return Route(row, Live(row, runtime, self._configuration), "")
        self._load(row.version_id, source)
        failure = self._failures.get(row.version_id)
        return Route(row, live, failure.reason if failure else "loading", before.split if before else None)

    def _divided(self, row: EndpointRow, before: Route | None, source: database.Source) -> Route:
        """A route with several versions: nothing moves before all of them are warm."""
        if before and before.live and before.split and before.live.is_of(row):
            held = (*before.split.lives, *before.split.shadows)
            if all(self._is_newest(live) for live in held):
                return Route(row, before.live, "", before.split)
        runtimes = {key: runtime for key in row.versions if (runtime := self._warm.get(key)) is not None}
        missing = row.versions - runtimes.keys()
        for version_id in missing:
            self._load(version_id, source)
        if not missing:
            made = split.build(row, runtimes, self._configuration)
            self._tell_ready(row, runtimes)
            return Route(row, made.first, "", made)
        self._tell_failures(row)
        reasons = [self._failures[key].reason for key in missing if key in self._failures]
        trouble = reasons[0] if reasons else "loading"
        if before is not None and before.live is not None:
            return Route(row, before.live, trouble, before.split)
        # Right after a start there is nothing older: what was live before answers alone.
        first = runtimes.get(row.version_id or 0)
        return Route(row, Live(row, first, self._configuration, row.ways[-1]) if first else None, trouble)

    def _is_newest(self, live: Live) -> bool:
        """Whether its version was not loaded again since, with a graph that came later."""
        return self._warm.loaded.get(live.version_id, live.runtime) is live.runtime

    def _tell_ready(self, row: EndpointRow, runtimes: dict[int, Runtime]) -> None:
        for way in row.ways:
            if (row.revision_id, way.version_id) not in self._told:
                self._told.add((row.revision_id, way.version_id))
                self._news.put((header(row, runtimes[way.version_id], way), {"kind": "standing", "ready": True}))

    def _tell_failures(self, row: EndpointRow) -> None:
        for way in row.ways:
            failure = self._failures.get(way.version_id)
            if failure and way.version_id not in self._loading and (row.revision_id, -way.version_id) not in self._told:
                self._told.add((row.revision_id, -way.version_id))
                record = {"kind": "standing", "ready": False, "reason": failure.reason}
                self._news.put((header(row, None, way), record))

    def _load(self, version_id: int, source: database.Source) -> None:
        failure = self._failures.get(version_id)
        if version_id in self._loading or (failure and time.monotonic() < failure.again_at):
            return
        found = tables.version(source, version_id)
        if found is None:
            return
        self._loading.add(version_id)
        (self._bare.discard if found.graph_sha256 else self._bare.add)(version_id)
        self._loader.submit(self._bring, version_id, found)

    def _bring(self, version_id: int, found: tables.VersionRow) -> None:
        """In the loading thread: fetch, verify, load, try. The pointer has not moved yet."""
        try:
            if found.state == "damaged":
                raise loading.VersionRefused("The registry marks this version as damaged.", code="artifact_changed")
            files = {entry["path"]: self._configuration.locate(entry["sha256"]) for entry in found.manifest}
            loading.verify(files, found.manifest)
            graph = self._configuration.locate(found.graph_sha256) if found.graph_sha256 else None
            if graph is not None and loading.digest(graph) != found.graph_sha256:
                raise loading.VersionRefused(
                    "The ONNX graph is not the one that was compared.", code="artifact_changed"
                )
            runtime = loading.load(files, found.signature, self._configuration.load_model, graph=graph)
            self._arrived.put((version_id, runtime, ""))
        except Exception as error:  # noqa: BLE001 - a version that cannot be loaded must never stop the others
            reason = error.message if isinstance(error, DomainError) else type(error).__name__
            self._arrived.put((version_id, None, reason))
        finally:
            self._again.set()

    def _collect(self) -> None:
        """Take over what the loading thread has finished."""
        while not self._arrived.empty():
            version_id, runtime, reason = self._arrived.get_nowait()
            self._loading.discard(version_id)
            if runtime is None and version_id in self._warm.loaded:
                self.load_failures += 1
                log.error("the graph of version %s is refused, it answers without: %s", version_id, reason)
                continue
            if runtime is None:
                self._note_failure(version_id, reason)
                continue
            self._warm.put(version_id, runtime)
            self._failures.pop(version_id, None)
            self.loads += 1
            log.info("version %s loaded: %s, %s", version_id, runtime.backend.name, runtime.reason)

    def _note_failure(self, version_id: int, reason: str) -> None:
        self.load_failures += 1
        failure = self._failures.setdefault(version_id, _Failure(reason))
        wait = RETRY_SECONDS[min(failure.tries, len(RETRY_SECONDS) - 1)]
        failure.reason, failure.tries, failure.again_at = reason, failure.tries + 1, time.monotonic() + wait
        log.error("version %s refused, the one before keeps answering: %s", version_id, reason)
