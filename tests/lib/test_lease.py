"""The state machine on a real table: dataset-free, on the rows of whichever app uses it first."""

from datetime import timedelta

import pytest
from django.db import connection, models
from django.db.models.functions import Now

from mlportal.lib import lease
from mlportal.lib.lease import Claim, LeasedWork, WorkState

pytestmark = pytest.mark.django_db(transaction=True)


class Chore(LeasedWork):
    """A row of work that exists in tests only."""

    class Meta:
        app_label = "projects"
        managed = False
        db_table = "test_chore"


@pytest.fixture
def chores(transactional_db):
    with connection.schema_editor() as editor:
        editor.create_model(Chore)
    yield Chore.objects.all()
    with connection.schema_editor() as editor:
        editor.delete_model(Chore)


def expire(pk: int) -> None:
    Chore.objects.filter(pk=pk).update(lease_until=Now() - timedelta(seconds=1))


def nothing(row: models.Model) -> None:
    del row


def test_claim_takes_a_queued_row_once(chores):
    pk = Chore.objects.create().pk
    held = lease.claim(chores, pk, worker="w1")
    assert held == Claim(pk=pk, fence=1)
    assert lease.claim(chores, pk, worker="w2") is None
    row = Chore.objects.get(pk=pk)
    assert (row.state, row.attempt, row.worker, row.lease_until is not None) == ("starting", 1, "w1", True)


def test_heartbeat_renews_and_reports_progress(chores):
    held = lease.claim(chores, Chore.objects.create().pk, worker="w")
    before = Chore.objects.get().lease_until
    assert lease.heartbeat(chores, held, progress=0.5, phase="fit")
    row = Chore.objects.get()
    assert (row.state, row.progress, row.phase, row.lease_until >= before) == ("running", 0.5, "fit", True)


def test_finish_is_final(chores):
    held = lease.claim(chores, Chore.objects.create().pk, worker="w")
    assert lease.finish(chores, held, state=WorkState.SUCCEEDED)
    assert not lease.finish(chores, held, state=WorkState.FAILED, failure="late")
    assert not lease.heartbeat(chores, held)
    assert lease.request_cancel(chores, held.pk) == "succeeded"
    row = Chore.objects.get()
    assert (row.state, row.progress, row.failure, row.lease_until) == ("succeeded", 1.0, "", None)


def test_a_cancelled_row_never_ends_succeeded(chores):
    held = lease.claim(chores, Chore.objects.create().pk, worker="w")
    assert lease.request_cancel(chores, held.pk) == "starting"
    assert not lease.heartbeat(chores, held)
    assert not lease.finish(chores, held, state=WorkState.SUCCEEDED)
    assert lease.finish(chores, held, state=WorkState.CANCELLED)


def test_a_queued_row_is_cancelled_at_once_and_never_claimed(chores):
    pk = Chore.objects.create().pk
    assert lease.request_cancel(chores, pk) == "cancelled"
    assert lease.claim(chores, pk, worker="w") is None


def test_sweep_requeues_an_expired_lease_and_fences_the_old_writer(chores):
    held = lease.claim(chores, Chore.objects.create().pk, worker="w1")
    requeued: list[int] = []
    assert lease.sweep(chores, on_end=nothing, on_requeue=lambda row: requeued.append(row.pk)) == 0
    expire(held.pk)
    assert lease.sweep(chores, on_end=nothing, on_requeue=lambda row: requeued.append(row.pk)) == 1
    assert requeued == [held.pk]
    second = lease.claim(chores, held.pk, worker="w2")
    assert second is not None
    assert second.fence > held.fence
    assert not lease.heartbeat(chores, held)
    assert not lease.finish(chores, held, state=WorkState.SUCCEEDED)
    assert lease.finish(chores, second, state=WorkState.SUCCEEDED)


def test_sweep_ends_work_after_the_third_attempt(chores, settings):
    pk = Chore.objects.create().pk
    ended: list[str] = []
    for _attempt in range(settings.MAX_ATTEMPTS):
        assert lease.claim(chores, pk, worker="w") is not None
        expire(pk)
        lease.sweep(chores, on_end=lambda row: ended.append(row.failure), on_requeue=nothing)
    assert ended == ["Interrupted 3 times: the worker stopped answering each time."]
    assert Chore.objects.get().state == "failed"


def test_sweep_ends_cancelled_work_whose_worker_is_gone(chores):
    held = lease.claim(chores, Chore.objects.create().pk, worker="w")
    lease.request_cancel(chores, held.pk)
    expire(held.pk)
    lease.sweep(chores, on_end=nothing, on_requeue=nothing)
    assert Chore.objects.get().state == "cancelled"


def test_hand_back_does_not_burn_the_attempt(chores):
    held = lease.claim(chores, Chore.objects.create().pk, worker="w")
    assert lease.hand_back(chores, held)
    row = Chore.objects.get()
    assert (row.state, row.attempt) == ("queued", 0)
    again = lease.claim(chores, held.pk, worker="w")
    assert again is not None
    assert again.fence > held.fence


def test_scrub_makes_any_text_storable():
    assert lease.scrub("a\x00b\ud800") == "a�b?"
    assert len(lease.scrub("x" * 5000)) == 2000
