"""Histories of metrics: whole, by pages, or a sample of each run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import orjson
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from experiments import metricstore
from experiments.metricstore.codec import Points
from experiments.metricstore.history import History, Place, history
from experiments.metricstore.points import pieces
from experiments.mlflow import wire
from experiments.mlflow.door import Call, endpoint
from experiments.mlflow.fields import Fields, required, wrong
from experiments.mlflow.lookup import run_id_of
from experiments.mlflow.search import tokens
from experiments.models import Run
from mlportal.lib.errors import Invalid
from projects.permissions import Permission

STREAM_FROM = 10_000
SAMPLE_DEFAULT = SAMPLE_LIMIT = 2500
RUNS_LIMIT = 100
INT32_MAX = 2**31 - 1


@endpoint(Run, Permission.RUN_VIEW)
def get_history(call: Call) -> HttpResponseBase:
    """Read all points of one metric of one run, or a page of them."""
    name = call.fields.needed("metric_key")
    size = _positive(call.fields, "max_results", None, INT32_MAX)
    uuid = run_id_of(call)
    after = _place(call.fields.text("page_token"), uuid, name)
    run_id = Run.objects.filter(project=call.project, uuid=uuid).values_list("pk", flat=True).first()
    found = history(run_id or 0, name, after=after)  # an unknown run has an empty history, as in MLflow
    if size is not None:
        return _page(found, name, size, uuid)
    body = chain([b'{"metrics":['], _commas(found, name), [b"]}"])
    if found.points > STREAM_FROM:
        return StreamingHttpResponse(body, content_type="application/json")
    return HttpResponse(b"".join(body) if found.points else b"{}", content_type="application/json")


@endpoint(Run, Permission.RUN_VIEW)
def sample_histories(call: Call) -> dict[str, Any]:
    """Read an even sample of one metric of several runs: at most so many points of each, first and last kept."""
    fields = call.fields
    names = fields.texts("run_ids", limit=RUNS_LIMIT)
    if not names:
        raise required("run_ids")
    name = fields.needed("metric_key")
    size = _positive(fields, "max_results", SAMPLE_DEFAULT, SAMPLE_LIMIT) or SAMPLE_DEFAULT
    span = _span(fields)
    runs = dict(Run.objects.filter(project=call.project, uuid__in=names).values_list("uuid", "pk"))
    known = [uuid for uuid in dict.fromkeys(names) if uuid in runs]
    series = metricstore.sampled([runs[uuid] for uuid in known], name, size, span)
    found = [point for uuid in known for point in _bodies(series.get(runs[uuid]), name, uuid)]
    return wire.filled({"metrics": found})


def _span(fields: Fields) -> tuple[int, int] | None:
    start, end = fields.whole("start_step"), fields.whole("end_step")
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise Invalid("If either start step or end step are specified, both must be specified.", field="start_step")
    if start > end:
        raise Invalid(
            f"end_step must be greater than start_step. Found start_step={start} and end_step={end}.", field="end_step"
        )
    return start, end


def _positive(fields: Fields, name: str, default: int | None, limit: int) -> int | None:
    size = fields.whole(name, default)
    if size is not None and not 1 <= size <= limit:
        raise wrong(name, size, f"it must be from 1 to {limit}")
    return size


def _page(found: History, name: str, size: int, uuid: str) -> HttpResponse:
    parts: list[Points] = []
    room = size
    more = False
    for piece in found.pieces():
        more = len(piece) > room or (room == 0 and len(piece) > 0)
        if room:
            parts.append(_first(piece, room))
            room -= len(parts[-1])
        if more:
            break
    if not parts:
        return HttpResponse(b"{}", content_type="application/json")
    token = b""
    if more:
        token = b',"next_page_token":' + orjson.dumps(tokens.write(_last(parts[-1]), uuid, name))
    points = b",".join(encoded(part, name) for part in parts)
    return HttpResponse(b'{"metrics":[' + points + b"]" + token + b"}", content_type="application/json")


def _first(part: Points, count: int) -> Points:
    return Points(part.keys, part.steps[:count], part.stamps[:count], part.values[:count])


def _last(part: Points) -> list[tokens.Scalar]:
    value = float(part.values[-1])
    return [int(part.stamps[-1]), int(part.steps[-1]), None if math.isnan(value) else value]


def _place(text: str, uuid: str, name: str) -> Place | None:
    place = tokens.read(text, uuid, name)
    if place is None:
        return None
    if len(place) != 3 or [type(part) for part in place[:2]] != [int, int] or type(place[2]) not in (float, type(None)):
        raise tokens.foreign()
    stamp, step, value = place
    return stamp, step, math.nan if value is None else value  # type: ignore[return-value]


def _commas(found: History, name: str) -> Iterator[bytes]:
    # Cut small: text is thirty times as long as the points it says.
    parts = chain.from_iterable(pieces(whole) for whole in found.pieces())
    for at, part in enumerate(parts):
        if at:
            yield b","
        yield encoded(part, name)


def encoded(part: Points, name: str) -> bytes:
    """Write points as JSON objects joined by commas, column by column: no Python object for each number."""
    head = b'{"key":' + orjson.dumps(name) + b',"value":'
    out: list[bytes] = [b""] * (6 * len(part))
    out[0::6] = [head] * len(part)
    out[1::6] = _numbers(part.values)
    out[2::6] = [b',"timestamp":'] * len(part)
    out[3::6] = _column(part.stamps)
    out[4::6] = [b',"step":'] * len(part)
    out[5::6] = [step + b"}," for step in _column(part.steps)]
    return b"".join(out)[:-1]


def _column(column: np.ndarray) -> list[bytes]:
    return orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


def _numbers(values: np.ndarray) -> list[bytes]:
    texts = _column(values)
    for at in np.flatnonzero(~np.isfinite(values)):
        texts[at] = orjson.dumps(wire.number(float(values[at])))
    return texts


def _bodies(part: Points | None, name: str, uuid: str) -> Iterator[dict[str, Any]]:
    if part is None:
        return
    for step, stamp, value in zip(part.steps.tolist(), part.stamps.tolist(), part.values.tolist(), strict=True):
        yield {"key": name, "value": wire.number(value), "timestamp": stamp, "step": step, "run_id": uuid}
