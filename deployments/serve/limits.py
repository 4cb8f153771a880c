"""How many requests a minute an endpoint takes, from all and from each caller."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from deployments.serve.tables import EndpointRow
from mlportal.lib.errors import TooMany

MINUTE = 60.0
REMEMBERED = 20_000


class Limits:
    """Counts by the generic cell rate algorithm: a minute's requests may come at once, then one an interval.

    Source: ITU-T I.371, annex A. Each serving process counts for itself.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: OrderedDict[tuple[int, int], float] = OrderedDict()

    def check(self, row: EndpointRow, token_id: int) -> None:
        """Take one request.

        Raises
        ------
        TooMany
            Over the endpoint's limit or the caller's, with the seconds to wait.
        """
        if row.caller_requests_per_minute and token_id:
            self._take((row.id, token_id), row.caller_requests_per_minute, "of one token")
        if row.requests_per_minute:
            self._take((row.id, 0), row.requests_per_minute, "of all callers")

    def _take(self, key: tuple[int, int], limit: int, whose: str) -> None:
        now = self._clock()
        interval = MINUTE / limit
        due = max(self._due.get(key, now), now)
        wait = due - now - (MINUTE - interval)
        if wait > 1e-9:
            raise TooMany(
                f"This endpoint takes {limit} requests a minute {whose}.",
                code="rate_limited",
                limit=limit,
                retry_after=math.ceil(wait),
            )
        self._due[key] = due + interval
        self._due.move_to_end(key)
        if len(self._due) > REMEMBERED:
            self._due.popitem(last=False)
