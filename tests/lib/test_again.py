"""A transaction that the database ended for a deadlock is run again."""

import threading

import pytest
from django.db import DatabaseError, connections, transaction

from mlportal.lib import again
from tests.factories.projects import make_user


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("postgresql")
def test_what_the_database_broke_off_is_done_again():
    """Two transactions that lock two rows the wrong way round: one is ended by the server and runs once more."""
    left, right = make_user("left"), make_user("right")
    here, runs = threading.Barrier(2), []

    @again.after_deadlock
    def touch(*order: int) -> None:
        with transaction.atomic():
            runs.append(order)
            type(left).objects.select_for_update(no_key=True).get(pk=order[0])
            if len(runs) <= 2:
                here.wait(30)
            type(left).objects.select_for_update(no_key=True).get(pk=order[1])

    failed = []

    def turn(*order: int) -> None:
        try:
            touch(*order)
        except DatabaseError as error:
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=turn, args=order) for order in ((left.pk, right.pk), (right.pk, left.pk))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (failed, len(runs)) == ([], 3)
