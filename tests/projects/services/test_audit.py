import importlib
import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from mlportal.lib.errors import Forbidden
from projects.models import ChainHead, Event
from projects.services import accounts, audit, events, members
from tests.factories.projects import actor, make_project, make_user

pytestmark = pytest.mark.django_db
append_only = importlib.import_module("projects.migrations.0002_append_only_events")


@pytest.fixture
def churn(db):
    return make_project()


@pytest.fixture
def ana(churn):
    return make_user("ana", role="admin", project=churn)


@pytest.fixture
def log(churn, ana):
    """Four entries."""
    for number in range(4):
        user = make_user(f"user{number}")
        members.add(actor(ana), project=churn, user=user, role="viewer")
    return list(Event.objects.order_by("seq"))


@pytest.fixture
def intruder(log):
    """Somebody who can take the triggers away."""
    connection.check_constraints()  # PostgreSQL drops no trigger while checks are pending
    append_only.remove(None, connection.schema_editor())


def test_an_untouched_log_is_intact(log):
    verdict = audit.verify()
    assert (verdict.code, verdict.checked) == (audit.INTACT, 4)


def test_an_empty_log_is_intact(db):
    assert audit.verify().code == audit.INTACT


@pytest.mark.parametrize(
    "change", [{"actor_name": "eve"}, {"data": {"role": "admin"}}, {"address": "10.9.9.9"}, {"hash": "0" * 64}]
)
def test_an_altered_entry_is_found(log, intruder, change):
    Event.objects.filter(seq=log[1].seq).update(**change)
    verdict = audit.verify()
    assert (verdict.code, verdict.seq) == (audit.ALTERED, log[1].seq)


def test_a_removed_entry_is_found(log, intruder):
    Event.objects.filter(seq=log[2].seq).delete()
    verdict = audit.verify()
    assert (verdict.code, verdict.seq) == (audit.ALTERED, log[2].seq)


def test_a_cut_tail_is_found(log, intruder):
    Event.objects.filter(seq__gte=log[2].seq).delete()
    verdict = audit.verify()
    assert (verdict.code, verdict.seq) == (audit.TAIL_MISSING, log[2].seq)


def test_a_part_can_be_checked(log, intruder):
    Event.objects.filter(seq=log[0].seq).update(actor_name="eve")
    assert audit.verify(first=log[2].seq).code == audit.INTACT
    assert audit.verify(first=log[0].seq, last=log[1].seq).code == audit.ALTERED


@pytest.fixture
def anchors(log, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    audit.anchor()
    return audit.anchor_file()


def rehash(entries: list[Event]) -> None:
    """Rewrite the chain so that only an anchor can tell."""
    before = entries[0].prev_hash
    for event in entries:
        event.actor_name, event.prev_hash = "eve", before
        event.hash = before = events.digest(event)
        Event.objects.filter(pk=event.pk).update(actor_name="eve", prev_hash=event.prev_hash, hash=event.hash)
    ChainHead.objects.update(hash=before)


def test_a_rewritten_chain_differs_from_its_anchor(log, anchors, intruder):
    rehash(log)
    assert audit.verify().code == audit.INTACT
    verdict = audit.verify(anchors=anchors)
    assert (verdict.code, verdict.seq) == (audit.ANCHOR_MISMATCH, log[3].seq)


def test_a_tail_cut_with_its_head_is_found_by_the_anchor(log, anchors, intruder):
    Event.objects.filter(seq__gte=log[2].seq).delete()
    ChainHead.objects.update(seq=log[1].seq, hash=log[1].hash)
    assert audit.verify().code == audit.INTACT
    assert audit.verify(anchors=anchors).code == audit.TAIL_MISSING


def test_a_forged_anchor_cannot_be_read(log, anchors):
    line = json.loads(anchors.read_text())
    anchors.write_text(json.dumps({**line, "hash": "f" * 64}))
    assert audit.verify(anchors=anchors).code == audit.UNREADABLE


def test_a_missing_anchor_file_cannot_be_read(log):
    assert audit.verify(anchors=Path("/nowhere/audit.jsonl")).code == audit.UNREADABLE


def test_an_empty_log_has_no_anchor(db):
    assert audit.anchor() is None


def test_export_is_json_lines_and_an_entry_itself(log, churn, ana):
    lines = [json.loads(line) for line in audit.export(actor(ana), project=churn, chosen=audit.Filter())]
    assert [line["seq"] for line in lines] == [event.seq for event in log]
    assert lines[0]["hash"] == log[0].hash
    assert Event.objects.latest("seq").verb == "audit.exported"


def test_export_needs_the_right_to_read_the_log(churn):
    with pytest.raises(Forbidden):
        audit.export(actor(make_user("sam", role="scientist", project=churn)), project=churn, chosen=audit.Filter())


@pytest.mark.parametrize(
    ("chosen", "count"),
    [({}, 4), ({"actor": "AN"}, 4), ({"actor": "eve"}, 0), ({"verb": "member."}, 4), ({"verb": "run."}, 0),
     ({"target": "user"}, 4), ({"target": "user2"}, 1),
     ({"since": timezone.now() + timedelta(days=1)}, 0), ({"until": timezone.now() + timedelta(days=1)}, 4)],
)  # fmt: skip
def test_filter(log, chosen, count):
    assert audit.Filter(**chosen).apply(Event.objects.all()).count() == count


def test_filter_by_object_number(log):
    assert audit.Filter(target=f"user {log[3].target_id}").apply(Event.objects.all()).get() == log[3]


def test_a_failed_sign_in_keeps_the_chain_whole(log):
    with pytest.raises(Forbidden):
        accounts.sign_in("nobody", "wrong password", address="10.0.0.1")
    assert audit.verify().checked == 5
