"""Traces: a request, the task it publishes and its run are one; off, nothing is made; nothing secret leaves."""

import io
import json
import logging

import pytest
from celery.worker.request import Request
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse
from kombu import pools

from mlportal import logs, short
from mlportal.celery import app
from mlportal.lib import queue, spans
from projects.models import EventDelivery
from tests.collector import collecting
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import make_project, make_user

CALLER = f"00-{'ab' * 16}-{'cd' * 8}-01"


@pytest.fixture
def collector(monkeypatch):
    """Spans are on and sent to a collector of this test."""
    with collecting() as kept:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", kept.url)
        monkeypatch.setattr(spans._state, "provider", None)
        spans.configure({"OTEL_EXPORTER_OTLP_ENDPOINT": kept.url})
        yield kept
        spans.configure({})
        if spans._state.provider:
            spans._state.provider.shutdown()


@pytest.fixture
def broker(monkeypatch):
    """The queue of a broker in memory."""
    connection = app.connection_for_write("memory://")
    monkeypatch.setattr(
        app.amqp, "_producer_pool", pools.ProducerPool(connections=pools.connections[connection], limit=1)
    )
    with connection, connection.channel() as channel:
        for name in app.amqp.queues:
            app.amqp.queues[name].bind(channel).declare()
            channel.queue_purge(name)
        yield channel


def run_next(channel) -> None:
    """Take the next message and run its task as a worker does."""
    waiting = (channel.basic_get(name, no_ack=True) for name in app.amqp.queues)
    message = next(message for message in waiting if message is not None)
    app.loader.import_default_modules()
    Request(message, app=app, hostname="here", task=app.tasks[message.headers["task"]]).execute()


def comment(client: Client, run, **headers) -> None:
    """Post a comment, which publishes one task."""
    add = reverse("projects:comment-add", args=["churn", "run", run.pk])
    answer = client.post(add, {"text": "hello secret-word", "back": "/p/churn/"}, headers=headers)
    assert answer.status_code == 303


@pytest.fixture
def run(transactional_db):
    project = make_project("churn")
    made = make_run(make_experiment(project), "first")
    made.author = make_user("ana", role="scientist", project=project)
    return made


@pytest.fixture
def client(run) -> Client:
    client = Client()
    client.force_login(run.author)
    return client


def test_a_request_what_it_publishes_and_its_run_are_one_trace(collector, broker, client, run):
    comment(client, run, traceparent=CALLER)
    run_next(broker)
    spans.flush()
    assert EventDelivery.objects.get().done_at is not None
    request = collector.named("POST p/<slug:project>/things/<slug:kind>/<int:number>/comments/")
    published, done = collector.named("publish projects.notify"), collector.named("run projects.notify")
    assert request.trace == published.trace == done.trace
    assert (published.parent, done.parent) == (request.own, published.own)
    assert request.parent == "", "without a proxy of ours a client chooses no trace"
    assert request.known["http.response.status_code"] == 303
    assert request.known["http.route"] == request.name.removeprefix("POST ")
    assert "secret-word" not in repr(collector.spans)


def test_behind_a_proxy_a_request_goes_on_with_its_trace(collector, broker, client, run, settings):
    settings.TRUSTED_PROXIES = 1
    comment(client, run, traceparent=CALLER)
    spans.flush()
    request = next(span for span in collector.spans if span.name.startswith("POST "))
    assert (request.trace, request.parent) == ("ab" * 16, "cd" * 8)


def test_a_broker_that_is_away_ends_its_span(collector, tmp_path, monkeypatch):
    away = app.connection_for_write(f"redis+socket://{tmp_path / 'nobody.sock'}?virtual_host=0")
    monkeypatch.setattr(app.amqp, "_producer_pool", pools.ProducerPool(connections=pools.connections[away], limit=1))
    assert queue.publish("projects.notify", 1) is False
    assert spans.carried() == {}, "nothing is left open in the thread"
    spans.flush()
    assert collector.named("publish projects.notify").failed


def test_a_task_that_fails_is_marked(collector, broker, transactional_db, monkeypatch):
    @app.task(name="tests.breaks")
    def breaks() -> None:
        raise ValueError("secret-word")

    try:
        queue.publish("tests.breaks")
        run_next(broker)
    finally:
        del app.tasks["tests.breaks"]
    spans.flush()
    assert collector.named("run tests.breaks").failed
    assert "secret-word" not in repr(collector.spans)


def test_log_lines_say_their_trace(collector):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter("json"))
    with spans.opened("outer") as span:
        handler.emit(logging.makeLogRecord({"msg": "inside", "levelname": "INFO"}))
    handler.emit(logging.makeLogRecord({"msg": "outside", "levelname": "INFO"}))
    inside, outside = map(json.loads, stream.getvalue().splitlines())
    context = span.get_span_context()
    assert (int(inside["trace_id"], 16), int(inside["span_id"], 16)) == (context.trace_id, context.span_id)
    assert "trace_id" not in outside


def test_the_short_way_is_traced_too(collector, transactional_db):
    request = HttpRequest()
    request.method, request.path, request.path_info = "GET", "/api/2.0/mlflow/nothing", "/api/2.0/mlflow/nothing"
    assert short.respond(request).status_code == 400
    spans.flush()
    assert [span.name for span in collector.spans] == ["GET none"]


def test_off_there_is_no_span_and_no_middleware(client, run, monkeypatch):
    monkeypatch.setattr(spans, "_provider", lambda: pytest.fail("a span was made"))
    with spans.opened("x") as span:
        assert span is None
    assert spans.carried() == {}
    assert client.get("/p/churn/").status_code == 200
    spans.configure({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"})
    assert not spans.is_on()


def test_a_protocol_that_is_not_spoken_is_named():
    with pytest.raises(RuntimeError, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'"):
        spans.configure({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    spans.configure({})
