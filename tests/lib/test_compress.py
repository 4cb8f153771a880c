"""What goes out compressed and what does not."""

import gzip

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory

from mlportal.lib.compress import Compress

LONG = b"<p>a page</p>" * 1000


def answered(made, path="/p/churn/", accepts="gzip"):
    request = RequestFactory().get(path, headers={"Accept-Encoding": accepts})
    return Compress(lambda _request: made)(request)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json"])
def test_a_page_and_its_numbers_are_compressed(kind):
    answer = answered(HttpResponse(LONG, content_type=kind))
    assert answer["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.content) == LONG
    assert len(answer.content) < len(LONG) / 10


@pytest.mark.parametrize(
    ("made", "path", "accepts"),
    [
        (HttpResponse(LONG, content_type="application/octet-stream"), "/p/churn/", "gzip"),
        (StreamingHttpResponse([LONG], content_type="text/html"), "/p/churn/", "gzip"),
        (HttpResponse(LONG, content_type="application/json"), "/api/v1/projects/", "gzip"),
        (HttpResponse(LONG, content_type="text/html"), "/p/churn/", "identity"),
        (HttpResponse(b"<p>short</p>", content_type="text/html"), "/p/churn/", "gzip"),
    ],
)
def test_files_streams_and_the_api_stay_as_they_are(made, path, accepts):
    assert "Content-Encoding" not in answered(made, path, accepts)
