"""A broker that is away costs a request nothing: the row is the truth, sweepers publish again."""

from kombu import pools
from kombu.utils import functional

from mlportal.celery import app
from mlportal.lib import queue


def pool(url):
    return pools.ProducerPool(connections=pools.connections[app.connection_for_write(url)], limit=1)


def test_publishing_does_not_wait_for_a_broker_that_is_away(tmp_path, monkeypatch):
    def wait(seconds):
        raise AssertionError(f"waits {seconds} s for the broker")

    monkeypatch.setattr(app.amqp, "_producer_pool", pool(f"redis+socket://{tmp_path / 'nobody.sock'}?virtual_host=0"))
    monkeypatch.setattr(functional, "sleep", wait)
    assert queue.publish("projects.tasks.profile_version", 1) is False


def test_after_a_try_that_failed_the_next_messages_do_not_try(tmp_path, monkeypatch):
    """An alert wakes four tasks, a request may record many events: one of them waits for the address, not each."""
    monkeypatch.setattr(queue, "REST", 1e9)
    monkeypatch.setattr(app.amqp, "_producer_pool", pool(f"redis+socket://{tmp_path / 'nobody.sock'}?virtual_host=0"))
    assert queue.publish("projects.tasks.profile_version", 1) is False
    monkeypatch.setattr(app.amqp, "_producer_pool", pool("memory://"))
    assert queue.publish("projects.tasks.profile_version", 1) is False
    queue.forget()
    assert queue.publish("projects.tasks.profile_version", 1) is True
