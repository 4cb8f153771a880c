"""Log lines: one JSON object each, with the request's id, without secrets."""

import io
import json
import logging

import pytest
import structlog

from mlportal import logs


@pytest.fixture
def lines():
    """A function that returns what was logged so far, parsed."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter("json"))
    root = logging.getLogger()
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


def test_line_is_json_with_level_and_time(lines):
    structlog.get_logger("portal.test").warning("disk nearly full", free_bytes=12)
    line = lines()[-1]
    assert line.pop("at").endswith("Z")
    assert line == {"event": "disk nearly full", "free_bytes": 12, "level": "warning", "logger": "portal.test"}


def test_records_of_other_libraries_have_the_same_shape(lines):
    logging.getLogger("some.library").error("lost %s of %d", "three", 7)
    line = lines()[-1]
    assert (line["event"], line["level"], line["logger"]) == ("lost three of 7", "error", "some.library")


def test_exception_is_one_line(lines):
    try:
        raise ValueError("no such column")
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert len(lines()) == 1
    assert "ValueError: no such column" in lines()[0]["exception"]


@pytest.mark.django_db
@pytest.mark.parametrize("proxies", [0, 1])
def test_request_id_is_in_the_line_and_in_the_answer(client, lines, settings, proxies):
    settings.DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = proxies > 0
    answer = client.get("/livez", headers={"X-Request-ID": "abc-123"})
    finished = [line for line in lines() if line["event"] == "request_finished"][-1]
    assert finished["request_id"] == answer.headers["X-Request-ID"]
    assert finished["code"] == 200
    assert (finished["request_id"] == "abc-123") is (proxies > 0), "only a proxy of ours may choose it"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("detail", "token mlp_0123456789abcdef0123456789 refused"),
        ("detail", "secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("url", "redis://:hunter2hunter2@redis:6379/0"),
        ("password", "hunter2hunter2"),
        ("headers", {"Authorization": "Bearer hunter2hunter2", "Cookie": "hunter2hunter2"}),
        ("rows", [{"secret": "hunter2hunter2"}]),
    ],
)
def test_planted_secret_is_removed(lines, field, value):
    structlog.get_logger("x").info("seen", **{field: value})
    text = json.dumps(lines()[-1])
    for secret in ("hunter2", "0123456789abcdef", "MfKQ9r8"):
        assert secret not in text
    assert logs.MASK in text
