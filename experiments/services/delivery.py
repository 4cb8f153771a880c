"""Bodies that carry a file's bytes, in and out; nothing a run stored can act as a page of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from experiments.models import Artifact
from experiments.services.labels import INLINE_IMAGES
from mlportal.lib import blobs

CHUNK_BYTES = 1 << 20
SANDBOX = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:"
_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?")


def body(request: HttpRequest) -> blobs.Readable:
    """Return the body to be read in pieces; one sent in chunks has no length and Django would take it for empty."""
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        raw: blobs.Readable = request.META["wsgi.input"]
        return raw
    return request


def announced(request: HttpRequest) -> int | None:
    """Return the length a body was announced with, by which a broken upload is told from a whole one."""
    length = request.META.get("CONTENT_LENGTH") or ""
    return int(length) if length.isdecimal() else None


def download(artifact: Artifact, asked_range: str = "") -> HttpResponseBase:
    """Send a file to be saved, whole or one range of it."""
    span = _span(asked_range, artifact.size_bytes)
    if span is None:
        response: HttpResponseBase = HttpResponse(status=416)
        response["Content-Range"] = f"bytes */{artifact.size_bytes}"
        return response
    start, stop = span
    response = StreamingHttpResponse(_parts(artifact, start, stop), content_type=artifact.media_type)
    response["Content-Length"] = stop - start
    if (start, stop) == (0, artifact.size_bytes):
        # The server may send the file itself, from where it lies.
        response.whole_file = blobs.at_hand(artifact.sha256)  # type: ignore[attr-defined]
    if asked_range and (start, stop) != (0, artifact.size_bytes):
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{stop - 1}/{artifact.size_bytes}"
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = f'"{artifact.sha256}"'
    response["Content-Disposition"] = _named("attachment", artifact)
    return _guarded(response)


def image(artifact: Artifact) -> HttpResponseBase:
    """Show a bitmap in a page; anything else is sent to be saved."""
    response = download(artifact)
    if artifact.media_type in INLINE_IMAGES:
        response["Content-Disposition"] = _named("inline", artifact)
    return response


def sandboxed(artifact: Artifact) -> HttpResponseBase:
    """Show HTML or SVG in a frame without scripts, without our origin and without the network."""
    response = download(artifact)
    response["Content-Disposition"] = _named("inline", artifact)
    response["Content-Security-Policy"] = f"{SANDBOX}; frame-ancestors 'self'"
    response["X-Frame-Options"] = "SAMEORIGIN"
    return response


def pdf(artifact: Artifact) -> HttpResponseBase:
    """Show a PDF in a frame by the browser's own viewer, which runs apart from our pages and loads nothing."""
    response = download(artifact)
    response["Content-Disposition"] = _named("inline", artifact)
    # Not `sandbox`: browsers refuse to open their viewer inside one. `object-src` is how that viewer is embedded.
    response["Content-Security-Policy"] = (
        "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'"
    )
    response["X-Frame-Options"] = "SAMEORIGIN"
    return response


def folder(parts: Iterator[bytes], name: str) -> HttpResponseBase:
    """Send a folder as a zip that is made on its way."""
    response = StreamingHttpResponse(parts, content_type="application/zip")
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}.zip"
    return _guarded(response)


def _guarded(response: HttpResponseBase) -> HttpResponseBase:
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = f"{SANDBOX}; frame-ancestors 'none'"
    return response


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """Return [start, stop) of a Range header; the whole for none or one we do not read; None if it lies outside."""
    found = _RANGE.fullmatch(asked.strip())
    if not found or found.group(1) is found.group(2) is None:
        return 0, size
    first, last = found.groups()
    if first is None:
        return (max(0, size - int(last)), size) if int(last) else None
    if last is not None and int(last) < int(first):
        return 0, size  # RFC 9110, 14.1.1: no range at all
    start, stop = int(first), size if last is None else min(size, int(last) + 1)
    return (start, stop) if start < stop else None


def _parts(artifact: Artifact, start: int, stop: int) -> Iterator[bytes]:
    with blobs.open_blob(artifact.sha256) as stream:
        stream.seek(start)
        yield from _limited(stream, stop - start)


def _limited(stream: IO[bytes], left: int) -> Iterator[bytes]:
    while left and (part := stream.read(min(CHUNK_BYTES, left))):
        left -= len(part)
        yield part


def _named(disposition: str, artifact: Artifact) -> str:
    name = artifact.path.rpartition("/")[2]
    return f"{disposition}; filename*=UTF-8''{quote(name, safe='')}"
