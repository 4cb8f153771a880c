from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from projects.models import Group, GroupGrant, GroupMapping, GroupMember, Membership
from projects.services import groups
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(churn):
    return churn.created_by


def test_a_group_from_its_making_to_its_end_on_pages(churn, root, client):
    make_user("mei")
    ana = make_user("ana", role="admin", project=churn)
    client.force_login(root)
    assert client.post("/groups/", {"name": "Risk", "description": ""}).status_code == 303
    group = Group.objects.get()
    assert client.post("/groups/", {"name": "risk"}).status_code == 422
    assert client.post(f"/groups/{group.pk}/", {"user": "mei"}).status_code == 303
    assert client.post(f"/groups/{group.pk}/", {"user": "nobody"}).status_code == 422
    named = {"provider": "corp", "external_name": "/risk", "group": "Risk"}
    assert client.post("/groups/mappings/", named).status_code == 303
    assert client.post("/groups/mappings/", named).status_code == 422
    assert "/risk" in client.get("/groups/").content.decode()
    client.force_login(ana)
    settings = "/p/churn/settings"
    assert client.post(f"{settings}/group-roles/", {"group": "Risk", "role": "ops", "until": ""}).status_code == 303
    assert client.post(f"{settings}/group-roles/", {"group": "None", "role": "ops"}).status_code == 422
    page = client.get(f"{settings}/members/").content.decode()
    assert "through Risk" in page
    assert "direct" in page
    assert client.post(f"{settings}/group-roles/{GroupGrant.objects.get().pk}/end/").status_code == 303
    client.force_login(root)
    assert client.post(f"/groups/mappings/{GroupMapping.objects.get().pk}/end/").status_code == 303
    member = GroupMember.objects.get(valid_to=None)
    assert client.post(f"/groups/{group.pk}/members/{member.pk}/end/").status_code == 303
    assert client.post(f"/groups/{group.pk}/archive/").status_code == 303
    assert client.get(f"/groups/{group.pk}/").status_code == 404


def test_others_do_not_see_a_group_and_members_only_look(churn, root, client):
    group = groups.create(actor(root), name="Risk")
    mei, bo = make_user("mei"), make_user("bo")
    groups.add(actor(root), group=group, user=mei)
    client.force_login(bo)
    assert client.get(f"/groups/{group.pk}/").status_code == 404
    assert client.post("/groups/", {"name": "x"}).status_code == 403
    client.force_login(mei)
    assert client.get(f"/groups/{group.pk}/").status_code == 200
    assert client.post(f"/groups/{group.pk}/", {"user": "bo"}).status_code == 403
    assert client.post(f"/groups/{group.pk}/archive/").status_code == 403


def test_a_group_as_it_was_says_who_was_in_it_and_what_it_held(churn, root, client):
    now, group = timezone.now(), groups.create(actor(root), name="Risk")
    mei, bo = make_user("mei"), make_user("bo")
    for person in (mei, bo):
        groups.add(actor(root), group=group, user=person)
    GroupGrant.objects.create(group=group, project=churn, role="ops", granted_by=root)
    for rows in (GroupMember.objects, GroupGrant.objects):
        rows.update(valid_from=now - timedelta(days=3))
    GroupMember.objects.filter(user=bo).update(valid_to=now - timedelta(days=1))
    groups.archive(actor(root), group=group)
    asked = [{"as_of": (now - timedelta(days=days)).isoformat()} for days in (2, 0.5, 9)]
    site = {"Authorization": f"Bearer {make_token(root, None, ['read', 'admin'])}"}
    found = [client.get(f"/api/v1/groups/{group.pk}/", each, headers=site).json() for each in asked]
    assert [[row["member"] for row in body["people"]] for body in found] == [["bo", "mei"], ["mei"], []]
    assert [[(row["project"], row["role"]) for row in body["roles"]] for body in found] == [
        [(churn.name, "Ops")], [(churn.name, "Ops")], [],
    ]  # fmt: skip
    client.force_login(root)
    page = client.get(f"/groups/{group.pk}/", asked[0]).content.decode()
    assert "As it was on" in page
    assert "Roles in projects" in page
    assert client.get(f"/groups/{group.pk}/", {"as_of": "soon"}).status_code == 400
    client.force_login(make_user("eve"))
    assert client.get(f"/groups/{group.pk}/", asked[0]).status_code == 404


