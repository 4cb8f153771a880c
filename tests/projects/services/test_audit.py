"""The chain and its anchors; what each kind of tampering is found as."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from mlportal.lib import chain, signing
from mlportal.lib.errors import Forbidden
from projects import tasks
from projects.models import Anchor, AnchorCopy, ChainHead, Event, EventDelivery, ObjectState, Particulars
from projects.models.events import AppendOnly
from projects.services import accounts, anchors, audit, events, members, signing_in, tokens, verification
from tests.factories.projects import actor as plain_actor
from tests.factories.projects import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("second_place")]


def actor(user, **place):
    return replace(plain_actor(user), **place)


def raw(model):
    """Rows as whoever holds the database writes them: past the refusals of the model."""
    return QuerySet(model)


# ---------------------------------------------------------------- fields


def test_an_entry_says_all_that_the_paper_asks_for(churn, ana):
    bo = make_user("bo")
    member = members.add(actor(ana, address="10.0.0.7", request_id="r-1"), project=churn, user=bo, role="viewer")
    members.change_role(actor(ana), member=member, role="ops")
    first, second = Event.objects.order_by("seq")
    entry = first.entry()
    assert set(entry) == {
        "schema", "seq", "at", "verb", "result", "reason", "project", "actor", "who", "whom", "request", "target",
        "before", "after", "changes", "data", "prev",
    }  # fmt: skip
    assert (entry["schema"], entry["result"], entry["request"], entry["project"]) == (2, "done", "r-1", churn.pk)
    assert entry["actor"] == {"kind": "user", "id": ana.pk, "on_behalf_of": None, "token": None}
    assert (first.actor_name, first.address, first.target_label) == ("ana", "10.0.0.7", "bo")
    assert (second.prev_hash, second.before_hash) == (first.hash, first.after_hash)


def test_an_entry_holds_what_changed_before_and_after(churn, ana):
    new = tokens.create(actor(ana), project=churn, name="ci", scopes=["read"])
    tokens.revoke(actor(ana), token=new.token)
    made, ended = Event.objects.filter(target_type="apitoken").order_by("seq")
    assert made.changes["name"] == [None, "ci"]
    assert made.changes["sha256"] == [None, "(hidden)"]
    assert new.token.sha256 not in json.dumps(made.entry())
    assert set(ended.changes) == {"revoked_at"}
    assert (made.before_hash, ended.before_hash) == ("", made.after_hash)


def test_what_a_part_of_the_portal_does_names_for_whom(churn, ana):
    from django.db import transaction

    from projects.actor import Actor

    with transaction.atomic():
        event = events.record(Actor.system("trainer", project=churn, on_behalf_of=ana), "job.done", project=churn)
    assert (event.actor_id, event.on_behalf_of, event.actor_name) == (None, ana.pk, "trainer")


def test_time_is_that_of_the_database(log):
    assert abs((log[-1].at - timezone.now()).total_seconds()) < 60
    assert log[-1].at.utcoffset() == timedelta(0)


# ---------------------------------------------------------------- append only


def test_the_model_refuses_to_change_or_remove(log, anchored):
    for row in (log[0], Anchor.objects.get()):
        for attempt in (row.save, row.delete, type(row).objects.all().delete):
            with pytest.raises(AppendOnly):
                attempt()
        with pytest.raises(AppendOnly):
            type(row).objects.update(seq=9)


# ---------------------------------------------------------------- proof


def test_an_untouched_log_is_intact(log):
    verdict = verification.verify()
    assert (verdict.code, verdict.checked) == (verification.INTACT, 4)


def test_an_empty_log_is_intact_and_has_no_anchor(db):
    assert verification.verify().code == verification.INTACT
    assert anchors.drop(cause="hour") is None


@pytest.mark.parametrize(
    "change",
    [{"actor_kind": "system"}, {"data": {"role": "admin"}}, {"reason": "asked"}, {"hash": "0" * 64}, {"result": "x"},
     {"changes": {"role": [1, 2]}}, {"actor_id": 77}, {"before_hash": "f" * 64}, {"label": "other"}],
)  # fmt: skip
def test_an_altered_entry_is_found(log, intruder, change):
    raw(Event).filter(seq=log[1].seq).update(**change)
    verdict = verification.verify()
    assert (verdict.code, verdict.seq) == (verification.ALTERED, log[1].seq)


@pytest.mark.parametrize(
    "change",
    [{"name": "eve"}, {"address": "10.9.9.9"}, {"digest": "0" * 64}, {"name": "eve", "address": "", "salt": ""}],
)
def test_altered_particulars_are_found(log, intruder, change):
    raw(Particulars).filter(pk=log[0].who_id).update(**change)
    verdict = verification.verify()
    assert (verdict.code, verdict.seq) == (verification.ALTERED, log[0].seq)


def test_a_removed_entry_is_found(log, intruder):
    raw(Event).filter(seq=log[2].seq).delete()
    verdict = verification.verify()
    assert (verdict.code, verdict.seq) == (verification.ALTERED, log[2].seq)


def test_a_cut_tail_is_found(log, intruder):
    raw(Event).filter(seq__gte=log[2].seq).delete()
    verdict = verification.verify()
    assert (verdict.code, verdict.seq) == (verification.TAIL_MISSING, log[2].seq)


def test_a_part_can_be_checked(log, intruder):
    raw(Event).filter(seq=log[0].seq).update(verb="member.other")
    assert verification.verify(first=log[2].seq).code == verification.INTACT
    assert verification.verify(first=log[0].seq, last=log[1].seq).code == verification.ALTERED


def rehash(entries: list[Event]) -> None:
    """Rewrite the chain from end to end, the head too, so that only an anchor can tell."""
    before = entries[0].prev_hash
    for event in entries:
        event.verb, event.prev_hash = "member.other", before
        event.hash = before = events.digest(event)
        raw(Event).filter(pk=event.pk).update(verb=event.verb, prev_hash=event.prev_hash, hash=event.hash)
    raw(ChainHead).update(hash=before)


def test_a_chain_hashed_anew_differs_from_its_anchor(log, anchored, intruder):
    rehash(log)
    for given in (None, anchored):
        verdict = verification.verify(anchors_file=given)
        assert (verdict.code, verdict.seq) == (verification.ANCHOR_MISMATCH, log[3].seq)
    raw(AnchorCopy).delete()
    raw(Anchor).delete()
    assert verification.verify().code == verification.INTACT  # which is why a second place is needed
    assert verification.verify(anchors_file=anchored).code == verification.ANCHOR_MISMATCH


def test_a_tail_cut_with_its_head_is_found_by_the_anchor(log, anchored, intruder):
    raw(Event).filter(seq__gte=log[2].seq).delete()
    raw(ChainHead).update(seq=log[1].seq, hash=log[1].hash)
    verdict = verification.verify(anchors_file=anchored)
    assert (verdict.code, verdict.seq) == (verification.TAIL_MISSING, log[2].seq)


def test_an_old_backup_is_found_by_the_anchors_made_since(log, anchored, intruder, churn, ana):
    members.add(actor(ana), project=churn, user=make_user("late"), role="viewer")
    anchors.drop(cause="promotion")
    newest = Anchor.objects.order_by("-number").first()  # all of this was not in the backup
    raw(AnchorCopy).filter(anchor=newest).delete()
    raw(Anchor).filter(pk=newest.pk).delete()
    raw(Event).filter(seq=newest.seq).delete()
    raw(ChainHead).update(seq=log[3].seq, hash=log[3].hash)
    assert verification.verify().code == verification.INTACT
    verdict = verification.verify(anchors_file=anchored)
    assert (verdict.code, verdict.seq) == (verification.TAIL_MISSING, newest.seq)


# ---------------------------------------------------------------- anchors


def test_an_anchor_is_kept_here_and_in_the_second_place(log, anchored):
    made = Anchor.objects.get()
    assert (made.number, made.seq, made.head_hash, made.count) == (1, log[3].seq, log[3].hash, log[3].seq)
    assert json.loads(anchored.read_text()) == made.line() | {"signature": made.signature}
    assert (AnchorCopy.objects.get().place, anchored.stat().st_mode & 0o777) == ("file", 0o600)
    verdict = verification.verify(anchors_file=anchored)
    assert (verdict.code, verdict.message) == (verification.INTACT, "4 entries are intact and match 1 anchor.")


def test_nothing_new_needs_no_anchor(log, anchored):
    assert anchors.drop(cause="hour") is None


def test_a_second_place_that_is_away_gets_its_anchors_later_and_in_order(log, second_place, churn, ana):
    second_place.parent.write_text("in the way")
    anchors.drop(cause="hour")
    assert "Error" in AnchorCopy.objects.get().failure
    second_place.parent.unlink()
    members.add(actor(ana), project=churn, user=make_user("late"), role="viewer")
    anchors.drop(cause="hour")
    assert [json.loads(line)["anchor"] for line in second_place.read_text().splitlines()] == [1, 2]
    assert verification.verify(anchors_file=second_place).code == verification.INTACT


@pytest.mark.parametrize(
    "verb", ["promotion.approved", "endpoint.switched", "endpoint.rolled_back", "endpoint.break_glass"]
)
def test_what_moves_production_is_anchored_at_once(log, churn, ana, verb):
    members.add(actor(ana), project=churn, user=make_user("late"), role="viewer")
    with transaction.atomic():
        moved = events.record(actor(ana), verb, project=churn, target=churn)
    tasks.anchor_promotion(EventDelivery.objects.get(event=moved, task="projects.anchor_promotion").pk)
    made = Anchor.objects.latest("number")
    assert (made.cause, made.seq) == ("promotion", moved.seq)


def test_anchors_go_by_mail_when_asked(log, settings, mailoutbox):
    settings.AUDIT_ANCHOR_MAIL = ["audit@example.org"]
    anchors.drop(cause="hour")
    assert json.loads(mailoutbox[0].body)["seq"] == log[3].seq


@pytest.mark.parametrize("forge", [{"hash": "f" * 64}, {"seq": 2}, {"key": "0" * 16}, {"signature": "AAAA"}])
def test_a_forged_anchor_is_found(log, anchored, forge):
    line = json.loads(anchored.read_text())
    anchored.write_text(json.dumps({**line, **forge}))
    verdict = verification.verify(anchors_file=anchored)
    assert verdict.code == verification.ANCHOR_MISMATCH
    assert "line 1" in verdict.message


def test_anchors_of_another_portal_are_found(log, anchored, tmp_path):
    made = Anchor.objects.get()
    other = signing.keyring("another installation, another secret text", tmp_path / "keys")
    body = made.line() | {"key": other.key_id}
    signature = signing.sign(other, anchors.DOMAIN, chain.canonical(body))
    anchored.write_text(json.dumps(body | {"signature": signature}))
    assert verification.verify(anchors_file=anchored).code == verification.ANCHOR_MISMATCH


def test_an_older_file_of_anchors_is_found(log, anchored, churn, ana):
    old = anchored.read_text()
    members.add(actor(ana), project=churn, user=make_user("late"), role="viewer")
    anchors.drop(cause="hour")
    lines = anchored.read_text().splitlines()
    anchored.write_text(old)
    verdict = verification.verify(anchors_file=anchored)
    assert (verdict.code, "before anchor 2" in verdict.message) == (verification.ANCHOR_MISMATCH, True)
    anchored.write_text(f"{lines[1]}\n{lines[0]}\n")
    assert verification.verify(anchors_file=anchored).code == verification.ANCHOR_MISMATCH


def test_anchors_that_cannot_be_read_are_said(log, anchored):
    assert verification.verify(anchors_file=Path("/nowhere/audit.jsonl")).code == verification.UNREADABLE
    anchored.write_text("not json")
    assert verification.verify(anchors_file=anchored).code == verification.UNREADABLE


# ---------------------------------------------------------------- people


def test_an_erased_person_leaves_the_log_intact(log, anchored, churn, ana, root):
    bo = make_user("bo-surname", display_name="Bo Surname")
    members.add(actor(ana), project=churn, user=bo, role="viewer")
    tokens.create(actor(bo, address="10.7.7.7"), project=churn, name="ci", scopes=["read"])
    with pytest.raises(Forbidden):
        signing_in.sign_in("bo-surname", "wrong password", address="10.7.7.8")
    accounts.deactivate(root, user=bo)
    accounts.erase(root, user=bo, reason="Asked by letter on 3 March.")
    tables = [*Event.objects.all(), *Particulars.objects.all(), *ObjectState.objects.all()]
    everything = json.dumps([[str(value) for value in vars(row).values()] for row in tables]).casefold()
    assert [word for word in ("surname", "10.7.7", "bo-surname@") if word in everything] == []
    assert Event.objects.get(verb="token.created").actor_name == "erased person"
    assert Event.objects.latest("seq").reason == "Asked by letter on 3 March."
    assert verification.verify(anchors_file=anchored).code == verification.INTACT


# ---------------------------------------------------------------- filter


TOMORROW = timezone.now() + timedelta(days=1)


@pytest.mark.parametrize(
    ("chosen", "count"),
    [({}, 4), ({"actor": "AN"}, 4), ({"actor": "eve"}, 0), ({"verb": "member."}, 4), ({"verb": "run."}, 0),
     ({"target": "user"}, 4), ({"target": "user2"}, 1), ({"since": TOMORROW}, 0), ({"until": TOMORROW}, 4),
     ({"project": "churn"}, 4), ({"project": "other"}, 0), ({"text": "viewer"}, 4), ({"text": "USER3"}, 1),
     ({"text": "nothing like it"}, 0), ({"result": "failed"}, 0), ({"result": "done"}, 4)],
)  # fmt: skip
def test_filter(log, chosen, count):
    assert audit.Filter(**chosen).apply(Event.objects.all()).count() == count


def test_filter_by_object_number(log):
    assert audit.Filter(target=f"user {log[3].target_id}").apply(Event.objects.all()).get() == log[3]


def test_a_failed_sign_in_keeps_the_chain_whole(log):
    with pytest.raises(Forbidden):
        signing_in.sign_in("nobody", "wrong password", address="10.0.0.1")
    assert verification.verify().checked == 5
    assert Event.objects.latest("seq").result == "failed"
