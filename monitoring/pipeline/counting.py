"""Count shipped rows into the buckets of their monitor: features, answers, quality, segments."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from monitoring import drift
from monitoring.drift import shape
from monitoring.drift.shape import Counts
from monitoring.models import Monitor
from monitoring.services import monitors

KEY_BYTES = 6
Columns = Mapping[str, list[Any]]
BySecond = dict[datetime, list[int]]


def moment(at_ms: int) -> datetime:
    """Return the moment of a line."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC)


def by_bucket(monitor: Monitor, moments_ms: list[int], length: int | None = None) -> BySecond:
    """Places of the moments by the bucket they fall into; a bucket is never shorter than a second."""
    seconds: dict[int, list[int]] = {}
    for place, at_ms in enumerate(moments_ms):
        seconds.setdefault(at_ms // 1000, []).append(place)
    found: BySecond = {}
    for second, places in seconds.items():
        found.setdefault(monitor.bucket_of(moment(second * 1000), length), []).extend(places)
    return found


def add_rows(monitor: Monitor, at_ms: list[int], columns: Columns, segments: Mapping[str, list[str]]) -> None:
    """Add rows to the buckets of their time, in the transaction that marks them counted.

    Parameters
    ----------
    columns : mapping of column name to values
        Features, ``__prediction__`` and ``__score__``.
    segments : mapping of column name to the segment of each row
        Of the columns that are counted apart.
    """
    features = [name for name in columns if name not in shape.OUTPUTS]
    expected = _expected_errors(monitor, columns)
    for start, places in by_bucket(monitor, at_ms).items():
        counts = filled(monitor, columns, places)
        if features:
            counts[shape.ROWS] = _repeats([columns[name] for name in features], places)
        if expected is not None:
            counts[shape.ERROR] = _errors(expected, places)
        monitors.add_counts(monitor, start, counts)
        add_segments(monitor, start, columns, segments, places)


def add_segments(
    monitor: Monitor, start: datetime, columns: Columns, segments: Mapping[str, list[str]], places: list[int]
) -> None:
    """Add the rows at these places to the buckets of their segments."""
    for column, values in segments.items():
        groups: dict[str, list[int]] = {}
        for place in places:
            groups.setdefault(values[place], []).append(place)
        for value, members in sorted(groups.items()):
            counts = filled(monitor, columns, members)
            monitors.add_counts(monitor, start, counts, segment=f"{column}={value}")


def segments_of(monitor: Monitor, columns: Columns) -> dict[str, list[str]]:
    """Segment of each row in each column that is counted apart; a column without a reference is left out."""
    watched = [name for name in monitor.watched_columns if name in columns and name in monitor.reference]
    if not watched:
        return {}
    from monitoring.drift import segments

    return {name: segments.values(monitor.reference[name], columns[name]) for name in watched}


def filled(monitor: Monitor, columns: Columns, places: Iterable[int]) -> dict[str, Counts]:
    """Counts of the rows at these places in each column that has a grid."""
    taken = list(places)
    return {
        name: drift.fill(grid, [columns[name][place] for place in taken])
        for name, grid in monitor.reference.items()
        if name in columns
    }


def add_traffic(
    monitor: Monitor, requests: list[tuple[int, int]], refusals: list[tuple[int, str]], gaps: list[dict[str, Any]]
) -> None:
    """Add answered requests with their latency, refused ones with their reason, and rows the log lost.

    What was lost counts when it was told, since a window of the time it was lost in may have been judged long ago.
    """
    length = monitor.traffic_seconds
    answered = by_bucket(monitor, [at for at, _us in requests], length)
    refused = by_bucket(monitor, [at for at, _code in refusals], length)
    lost = by_bucket(monitor, [gap["at"] for gap in gaps], length)
    for start in sorted({*answered, *refused, *lost}):
        latencies = [requests[place][1] for place in answered.get(start, [])]
        codes = [refusals[place][1] for place in refused.get(start, [])]
        counts: dict[str, Counts] = {}
        if latencies or codes:
            counts[shape.TRAFFIC] = shape.traffic(latencies, errors=len(codes))
            counts[shape.SCHEMA] = _schema(len(latencies), codes)
        if start in lost:
            counts[shape.DROPPED] = {"counts": [sum(gaps[place]["rows"] for place in lost[start])], "nulls": 0}
        monitors.add_counts(monitor, start, counts, length=length)


def _schema(answered: int, codes: list[str]) -> Counts:
    counts = [0, 0, 0]
    for code in codes:
        if code in shape.SCHEMA_CODES:
            counts[shape.SCHEMA_CODES[code]] += 1
    return {"counts": counts, "nulls": answered + len(codes) - sum(counts)}


def _repeats(columns: list[list[Any]], places: list[int]) -> Counts:
    keys: dict[str, int] = {}
    for place in places:
        row = orjson.dumps([values[place] for values in columns], option=orjson.OPT_SERIALIZE_NUMPY, default=str)
        key = hashlib.blake2b(row, digest_size=KEY_BYTES).hexdigest()
        keys[key] = keys.get(key, 0) + 1
    return {"counts": [len(places)], "nulls": 0, "keys": shape.smallest_keys(keys)}


def _expected_errors(monitor: Monitor, columns: Columns) -> Any:
    learned = monitor.reference.get(shape.SCORE, {}).get("estimate") or {}
    if learned.get("kind") != "number":
        return None
    from monitoring.drift import estimate

    return estimate.errors(learned, columns, monitor.reference)


def _errors(expected: Any, places: list[int]) -> Counts:
    return {"counts": [len(places)], "sums": [float(expected[places].sum())], "nulls": 0}
