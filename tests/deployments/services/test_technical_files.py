"""The technical file: filled from records, written where none can tell, issued as files that stay."""

import base64
import hashlib
import io
import json
import zipfile
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.db import DatabaseError, transaction
from django.utils import timezone

from deployments import tasks
from deployments.cards import annex
from deployments.models import TechnicalFile
from deployments.proof import filed, papers
from deployments.services import cards, policies, promotions, registered, technical_files, versions
from mlportal.lib import chain, lease
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from projects.models import Event
from tests.factories.deployments import environment, make_live, make_request, make_trained_run, make_version, result

PLAN = "Weekly look at drift and late labels; the owner decides."
TITLES = [
    "General description", "Elements and development", "Monitoring, functioning and control", "Choice of metrics",
    "Risk management", "Changes over the lifecycle", "Standards", "Declaration of conformity", "After it is in use",
]  # fmt: skip


def issued(team, version):
    made = technical_files.issue(team.manager, version=version)
    assert technical_files.work(made.pk, worker="test")
    made.refresh_from_db()
    assert made.state == "succeeded", made.failure
    return made


def test_a_gate_asks_for_a_whole_file(team):
    place = environment(team)
    policies.change(team.admin, environment=place, gates=[{"kind": "technical_file_complete"}])
    first = make_request(team)
    version = first.version
    verdict = first.gate_results.get(name="technical_file_complete")
    assert not verdict.passed
    assert verdict.found == (
        "missing: 1(a) Provider, 1(b) Interaction with other systems, 1(c) Update requirements, "
        "1(d) Forms of delivery, 1(e) Hardware and 19 more"
    )
    with pytest.raises(Conflict):
        promotions.decide(team.manager, request=first, verdict="approve")
    texts = dict.fromkeys(annex.HAND, "Written down by the people who built it.")
    technical_files.write(team.scientist, version=version, texts=texts)
    assert annex.unwritten(version) == ["Intended use", "Limitations", "Human oversight"]
    cards.write(team.scientist, version=version, texts=dict.fromkeys(annex.TAKEN, "Said in the card of the model."))
    promotions.withdraw(team.scientist2, request=first)
    version.refresh_from_db()
    again = make_request(team, version=version)
    assert again.gate_results.get(name="technical_file_complete").passed
    assert promotions.decide(team.manager, request=again, verdict="approve").state == "approved"


def test_the_nine_sections_are_filled_from_the_records(team):
    endpoint = make_live(team)
    version = endpoint.current_revision.version
    read = technical_files.read(team.viewer, version=version)
    assert [part["title"] for part in read["sections"]] == TITLES
    assert [part["number"] for part in read["sections"]] == [str(number) for number in range(1, 10)]
    fields = {field["key"]: field for part in read["sections"] for field in part["fields"]}
    assert fields["live"]["value"]["rows"][0][:2] == ["churn-production", "production"]
    assert fields["gates"]["source"]["href"] == f"/p/churn/promotions/{endpoint.current_revision.promotion_id}/"
    assert fields["data"]["source"]["label"] == str(version.dataset_version)
    assert all(field["changed_at"] for field in fields.values() if not field["gap"])
    assert all(field["who"] for field in fields.values() if field["gap"] and field["hand_written"])
    assert read["about"]["facts"]["metrics"]["roc_auc"]["value"] == 0.88


def test_what_no_record_tells_is_written_by_hand(team):
    version = make_version(team)
    before = papers.completeness(technical_files.read(team.viewer, version=version))
    technical_files.write(team.scientist, version=version, texts={"post_market_plan": PLAN, "provider": "Ours Ltd."})
    read = technical_files.read(team.viewer, version=version)
    assert papers.completeness(read) == (before[0] + 2, before[1])
    said = next(field for field in read["sections"][8]["fields"] if field["key"] == "post_market_plan")
    assert (said["value"], said["by"]) == (PLAN, {"person": team.people["scientist"].pk})
    assert Event.objects.filter(verb="technical_file.written").count() == 1
    assert cards.read(team.viewer, version=version)["about"]["card"] == 0
    with pytest.raises(Invalid):
        technical_files.write(team.scientist, version=version, texts={"limitations": "That is the card's."})
    with pytest.raises(Forbidden):
        technical_files.write(team.manager, version=version, texts={"provider": "x"})


