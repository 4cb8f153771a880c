"""How long an answer takes: two models asked in turns in one process, so that what else runs slows both alike."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

CALLS = 100
BATCH_CALLS = 10
BATCH_ROWS = 1_000
WARM_UP = 2
SECONDS = 8.0  # a budget for each of the two measurements; a slow model gets fewer calls
FEWEST_CALLS = 10
Json = dict[str, Any]
Model = tuple[Any, pd.DataFrame]


def compare(candidate: Model, production: Model | None, clock: Callable[[], float]) -> Json:
    """Time calls of one row and of a batch.

    Parameters
    ----------
    candidate, production
        A fitted model and the rows in the columns it takes; production may be None.
    clock
        Monotonic clock in seconds.

    Returns
    -------
    dict
        ``candidate`` and ``baseline``: ``p50_ms``, ``p95_ms``, ``p99_ms`` of one row, ``calls``, and ``batch`` with the
        same of ``rows`` rows; ``baseline`` is None without production.
    """
    models = [candidate, *([production] if production else [])]
    single = _in_turns(models, 1, CALLS, clock)
    rows = min(BATCH_ROWS, len(candidate[1]))
    batch = _in_turns(models, rows, BATCH_CALLS, clock)
    found = [
        {**_quantiles(one), "batch": {"rows": rows, **_quantiles(many)}}
        for one, many in zip(single, batch, strict=True)
    ]
    return {"candidate": found[0], "baseline": found[1] if production else None}


def _in_turns(models: list[Model], rows: int, calls: int, clock: Callable[[], float]) -> list[list[float]]:
    taken: list[list[float]] = [[] for _ in models]
    start = clock()
    for turn in range(calls + WARM_UP):
        if turn >= FEWEST_CALLS and clock() - start > SECONDS:
            break
        for place, (model, frame) in enumerate(models):
            sent = frame.iloc[[turn % len(frame)]] if rows == 1 else frame.iloc[:rows]
            before = clock()
            model.predict(sent)
            taken[place].append((clock() - before) * 1000)
    return [found[WARM_UP:] for found in taken]


def _quantiles(taken: list[float]) -> Json:
    p50, p95, p99 = (float(found) for found in np.quantile(taken, [0.5, 0.95, 0.99]))
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "calls": len(taken)}
