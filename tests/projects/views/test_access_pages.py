from datetime import timedelta

import pytest
from django.utils import timezone

from experiments.models import Folder, FolderRole
from projects.models import Group, GroupGrant
from tests.factories.projects import make_token, make_user

pytestmark = pytest.mark.django_db
WHY, WHO = "/p/churn/settings/access/why/", "/p/churn/settings/access/who/"


@pytest.fixture
def mei(churn):
    return make_user("mei", role="viewer", project=churn)


def test_one_asks_about_oneself(churn, mei, client):
    client.force_login(mei)
    empty = client.get(WHY).content.decode()
    assert "Ask about a right" in empty
    assert 'name="person"' not in empty
    page = client.get(WHY, {"permission": "run.log"}).content.decode()
    assert "You may not log runs" in page
    assert "Request access" in page
    assert "You may look at runs" in client.get(WHY, {"permission": "run.view"}).content.decode()
    assert client.get(WHY, {"permission": "run.log", "person": "root"}).status_code == 403
    assert client.get(WHO).status_code == 403


@pytest.mark.parametrize(
    ("asked", "status"),
    [({"permission": "nonsense"}, 400), ({"permission": "run.log", "on": "run:9"}, 404),
     ({"permission": "run.log", "on": "planet"}, 400), ({"permission": "run.log", "token": "9"}, 404)],
)  # fmt: skip
def test_what_is_wrong_is_said_on_the_page(churn, mei, client, asked, status):
    client.force_login(mei)
    page = client.get(WHY, asked)
    assert page.status_code == status
    assert 'role="alert"' in page.content.decode()


def test_who_manages_members_asks_about_others_and_who_may(churn, mei, client):
    client.force_login(make_user("ada", role="admin", project=churn))
    assert "mei may not log runs" in client.get(WHY, {"permission": "run.log", "person": "mei"}).content.decode()
    assert client.get(WHY, {"permission": "run.log", "person": "nobody"}).status_code == 404
    page = client.get(WHO, {"permission": "run.view", "on": ""}).content.decode()
    assert "Viewer directly" in page
    assert "Site administrator" in page
    then = client.get(WHO, {"permission": "run.view", "as_of": "2020-01-01"})
    assert "Nobody holds this right there" in then.content.decode()
    assert "As it was on 1 January 2020" in then.content.decode()
    assert client.get(WHO, {"permission": "run.view", "as_of": "x"}).status_code == 400


def test_every_refusal_of_a_member_leads_here(churn, mei, client):
    client.force_login(mei)
    page = client.post("/p/churn/settings/members/", {"user": "x", "role": "viewer"})
    assert page.status_code == 403
    assert f"{WHY}?permission=member.manage&amp;on=" in page.content.decode()
    assert client.get(f"{WHY}?permission=member.manage&on=").status_code == 200


def test_the_api_of_why_and_who(churn, mei, client):
    ada = make_user("ada", role="admin", project=churn)
    own = {"Authorization": f"Bearer {make_token(mei, churn, ['read'])}"}
    site = {"Authorization": f"Bearer {make_token(ada, churn, ['read', 'admin'])}"}
    api = "/api/v1/projects/churn/access/"
    answer = client.get(f"{api}why/", {"permission": "run.log"}, headers=own).json()
    assert (answer["person"], answer["may"], answer["remedies"]) == (
        "mei", False, ["A token with the scope write", "The role Data scientist or Project admin"],
    )  # fmt: skip
    refused = client.post("/api/v1/projects/churn/members/", {}, content_type="application/json", headers=own)
    assert refused.json()["permission"] == "member.manage"
    assert client.get(f"{api}why/", {"permission": "run.log", "person": "ada"}, headers=own).status_code == 403
    assert client.get(f"{api}who/", {"permission": "run.log"}, headers=own).status_code == 403
    listed = client.get(f"{api}who/", {"permission": "run.log"}, headers=site).json()
    assert listed == {
        "results": [
            {"person": "ada", "service": False, "may": True, "excluded": "", "sources": ["Project admin directly"]}
        ],
        "after": "",
    }  # fmt: skip


def test_roles_of_groups_and_on_folders_as_they_were(churn, mei, client):
    folder = Folder.objects.create(project=churn, name="a", name_key="a", created_at=timezone.now())
    group = Group.objects.create(name="Risk", name_key="risk", created_by=churn.created_by)
    now = timezone.now()
    ended = {"valid_to": now - timedelta(days=1)}
    GroupGrant.objects.create(group=group, project=churn, role="ops", **ended)
    FolderRole.objects.create(project=churn, folder=folder, folder_name="a", user=mei, role="scientist", **ended)
    for rows in (GroupGrant.objects, FolderRole.objects):
        rows.update(valid_from=now - timedelta(days=3))
    own = {"Authorization": f"Bearer {make_token(mei, churn, ['read'])}"}

    def then(days):
        asked = {"as_of": (now - timedelta(days=days)).isoformat()}
        body = client.get("/api/v1/projects/churn/members/", asked, headers=own).json()
        return [(row["group"], row["role"]) for row in body["group_roles"]], [
            (row["folder"], row["who"]) for row in body["folder_roles"]
        ]

    assert then(2) == ([("Risk", "Ops")], [("a", "mei")])
    assert then(4) == ([], [])
    client.force_login(mei)
    page = client.get("/p/churn/settings/members/", {"as_of": (now - timedelta(days=2)).isoformat()})
    assert "Roles on folders" in page.content.decode()
