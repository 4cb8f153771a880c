from datetime import timedelta

import pytest
from django.utils import timezone

from mlportal.lib.errors import Conflict, Forbidden, TooMany
from mlportal.views import waiting
from projects.models import AccessRequest, Event
from projects.services import access_requests
from tests.factories.projects import actor, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def mei(churn):
    return make_user("mei")


def ask(user, slug="churn", role="scientist"):
    return access_requests.ask(actor(user), slug=slug, role=role, reason="Joining the team.")


def test_the_same_answer_whether_or_not_there_is_such_a_project(churn, mei, client):
    client.force_login(mei)
    told = []
    for slug in ("churn", "nowhere"):
        answer = client.post("/access/", {"slug": slug, "role": "viewer", "reason": "x"}, follow=True)
        again = client.post("/access/", {"slug": slug, "role": "viewer", "reason": "x"})
        told.append((
            access_requests.ANSWERED in answer.content.decode().replace("&#x27;", "'"), again.status_code,
            f"Your request for {slug} waits already." in again.content.decode(),
        ))  # fmt: skip
    assert told == [(True, 422, True)] * 2
    states = AccessRequest.objects.order_by("pk").values_list("asked_for", "state", "project")
    assert list(states) == [("churn", "waiting", churn.pk), ("nowhere", "waiting", None)]


def test_requests_are_limited_alike(churn, mei):
    for slug in ("a1", "a2", "a3", "a4", "churn"):
        ask(mei, slug)
    for slug in ("a5", "other"):
        with pytest.raises(TooMany):
            ask(mei, slug)


def test_it_waits_in_the_inbox_of_admins_and_the_answer_in_that_of_the_person(churn, ana, mei):
    ask(mei)
    assert [item.title for item in waiting.for_person(actor(ana))] == ["mei asks to be Data scientist"]
    assert waiting.count(actor(ana)) == 1
    assert waiting.for_person(actor(make_user("vi", role="viewer", project=churn))) == []
    access_requests.decline(actor(ana), request=AccessRequest.objects.get(), answer="Ask your lead first.")
    assert waiting.for_person(actor(ana)) == []
    assert [item.title for item in waiting.for_person(actor(mei))] == ["Your request for churn is declined"]
    access_requests.see(actor(mei))
    assert waiting.for_person(actor(mei)) == []


def test_granting_gives_another_role_with_an_end(churn, ana, mei):
    until = timezone.now() + timedelta(days=30)
    request = ask(mei, role="admin")
    before = Event.objects.count()
    access_requests.grant(actor(ana), request=request, role="viewer", until=until)
    member = mei.memberships.get()
    assert (member.role, member.valid_until, member.granted_by) == ("viewer", until, ana)
    verbs = Event.objects.filter(seq__gt=before).order_by("seq").values_list("verb", flat=True)
    assert list(verbs) == ["member.added", "access.granted"]
    for again in (
        lambda: access_requests.grant(actor(ana), request=request),
        lambda: access_requests.decline(actor(ana), request=request, answer="no"),
        lambda: access_requests.withdraw(actor(mei), request=request),
    ):
        with pytest.raises(Conflict):
            again()


def test_only_who_manages_members_answers(churn, mei):
    request = ask(mei)
    for role in ("viewer", "scientist", "manager", "ops"):
        with pytest.raises(Forbidden):
            access_requests.grant(actor(make_user(role, role=role, project=churn)), request=request)
    nowhere = ask(mei, "nowhere")
    with pytest.raises(Forbidden):
        access_requests.grant(actor(mei), request=nowhere)


def test_one_withdraws_ones_own_and_it_expires(churn, mei):
    with pytest.raises(Forbidden):
        access_requests.withdraw(actor(make_user("bo")), request=ask(mei))
    access_requests.withdraw(actor(mei), request=AccessRequest.objects.get())
    late = ask(mei)
    AccessRequest.objects.filter(pk=late.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    assert (access_requests.expire(), access_requests.expire()) == (1, 0)
    assert AccessRequest.objects.get(pk=late.pk).state == "expired"


def test_what_one_holds_is_not_asked_for(churn, ana):
    with pytest.raises(Conflict, match="already"):
        ask(ana, role="admin")


def test_a_listed_project_is_offered_by_name(churn, ana, mei, client):
    client.force_login(mei)
    assert "Churn" not in client.get("/access/").content.decode()
    client.force_login(ana)
    assert client.post("/p/churn/settings/access/", {"listed": "yes"}).status_code == 303
    client.force_login(mei)
    assert "Churn" in client.get("/access/").content.decode()
    assert client.get("/p/churn/").status_code == 404


def test_pages_and_routes_of_the_answer(churn, ana, mei, client):
    headers = {"Authorization": f"Bearer {make_token(mei, None, ['read', 'write'])}"}
    body = {"project": "churn", "role": "ops", "reason": "On call."}
    made = client.post("/api/v1/access-requests/", body, content_type="application/json", headers=headers)
    assert made.status_code == 201
    client.force_login(ana)
    page = f"/p/churn/settings/access/{made.json()['id']}/"
    assert "On call." in client.get("/p/churn/settings/access/").content.decode()
    assert client.post(page, {"verdict": "decline", "answer": ""}).status_code == 422
    admin = {"Authorization": f"Bearer {make_token(ana, churn, ['read', 'admin'])}"}
    url = "/api/v1/projects/churn/access-requests/"
    assert [row["user"] for row in client.get(url, headers=admin).json()["results"]] == ["mei"]
    done = client.post(
        f"{url}{made.json()['id']}/answer/", {"verdict": "grant"}, content_type="application/json", headers=admin
    )
    assert (done.status_code, done.json()["state"]) == (200, "granted")
    assert client.post(page, {"verdict": "grant", "role": "ops"}).status_code == 422
    own = client.get("/api/v1/access-requests/", headers=headers).json()["results"]
    assert [row["state"] for row in own] == ["granted"]
