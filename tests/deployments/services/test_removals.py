"""A project is removed for good: with all its rows, never under a hold, and the audit log verifies."""

import json
import zipfile
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from deployments.models import ModelVersion, PaperRelease, Reproduction, TechnicalFile
from deployments.proof import filed
from deployments.services import removals
from mlportal.lib.errors import Conflict, Forbidden, Invalid
from mlportal.views import removals as pages
from projects.models import Anchor, Event, ObjectState, Project, ProjectRemoval
from projects.services import anchors, belongings, legal_holds, verification
from tests.factories.deployments import make_live, make_team, make_version
from tests.factories.projects import actor, make_project, make_token, make_user
from tests.house.kinds import fill
from tests.house.world import make_world

WHY = "The contract with the customer is over."


@pytest.fixture
def site(db):
    return actor(make_user("root", is_site_admin=True))


def late() -> object:
    return timezone.now() + timedelta(days=31)


def rows_of(project: Project) -> dict[str, int]:
    counts = {kind.model._meta.label: kind.rows(project).count() for kind in belongings.kinds()}
    return {label: count for label, count in counts.items() if count}


def quiet(project: Project) -> None:
    """Nothing of it answers, is asked for or runs, and no hold stands."""
    project.legal_holds.all().delete()
    removals.Endpoint.objects.filter(project=project).update(enabled=False)
    removals.PromotionRequest.objects.filter(project=project).update(state="withdrawn")
    removals.TrainingJob.objects.filter(project=project).update(state="cancelled")


def test_every_table_is_emptied_of_the_project_and_of_no_other(site):
    world = make_world()
    anchors.drop(cause=Anchor.Cause.HOUR)
    fill(world)
    ProjectRemoval.objects.all().delete()
    PaperRelease.objects.all().delete()
    other = make_live(make_team("other")).project
    kept = rows_of(other)
    quiet(world.project)
    issued = TechnicalFile.objects.filter(model__project=world.project)
    issued.exclude(state="succeeded").update(state="succeeded", asked_at=timezone.now())
    Reproduction.objects.filter(version__model__project=world.project, signature="").update(signature="signed")
    asked = removals.ask(site, project=world.project, confirm=world.project.slug, reason=WHY)
    there = rows_of(world.project)
    assert removals.tally(site, project=world.project) == there
    assert len(there) > 60
    assert removals.work() == 0  # its days are not over
    gone = removals.work(now=late())
    asked.refresh_from_db()
    assert asked.state == "removed"
    assert rows_of(world.project) == {}
    assert asked.rows == there
    assert gone == sum(there.values())
    assert rows_of(other) == kept
    assert not PaperRelease.objects.exists()
    left = Project.objects.get(pk=world.project.pk)
    assert (left.name, left.archived_at is None) == ("Removed project", False)
    assert not ObjectState.objects.filter(target_id=left.pk, target_type="project").exists()
    assert verification.verify().code == 0
    [told] = Event.objects.filter(verb="project.removed")
    assert (told.data["rows"], told.data["record_sha256"]) == (there, asked.record_sha256)
    assert removals.work(now=late()) == 0


def test_the_record_keeps_who_allowed_what(site, team, tmp_path):
    make_live(team)
    version = ModelVersion.objects.get(model__project=team.project)
    quiet(team.project)
    asked = removals.ask(site, project=team.project, confirm=team.project.slug, reason=WHY)
    removals.work(now=late())
    asked.refresh_from_db()
    given = tmp_path / "record.zip"
    given.write_bytes(removals.record(site, removal=asked))
    checked = filed.verify_pack(given)
    assert (checked.code, checked.message.partition(" is intact")[0]) == (
        0, f"The record of the removed project {team.project.slug}",
    )  # fmt: skip
    with zipfile.ZipFile(given) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        [kept] = [json.loads(line) for line in archive.read("records/modelversion.jsonl").splitlines()]
        assert "manifest.sig" in archive.namelist()
    assert kept["manifest_sha256"] == version.manifest_sha256
    assert manifest["name"] == team.project.name
    assert manifest["rows"]["deployments.EndpointRevision"] == 1
    assert not ModelVersion.objects.exists()
    removals.work(now=asked.record_until + timedelta(days=1))
    asked.refresh_from_db()
    assert asked.record_sha256 == ""


def test_nothing_goes_while_something_needs_it(site, team):
    live = make_live(team)

    def refused() -> str:
        with pytest.raises(Conflict) as found:
            removals.ask(site, project=team.project, confirm=team.project.slug, reason=WHY)
        return found.value.code

    assert refused() == "in_use"
    assert live.name in removals.kept_back(site, project=team.project)
    quiet(team.project)
    hold = legal_holds.place(team.admin, project=team.project, reason="A letter of the court.")
    assert refused() == "legal_hold"
    legal_holds.lift(team.admin, hold=hold, reason="The case is closed.")
    asked = removals.ask(site, project=team.project, confirm=team.project.slug, reason=WHY)
    # placed after all, by whatever way: the round stops before the first row
    team.project.legal_holds.create(reason="Late letter.", placed_by=team.admin.user)
    before = rows_of(team.project)
    assert removals.work(now=late()) == 0
    asked.refresh_from_db()
    assert (asked.waits_for, asked.begun_at) == ("it is kept by a legal hold", None)
    assert rows_of(team.project) == before


