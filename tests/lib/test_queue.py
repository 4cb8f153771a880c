"""A broker that is away costs a request nothing: the row is the truth, sweepers publish again."""

from kombu import pools
from kombu.utils import functional

from mlportal.celery import app
from mlportal.lib import queue


def test_publishing_does_not_wait_for_a_broker_that_is_away(tmp_path, monkeypatch):
    def wait(seconds):
        raise AssertionError(f"waits {seconds} s for the broker")

    away = app.connection_for_write(f"redis+socket://{tmp_path / 'nobody.sock'}?virtual_host=0")
    monkeypatch.setattr(app.amqp, "_producer_pool", pools.ProducerPool(connections=pools.connections[away], limit=1))
    monkeypatch.setattr(functional, "sleep", wait)
    assert queue.publish("projects.tasks.profile_version", 1) is False