def test_the_api_of_groups(churn, root, client):
    make_user("mei")
    ana = make_user("ana", role="admin", project=churn)
    site = {"Authorization": f"Bearer {make_token(root, None, ['read', 'admin'])}"}
    here = {"Authorization": f"Bearer {make_token(ana, churn, ['read', 'admin'])}"}

    def send(method, url, data=None, headers=site):
        return getattr(client, method)(f"/api/v1/{url}", data, content_type="application/json", headers=headers)

    made = send("post", "groups/", {"name": "Risk"})
    assert made.status_code == 201
    url = f"groups/{made.json()['id']}/"
    assert send("patch", url, {"description": "All of risk"}).json()["name"] == "Risk"
    member = send("post", f"{url}members/", {"user": "mei"})
    assert member.json() | {"id": 0, "valid_from": ""} == {
        "id": 0, "user": "mei", "is_owner": False, "source": "", "valid_from": "",
    }  # fmt: skip
    assert send("get", "groups/", headers=here).status_code == 403  # a token of one project reaches no group
    grant = send("post", "projects/churn/group-roles/", {"group": "risk", "role": "viewer"}, here)
    assert grant.status_code == 201
    listed = send("get", "projects/churn/members/", headers=here).json()["results"]
    assert [(row["user"], row["role"], row["group"]) for row in listed] == [
        ("mei", "viewer", "Risk"), ("ana", "admin", None),
    ]  # fmt: skip
    assert send("delete", f"projects/churn/group-roles/{grant.json()['id']}/", headers=here).status_code == 204
    mapping = send("post", "group-mappings/", {"provider": "corp", "external_name": "r", "group": "Risk"})
    assert send("get", "group-mappings/").json()["results"][0]["group"] == "Risk"
    assert send("delete", f"group-mappings/{mapping.json()['id']}/").status_code == 204
    assert send("delete", f"{url}members/{member.json()['id']}/").status_code == 204
    assert send("delete", url).status_code == 204


def test_a_member_with_an_end_by_page_and_api(churn, client):
    ana, mei = make_user("ana", role="admin", project=churn), make_user("mei")
    client.force_login(ana)
    given = {"user": "mei", "role": "viewer", "until": "2099-01-01"}
    assert client.post("/p/churn/settings/members/", given).status_code == 422  # more than five years ahead
    headers = {"Authorization": f"Bearer {make_token(ana, churn, ['read', 'admin'])}"}
    url = "/api/v1/projects/churn/members/"
    made = client.post(url, {"user": "mei", "role": "viewer"}, content_type="application/json", headers=headers)
    one = f"{url}{made.json()['id']}/"
    changed = client.patch(one, {"role": "ops", "until": None}, content_type="application/json", headers=headers)
    assert changed.json()["role"] == "ops"
    assert list(Membership.objects.open().filter(user=mei).values_list("role", flat=True)) == ["ops"]


@pytest.mark.parametrize("address", ["/groups/", "/p/churn/settings/members/", "group"])
def test_lists_ask_the_same_however_long(churn, root, client, address):
    client.force_login(root)
    first = groups.create(actor(root), name="g0")
    url = f"/groups/{first.pk}/" if address == "group" else address

    def grow(number: int) -> None:
        group = groups.create(actor(root), name=f"g{number}")
        user = make_user(f"u{number}")
        groups.add(actor(root), group=first, user=user)
        groups.map_name(actor(root), provider="corp", external_name=f"n{number}", group=group)
        GroupGrant.objects.create(group=group, project=churn, role="viewer")
        GroupGrant.objects.create(group=first, project=make_project(f"p{number}"), role="viewer")
        Membership.objects.create(project=churn, user=user, role="viewer", group=group)

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        return len(queries)

    grow(1)
    asked()
    few = asked()
    grow(2)
    grow(3)
    assert asked() == few


def test_a_group_gets_another_name_and_its_role_another_end(churn, root, client):
    group = groups.create(actor(root), name="Risk")
    other = groups.create(actor(root), name="Other")
    groups.add(actor(root), group=group, user=make_user("mei"))
    client.force_login(root)
    assert client.post(f"/groups/{group.pk}/edit/", {"name": "Risk team", "description": "All"}).status_code == 303
    assert client.post(f"/groups/{other.pk}/edit/", {"name": "risk TEAM"}).status_code == 422
    ana = make_user("ana", role="admin", project=churn)
    client.force_login(ana)
    assert client.post(f"/groups/{group.pk}/edit/", {"name": "x"}).status_code == 403
    settings = "/p/churn/settings/group-roles/"
    client.post(settings, {"group": "Risk team", "role": "viewer", "until": ""})
    first = GroupGrant.objects.get(valid_to=None)
    assert client.post(f"{settings}{first.pk}/", {"role": "ops", "until": "yesterday"}).status_code == 422
    assert client.post(f"{settings}{first.pk}/", {"role": "ops", "until": "2029-01-01"}).status_code == 303
    changed = GroupGrant.objects.get(valid_to=None)
    assert (changed.role, f"{changed.valid_until:%Y-%m-%d}") == ("ops", "2029-01-02")
    assert Membership.objects.get(user__username="mei", valid_to=None).role == "ops"
    here = {"Authorization": f"Bearer {make_token(ana, churn, ['read', 'admin'])}"}
    api = f"/api/v1/projects/churn/group-roles/{changed.pk}/"
    kept = client.patch(api, {"role": "scientist"}, content_type="application/json", headers=here).json()
    assert (kept["role"], kept["valid_until"][:10]) == ("scientist", "2029-01-02")
    last = f"/api/v1/projects/churn/group-roles/{kept['id']}/"
    open_end = client.patch(last, {"until": None}, content_type="application/json", headers=here).json()
    assert open_end["valid_until"] is None