def test_a_removal_that_was_cut_off_goes_on(site, team, monkeypatch):
    make_version(team)
    asked = removals.ask(site, project=team.project, confirm=team.project.slug, reason=WHY)
    there = rows_of(team.project)
    monkeypatch.setattr(removals, "MOST_BATCHES", 1)
    monkeypatch.setattr(removals, "BATCH", 2)
    rounds = 0
    while asked.done_at is None and rounds < 500:
        removals.work(now=late())
        asked.refresh_from_db()
        rounds += 1
    assert rounds > 1
    assert asked.rows == there
    with pytest.raises(Conflict, match="begun"):
        removals.call_off(site, removal=asked)


def test_called_off_everybody_sees_it_again(site, team):
    make_version(team)
    before = rows_of(team.project)
    asked = removals.ask(site, project=team.project, confirm=team.project.slug, reason=WHY)
    assert not Project.objects.visible_to(team.admin).exists()
    with pytest.raises(Conflict, match="asked for already"):
        removals.ask(site, project=team.project, confirm=team.project.slug, reason=WHY)
    removals.call_off(site, removal=asked)
    assert Project.objects.visible_to(team.admin).exists()
    assert removals.work(now=late()) == 0
    assert rows_of(team.project) == before


def test_only_a_site_administrator_who_types_the_name(site, team):
    with pytest.raises(Forbidden):
        removals.ask(team.admin, project=team.project, confirm=team.project.slug, reason=WHY)
    for confirm, reason, field in (("chrun", WHY, "confirm"), (team.project.slug, "old", "reason")):
        with pytest.raises(Invalid) as wrong:
            removals.ask(site, project=team.project, confirm=confirm, reason=reason)
        assert wrong.value.field == field
    assert not ProjectRemoval.objects.exists()


def test_by_page(site, team, client, monkeypatch):
    client.force_login(site.user)
    make_version(team)
    slug = team.project.slug
    shown = client.get("/admin/removals/", {"project": slug}).content.decode()
    assert "deployments.ModelVersion" in shown
    wrong = client.post("/admin/removals/", {"project": slug, "confirm": "no", "reason": WHY})
    assert wrong.status_code == 422
    assert f"Type {slug} to confirm." in wrong.content.decode()
    assert client.post("/admin/removals/", {"project": slug, "confirm": slug, "reason": WHY}).status_code == 303
    asked = ProjectRemoval.objects.get()
    assert client.get(f"/p/{slug}/").status_code == 404
    assert "Call off" in client.get("/admin/removals/").content.decode()
    monkeypatch.setattr(pages, "SHOWN", 1)
    newer = ProjectRemoval.objects.create(
        project=make_project("newer"), name="Newer", reason=WHY, asked_by=site.user, due_at=asked.due_at
    )
    first = client.get("/admin/removals/").content.decode()
    assert (f'href="?before={newer.pk}" rel="next"' in first, "Newer" in first) == (True, True)
    last = client.get("/admin/removals/", {"before": newer.pk}).content.decode()
    assert ('rel="next"' in last, f">{asked.name}<" in last) == (False, True)
    assert client.get(f"/admin/removals/{asked.pk}/record/").status_code == 404
    assert client.post(f"/admin/removals/{asked.pk}/call-off/").status_code == 303
    assert client.get(f"/p/{slug}/").status_code == 200


def test_by_rest(site, team):
    caller = Client(headers={"Authorization": f"Bearer {make_token(site.user, None, ['read', 'admin'])}"})
    slug = team.project.slug
    looked = caller.get("/api/v1/removals/preview/", {"project": slug}).json()
    assert (looked["kept_back"], looked["rows"]["projects.Membership"] > 1) == ("", True)
    body = {"project": slug, "confirm": slug, "reason": "short"}
    assert caller.post("/api/v1/removals/", body, content_type="application/json").status_code == 400
    made = caller.post("/api/v1/removals/", body | {"reason": WHY}, content_type="application/json")
    assert (made.status_code, made.json()["state"]) == (201, "waiting")
    removals.work(now=late())
    [row] = caller.get("/api/v1/removals/").json()["results"]
    assert (row["state"], row["rows"]["projects.Membership"] > 1) == ("removed", True)
    taken = caller.get(f"/api/v1/removals/{row['id']}/record/")
    assert taken["Content-Type"] == "application/zip"
    assert Event.objects.filter(verb="project.record_exported").count() == 1
    assert caller.post(f"/api/v1/removals/{row['id']}/call-off/").status_code == 409