def test_every_hand_written_item_is_in_one_section(team):
    read = technical_files.read(team.viewer, version=make_version(team))
    keys = [field["key"] for part in read["sections"] for field in part["fields"]]
    assert len(keys) == len(set(keys))
    assert set(annex.HAND) <= set(keys)


def test_an_issue_is_a_signed_zip_and_stays(team):
    version = make_version(team)
    made = issued(team, version)
    content = technical_files.content(team.viewer, issued=made)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert sorted(files) == [
        "manifest.json", "manifest.sig", "public-key.pem", "technical-file.json", "technical-file.pdf",
    ]  # fmt: skip
    manifest = json.loads(files["manifest.json"])
    assert manifest["files"] == {
        name: hashlib.sha256(files[name]).hexdigest() for name in ("technical-file.json", "technical-file.pdf")
    }
    key = load_pem_public_key(files["public-key.pem"])
    key.verify(base64.b64decode(files["manifest.sig"]), filed.DOMAIN + chain.canonical(manifest))
    assert files["technical-file.pdf"].startswith(b"%PDF-")
    read = json.loads(files["technical-file.json"])
    assert (read["about"]["issue"], read["about"]["kept_until"][:4]) == (1, str(made.asked_at.year + 10))
    assert manifest["document_sha256"] == made.sha256 == papers.digest(made.document)
    assert [row.verb for row in Event.objects.filter(verb__startswith="technical_file.").order_by("seq")] == [
        "technical_file.asked", "technical_file.issued",
    ]  # fmt: skip
    for act in (lambda: TechnicalFile.objects.update(number=9), lambda: TechnicalFile.objects.all().delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            act()


def test_an_issued_file_holds_its_version_and_model(team):
    version = make_version(team)
    issued(team, version)
    with pytest.raises(Forbidden, match="a technical file was issued for it, kept until"):
        versions.delete(team.scientist, version=version)
    with pytest.raises(Forbidden, match="a technical file was issued for it"):
        registered.delete(team.scientist, model=version.model)


def test_one_issue_at_a_time_and_numbers_go_on(team):
    version = make_version(team)
    first = technical_files.issue(team.manager, version=version)
    assert technical_files.issue(team.scientist, version=version) == first
    with pytest.raises(Conflict):
        technical_files.content(team.viewer, issued=first)
    tasks.issue_technical_file(first.pk)
    assert technical_files.work(first.pk, worker="late") is False
    assert technical_files.issue(team.ops, version=make_version(team)).number == 2
    with pytest.raises(Forbidden):
        technical_files.issue(team.viewer, version=version)


def test_an_issue_of_a_silent_worker_is_given_to_another(team):
    made = technical_files.issue(team.manager, version=make_version(team))
    held = lease.claim(TechnicalFile.objects.all(), made.pk, worker="silent")
    TechnicalFile.objects.update(lease_until=timezone.now() - timedelta(minutes=5))
    tasks.sweep_technical_files()
    made.refresh_from_db()
    assert (made.state, made.attempt) == ("queued", 1)
    assert technical_files.work(made.pk, worker="other")
    assert lease.finish(TechnicalFile.objects.all(), held, state="failed") is False


def test_two_issues_are_compared_in_words_and_judged(team):
    run = make_trained_run(team)
    one = make_version(team, run=run)
    cards.write(team.scientist, version=one, texts={"intended_purpose": "Rank customers who may leave."})
    bounded = result()
    bounded["metrics"][0] |= {"candidate_low": 0.87, "candidate_high": 0.89}
    make_request(team, version=one, found=bounded)
    old = issued(team, one)
    two = make_version(team)
    make_request(team, version=two, found=result(auc=0.95))
    technical_files.write(team.scientist, version=two, texts={"provider": "Ours Ltd."}, level="version")
    new = issued(team, two)
    found = technical_files.difference(team.viewer, old=old, new=new)
    assert (found["from"], found["to"]) == (1, 2)
    assert found["substantial"] == [
        "It learned from other data: customers v1 before, customers v2 now.",
        "roc_auc went from 0.88 (0.87 to 0.89) to 0.95.",
    ]
    assert ("provider", "added") in {(row["key"], row["change"]) for row in found["changes"]}
    same = technical_files.difference(team.viewer, old=new, new=issued(team, two))
    assert (same["substantial"], {row["key"] for row in same["changes"]}) == ([], set())
    other = issued(team, make_version(team, model="other"))
    with pytest.raises(Missing):
        technical_files.difference(team.viewer, old=old, new=other)
