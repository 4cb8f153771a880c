import threading

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet

from projects.models import ChainHead, Event, EventDelivery
from projects.services import events
from tests.factories.projects import actor, make_project, make_user


def append(by, project, number: int = 0) -> Event:
    with transaction.atomic():
        return events.record(by, "thing.done", project=project, target=project, data={"n": number, "share": 0.1})


@pytest.mark.django_db
def test_record_chains_each_event_to_the_one_before():
    project = make_project()
    by = actor(make_user())
    first, second = append(by, project), append(by, project)
    assert (first.seq + 1, second.prev_hash) == (second.seq, first.hash)
    assert events.digest(Event.objects.get(pk=second.pk)) == second.hash
    assert Event.objects.get(pk=second.pk).data == {"n": 0, "share": "0.1"}


@pytest.mark.django_db(transaction=True)
def test_record_outside_a_transaction_is_a_defect():
    with pytest.raises(RuntimeError, match="transaction"):
        events.record(actor(make_user()), "thing.done", project=None)


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["update", "delete"])
def test_the_database_refuses_to_change_an_event(change):
    append(actor(make_user()), make_project())
    rows = QuerySet(Event)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        rows.update(verb="other") if change == "update" else rows._raw_delete("default")
    assert Event.objects.get().verb == "thing.done"


@pytest.mark.django_db(transaction=True)
def test_parallel_writers_make_one_chain_without_gaps():
    project, by = make_project(), actor(make_user())

    seats = threading.BoundedSemaphore(20)  # connections that the server of the tests has to spare

    def write() -> None:
        with seats:
            try:
                for number in range(4):
                    append(by, project, number)
            finally:
                connection.close()

    writers = [threading.Thread(target=write) for _ in range(50)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rows = list(Event.objects.order_by("seq"))
    assert [row.seq for row in rows] == list(range(1, 201))
    assert [row.prev_hash for row in rows[1:]] == [row.hash for row in rows[:-1]]
    assert ChainHead.objects.get().hash == rows[-1].hash


@pytest.mark.django_db(transaction=True)
def test_consume_gives_an_event_once_and_again_only_after_a_failure(settings):
    settings.EVENT_CONSUMERS = [("thing.*", "tests.nobody")]
    append(actor(make_user()), make_project())
    pk = EventDelivery.objects.get().pk

    def fail_in_the_middle() -> None:
        with events.consume(pk):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle()
    delivery = EventDelivery.objects.get()
    assert (delivery.attempts, delivery.done_at, delivery.failure) == (1, None, "ZeroDivisionError: ")
    with events.consume(pk) as event:
        assert event is not None
    with events.consume(pk) as event:
        assert event is None


@pytest.mark.django_db
def test_events_of_other_projects_are_not_visible():
    mine, theirs = make_project("mine"), make_project("theirs")
    member = make_user("mei", role="viewer", project=mine)
    root = actor(mine.created_by)
    append(root, mine)
    append(root, theirs)
    assert [event.project for event in Event.objects.visible_to(actor(member))] == [mine]
    assert Event.objects.visible_to(root).count() == 2
