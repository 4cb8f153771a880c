"""What answers on an endpoint now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deployments.runtime.backends import Answer
from deployments.runtime.batching import Batcher
from deployments.runtime.loading import Runtime
from deployments.runtime.signature import Columns
from deployments.serve.configuration import Configuration
from deployments.serve.tables import EndpointRow, Way
from mlportal.lib.errors import TooMany, Unavailable

if TYPE_CHECKING:
    from deployments.serve.protocols.repeated import Frame
    from deployments.serve.split import Split

# More rows than this would hold up the event loop; they go to a thread.
INLINE_ROWS = 256
# The name of the only variant an endpoint has.
CHAMPION = "champion"
_threads = ThreadPoolExecutor(2, thread_name_prefix="predict")


class SlowAnswer(Unavailable):
    """504: the model took longer than a caller has to wait."""

    status = 504
    kind = "timeout"
    title = "The model took too long"


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint of the table and what answers for it.

    Parameters
    ----------
    row : EndpointRow
        As the table says.
    live : Live or None
        What answers; may be an older revision while the wanted one loads, or cannot be loaded.
    trouble : str
        Empty when ``live`` is the wanted revision; else ``"loading"`` or why it cannot be loaded.
    split : Split or None
        Who answers which requests when several versions do; ``live`` is then the one that was live before.
    """

    row: EndpointRow
    live: Live | None
    trouble: str
    split: Split | None = None

    @property
    def version_ids(self) -> set[int]:
        """Versions that answer or listen now."""
        if self.split is not None:
            return {live.version_id for live in (*self.split.lives, *self.split.shadows)}
        return {self.live.version_id} if self.live else set()


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a request fell.

    Parameters
    ----------
    live : Live
        What answers it.
    unit : int or None
        Hash of its unit, or a number of chance; None when the caller named the version.
    sticky : bool
        Whether the caller named a unit.
    """

    live: Live
    unit: int | None = None
    sticky: bool = False


class Live:
    """One version that answers, with its queue.

    Parameters
    ----------
    way : Way, optional
        Its route, when the revision has several.
    """

    def __init__(
        self, row: EndpointRow, runtime: Runtime, configuration: Configuration, way: Way | None = None
    ) -> None:
        assert row.revision_id is not None
        assert row.version_id is not None
        self.row = replace(row, version_id=way.version_id, version=way.version) if way else row
        self.revision_id = row.revision_id
        self.version_id = way.version_id if way else row.version_id
        self.settings = row.log_settings
        self.runtime = runtime
        self.waiting = 0
        self.variant = way.variant if way else CHAMPION
        self.max_rows = configuration.max_rows
        self.headers = [
            (b"x-mlportal-version", str(self.row.version).encode()),
            (b"x-mlportal-variant", self.variant.encode()),
        ]
        self._configuration = configuration
        self._batcher = Batcher(runtime.backend.predict) if runtime.backend.batched else None
        self.class_names = [_class_name(value) for value in runtime.signature.classes]
        self.header = header(row, runtime, way)
        self.source: int | str = self.header["source"]
        self.frames: list[Frame] = []  # of bodies that came, see there
        self.alone = Turn(self)  # of every request while nothing is split

    def is_of(self, row: EndpointRow) -> bool:
        """Whether it is what the table wants, log settings included."""
        return self.revision_id == row.revision_id and self.settings == row.log_settings

    async def predict(self, read: Callable[[], Columns], rows: int) -> tuple[Columns, Answer]:
        """Check rows and predict them; few rows of a fast model here, many in a thread, slow ones together.

        Parameters
        ----------
        read : callable
            Checks the values of the request and gives its columns.
        rows : int
            How many rows there are, as far as known before the check.

        Raises
        ------
        TooMany
            When the queue is full.
        SlowAnswer
            When the time is over.
        """
        if self.waiting >= self._configuration.max_waiting:
            raise TooMany(
                f"{self.waiting} requests wait for this endpoint.", limit=self._configuration.max_waiting, retry_after=1
            )
        few = rows <= INLINE_ROWS
        if few and self._batcher is None and self.runtime.inline:
            return self._compute(read)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._configuration.timeout_seconds):
                if few and self._batcher is not None:
                    columns = read()
                    return columns, await self._batcher.predict(columns)
                return await asyncio.get_running_loop().run_in_executor(_threads, self._compute, read)
        except TimeoutError:
            seconds = self._configuration.timeout_seconds
            raise SlowAnswer(f"The model gave no answer within {seconds:g} s.", limit=seconds, retry_after=5) from None
        finally:
            self.waiting -= 1

    def _compute(self, read: Callable[[], Columns]) -> tuple[Columns, Answer]:
        columns = read()
        return columns, self.runtime.backend.predict(columns)


def header(row: EndpointRow, runtime: Runtime | None, way: Way | None = None) -> dict[str, Any]:
    """What the log says of one variant; without a runtime it could not be loaded."""
    signature = runtime.signature if runtime else None
    version = way.version if way else row.version
    columns = signature.columns if signature else ()
    told = {
        "kind": "header",
        "source": f"{row.revision_id}/{way.variant}" if way else row.revision_id,
        "project": row.project_id,
        "endpoint": row.name,
        "model": row.model,
        "version": version,
        "label": f"v{version}",
        "revision": row.revision,
        "backend": runtime.backend.name if runtime else "",
        "log_mode": row.log_mode,
        "masked": list(row.masked_columns),
        "variant": way.variant if way else CHAMPION,
        "mode": way.mode if way else "live",
        "columns": [column.name for column in columns],
        "kinds": [column.kind for column in columns],
        "classes": list(signature.classes) if signature else [],
    }
    return told | {"revision_id": row.revision_id, "edges": list(row.score_edges)} if way else told


def _class_name(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
