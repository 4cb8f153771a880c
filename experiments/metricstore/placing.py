"""The value of a metric at a step, from the one segment of each run that holds it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from django.db import connection

from mlportal.lib.sql import Among

from . import codec
from .codec import Points

AT_ONCE = 500
_REACHED = Among(
    "SELECT run_id, step, value, is_nan FROM experiments_runmetric WHERE key_id = %s AND step >= %s AND run_id IN (%s)"
)


def values(run_ids: Sequence[int], key_id: int, step: int) -> dict[int, float]:
    """Return the value of a metric at a step of those of these folded runs that came so far."""
    found: dict[int, float] = {}
    beyond = []
    for run_id, last, value, is_nan in _REACHED.of(run_ids, key_id, step):
        if last == step:  # its latest point is the one, and need not be unpacked
            found[run_id] = math.nan if is_nan else value
        else:
            beyond.append(run_id)
    for start in range(0, len(beyond), AT_ONCE):
        part = values_at(beyond[start : start + AT_ONCE], [key_id], step)
        found |= {run_id: value for (run_id, _), value in part.items()}
    return found


def values_at(run_ids: Sequence[int], key_ids: Sequence[int], step: int) -> dict[tuple[int, int], float]:
    """Return the last value at a step or before of each metric of folded runs, also where a run did not come so far."""
    parts: dict[tuple[int, int], list[bytes]] = defaultdict(list)
    of_runs, of_keys = (", ".join(["%s"] * len(numbers)) for numbers in (run_ids, key_ids))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT c.run_id, c.key_id, c.data FROM (
                  SELECT id, last_step, max(CASE WHEN last_step <= %s THEN last_step END)
                    OVER (PARTITION BY run_id, key_id) AS near
                  FROM experiments_metricchunk
                  WHERE run_id IN ({of_runs}) AND key_id IN ({of_keys}) AND first_step <= %s
                ) s JOIN experiments_metricchunk c ON c.id = s.id WHERE s.last_step > %s OR s.last_step = s.near""",
            [step, *run_ids, *key_ids, step, step],
        )
        for run_id, key_id, data in cursor.fetchall():
            parts[run_id, key_id].append(bytes(data))
    return {pair: _value_at(of, step) for pair, of in parts.items()}


def _value_at(parts: Sequence[bytes], step: int) -> float:
    """The value at a step, of the segments that may hold it; mostly that is one, of which little is unpacked."""
    if len(parts) == 1 and (value := codec.value_at(parts[0], step)) is not None:
        return value
    _, _, is_nan, value = max(_point_at(codec.unpack_segment(part), step) for part in parts)
    return math.nan if is_nan else value


def _point_at(part: Points, step: int) -> tuple[int, int, bool, float]:
    """The latest point of a sorted part at a step or before, as what compares."""
    at = int(np.searchsorted(part.steps, step, "right")) - 1
    value = float(part.values[at])
    nan = math.isnan(value)
    return int(part.steps[at]), int(part.stamps[at]), nan, 0.0 if nan else value
