"""Every page of people, projects, members, tokens and the audit log."""

import io
import json
import zipfile

import pytest
from django.urls import reverse

from projects.models import ApiToken, Event, Membership, Project, User
from projects.services import accounts, signing_in, tokens
from tests.factories.projects import PASSWORD, actor, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(db):
    return make_user("root", is_site_admin=True)


@pytest.fixture
def churn(root):
    return make_project()


@pytest.fixture
def ana(churn):
    return make_user("ana", role="admin", project=churn)


@pytest.fixture
def as_root(client, root):
    client.force_login(root)
    return client


@pytest.fixture
def as_ana(client, ana):
    client.force_login(ana)
    return client


# ---------------------------------------------------------------- signing in


def test_pages_ask_for_sign_in(client):
    for address in ("/", "/inbox/", "/account/", "/projects/", "/admin/", "/p/churn/"):
        response = client.get(address)
        assert (response.status_code, response["Location"].startswith("/sign-in/?next=")) == (302, True), address


def test_sign_in_goes_where_the_person_wanted(client, root):
    before = client.session.session_key
    response = client.post("/sign-in/", {"username": "root", "password": PASSWORD, "next": "/projects/"})
    assert (response.status_code, response["Location"]) == (303, "/projects/")
    assert client.session.session_key != before


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_sign_in_never_leaves_the_portal(client, root, elsewhere):
    response = client.post("/sign-in/", {"username": "root", "password": PASSWORD, "next": elsewhere})
    assert response["Location"] == "/"


def test_sign_in_refuses_with_one_sentence(client, root):
    response = client.post("/sign-in/", {"username": "root", "password": "wrong"})
    assert response.status_code == 422
    assert signing_in.WRONG in response.content.decode()


def test_sign_in_is_limited(client, root):
    for _ in range(signing_in.TRIES_PER_ACCOUNT):
        client.post("/sign-in/", {"username": "root", "password": "wrong"})
    response = client.post("/sign-in/", {"username": "root", "password": PASSWORD})
    assert (response.status_code, int(response["Retry-After"]) > 0) == (429, True)


def test_sign_out_ends_the_session(as_root):
    assert as_root.post("/sign-out/")["Location"] == "/sign-in/"
    assert as_root.get("/").status_code == 302


def test_set_up_signs_the_first_administrator_in(client, settings):
    path = accounts.setup_link().removeprefix(settings.BASE_URL)
    assert client.get(path).status_code == 200
    form = {"username": "ana", "email": "ana@example.org", "password": PASSWORD, "again": PASSWORD}
    assert client.post(path, {**form, "again": "other"}).status_code == 422
    assert client.post(path, form)["Location"] == "/"
    assert client.get("/").status_code == 200
    assert client.get(path).status_code == 404


def test_a_given_password_must_be_changed_first(client, root):
    new = accounts.add(actor(root), username="mei", email="mei@example.org")
    client.post("/sign-in/", {"username": "mei", "password": new.password})
    assert client.get("/")["Location"] == "/account/password/"
    form = {"old": new.password, "new": PASSWORD, "again": PASSWORD}
    assert client.post("/account/password/", form).status_code == 303
    assert client.get("/").status_code == 200


def test_a_deactivated_person_is_out_at_once(as_ana, root, ana):
    assert as_ana.get("/").status_code == 200
    accounts.deactivate(actor(root), user=ana)
    assert as_ana.get("/").status_code == 302


def test_a_changed_password_ends_other_sessions(client, root):
    from django.test import Client

    other = Client()
    for each in (client, other):
        each.post("/sign-in/", {"username": "root", "password": PASSWORD})
    form = {"old": PASSWORD, "new": "another long sentence", "again": "another long sentence"}
    assert client.post("/account/password/", form).status_code == 303
    assert (client.get("/").status_code, other.get("/").status_code) == (200, 302)


# ---------------------------------------------------------------- own account


def test_profile(as_ana, ana):
    assert as_ana.get("/account/").status_code == 200
    form = {"display_name": "Ana Ruiz", "email": "ana@example.org", "theme": "dark", "density": "comfortable",
            "time_zone": "Europe/Madrid", "single_keys": "on"}  # fmt: skip
    assert as_ana.post("/account/", form).status_code == 303
    page = as_ana.get("/account/").content.decode()
    assert 'data-theme="dark" data-density="comfortable"' in page
    assert as_ana.post("/account/", {**form, "email": "nothing"}).status_code == 422


def test_theme(as_ana, ana):
    assert as_ana.post("/account/theme/", {"theme": "dark"}).status_code == 303
    assert as_ana.post("/account/theme/", {"theme": "light"}, headers={"Sec-Fetch-Mode": "cors"}).status_code == 204
    assert as_ana.post("/account/theme/", {"theme": "pink"}).status_code == 400
    ana.refresh_from_db()
    assert ana.theme == "light"


def test_a_token_is_shown_once(as_ana, churn):
    assert as_ana.get("/account/tokens/").status_code == 200
    form = {"name": "ci", "project": "churn", "scopes": ["read"], "days": "30"}
    page = as_ana.post("/account/tokens/", form)
    row = ApiToken.objects.get()
    assert (page.status_code, row.project) == (201, churn)
    assert page.content.decode().count(f">{row.hint}") == 2  # the secret and the row's hint
    assert as_ana.get("/account/tokens/").content.decode().count(f">{row.hint}") == 1


def test_a_token_form_refuses(as_ana, root):
    make_project("other", owner=root)
    for change in ({"scopes": []}, {"days": "999"}, {"project": "other"}, {"name": "<b>"}):
        form = {"name": "ci", "project": "churn", "scopes": ["read"], "days": "30", **change}
        assert as_ana.post("/account/tokens/", form).status_code == 422, change
    assert ApiToken.objects.count() == 0


def test_revoke_own_tokens_only(as_ana, ana, churn, root):
    own = tokens.create(actor(ana), project=churn, name="ci", scopes=["read"]).token
    others = tokens.create(actor(root), project=churn, name="ci", scopes=["read"]).token
    assert as_ana.post(f"/account/tokens/{others.pk}/revoke/").status_code == 404
    assert as_ana.post(f"/account/tokens/{own.pk}/revoke/").status_code == 303
    assert ApiToken.objects.filter(revoked_at=None).get() == others


# ---------------------------------------------------------------- site administration


def test_users(as_root):
    page = as_root.post("/admin/", {"username": "mei", "email": "mei@example.org"})
    assert (page.status_code, page.context["new"].password in page.content.decode()) == (201, True)
    assert as_root.post("/admin/", {"username": "MEI", "email": "m@example.org"}).status_code == 422
    assert as_root.post("/admin/users/mei/deactivate/").status_code == 303
    assert not User.objects.get(username="mei").is_active
    assert as_root.post("/admin/users/mei/activate/").status_code == 303
    assert as_root.post("/admin/users/mei/password/").status_code == 200
    assert as_root.post("/admin/users/mei/delete/").status_code == 404
    assert as_root.post("/admin/users/root/deactivate/").status_code == 409


def test_new_project(as_root):
    assert as_root.get("/projects/new/").status_code == 200
    response = as_root.post("/projects/new/", {"name": "Card fraud", "slug": "", "description": ""})
    assert response["Location"] == "/p/card-fraud/settings/members/"
    assert as_root.post("/projects/new/", {"name": "Card fraud"}).status_code == 422


def test_site_pages_are_for_administrators(as_ana):
    for address in ("/admin/", "/admin/audit/", "/projects/new/"):
        assert as_ana.get(address).status_code == 403, address


# ---------------------------------------------------------------- a project's settings


def test_settings(as_ana, churn):
    assert as_ana.get("/p/churn/settings/").status_code == 200
    assert as_ana.post("/p/churn/settings/", {"name": "Churn 2", "description": "Who leaves."}).status_code == 303
    assert as_ana.post("/p/churn/settings/", {"name": ""}).status_code == 422
    assert Project.objects.get().name == "Churn 2"


def test_a_viewer_reads_settings_but_does_not_change_them(client, churn, ana):
    client.force_login(make_user("vic", role="viewer", project=churn))
    assert client.get("/p/churn/settings/").status_code == 200
    response = client.post("/p/churn/settings/", {"name": "Mine"})
    assert response.status_code == 403
    assert "ana can give you a role" in response.content.decode()
    assert client.get("/p/churn/settings/audit/").status_code == 403


def test_an_outsider_does_not_learn_that_a_project_exists(client, churn):
    client.force_login(make_user("out"))
    for page in ("", "settings/", "settings/members/", "settings/audit/"):
        assert client.get(f"/p/churn/{page}").status_code == 404


def test_archive(as_ana, churn):
    assert as_ana.post("/p/churn/settings/archive/").status_code == 303
    assert as_ana.get("/p/churn/").status_code == 404


def test_members(as_ana, churn):
    make_user("mei")
    page = "/p/churn/settings/members/"
    assert as_ana.post(page, {"user": "MEI", "role": "viewer"}).status_code == 303
    assert as_ana.post(page, {"user": "nobody", "role": "viewer"}).status_code == 422
    assert as_ana.post(page, {"user": "mei", "role": "viewer"}).status_code == 422
    member = Membership.objects.get(user__username="mei")
    assert as_ana.post(f"{page}{member.pk}/role/", {"role": "ops"}).status_code == 303
    member = Membership.objects.get(user__username="mei", valid_to=None)
    assert member.role == "ops"
    assert as_ana.post(f"{page}{member.pk}/remove/").status_code == 303
    assert as_ana.post(f"{page}{member.pk}/remove/").status_code == 404
    own = Membership.objects.get(user__username="ana")
    assert as_ana.post(f"{page}{own.pk}/remove/").status_code == 409


@pytest.mark.parametrize("count", [1, 3])
def test_members_take_the_same_queries(as_ana, churn, count, django_assert_num_queries):
    for number in range(count):
        make_user(f"user{number}", role="viewer", project=churn)
    as_ana.get("/p/churn/settings/members/")
    with django_assert_num_queries(8):  # one each for roles of groups and on folders
        as_ana.get("/p/churn/settings/members/")


@pytest.mark.parametrize("count", [1, 3])
def test_projects_take_the_same_queries(as_root, root, count, django_assert_num_queries):
    for number in range(count):
        make_project(f"p{number}", owner=root)
    with django_assert_num_queries(4):
        as_root.get("/projects/")


@pytest.mark.parametrize("count", [1, 3])
def test_users_take_the_same_queries(as_root, count, django_assert_num_queries):
    for number in range(count):
        make_user(f"user{number}")
    with django_assert_num_queries(4):
        as_root.get("/admin/")


@pytest.mark.parametrize("count", [1, 3])
def test_tokens_take_the_same_queries(as_ana, ana, churn, count, django_assert_num_queries):
    for number in range(count):
        tokens.create(actor(ana), project=churn, name=f"t{number}", scopes=["read"])
    with django_assert_num_queries(7):
        as_ana.get("/account/tokens/")


# ---------------------------------------------------------------- the audit log


@pytest.fixture
def log(churn, ana):
    for number in range(3):
        tokens.create(actor(ana), project=churn, name=f"t{number}", scopes=["read"])


def shown(page) -> list[str]:
    return [event.target_label.partition("(")[2].rstrip(")") for event, *_ in page.context["lines"]]


def test_audit_pages_by_cursor(as_ana, log, monkeypatch):
    monkeypatch.setattr("projects.views.audit.PAGE", 2)
    first = as_ana.get("/p/churn/settings/audit/")
    assert shown(first) == ["t2", "t1"]
    second = as_ana.get(f"/p/churn/settings/audit/?before={first.context['older']}")
    assert (shown(second), second.context["older"]) == (["t0"], None)


@pytest.mark.parametrize(
    ("query", "names"),
    [("actor=ANA", ["t2", "t1", "t0"]), ("actor=eve", []), ("verb=token.created", ["t2", "t1", "t0"]),
     ("target=(t1)", ["t1"]), ("since=2999-01-01", []), ("until=2000-01-01", []),
     ("since=2000-01-01", ["t2", "t1", "t0"])],
)  # fmt: skip
def test_audit_filters(as_ana, log, query, names):
    assert shown(as_ana.get(f"/p/churn/settings/audit/?{query}")) == names


def test_audit_says_what_it_cannot_read(as_ana, log):
    response = as_ana.get("/p/churn/settings/audit/?since=yesterday&actor=eve")
    assert (response.status_code, shown(response)) == (422, [])


@pytest.mark.parametrize("count", [1, 3])
def test_audit_takes_the_same_queries(as_ana, ana, churn, count, django_assert_num_queries):
    for number in range(count):
        tokens.create(actor(ana), project=churn, name=f"t{number}", scopes=["read"])
    with django_assert_num_queries(7):
        as_ana.get("/p/churn/settings/audit/")


def exported(response) -> list[dict]:
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as archive:
        return [json.loads(line) for line in archive.read("entries.jsonl").splitlines()]


def test_audit_export(as_ana, log):
    only = {"target": "(t1)"}  # with its brackets: "t1" may stand in the random part of another token
    response = as_ana.post("/p/churn/settings/audit/export/", only)
    lines = exported(response)
    assert [line["entry"]["verb"] for line in lines] == ["token.created"]
    assert Event.objects.latest("seq").data == {"filter": only}


def test_site_audit(as_root, log):
    assert as_root.get("/admin/audit/").status_code == 200
    response = as_root.post("/admin/audit/export/")
    assert len(exported(response)) == 3


def test_every_page_is_named(root):
    assert reverse("projects:member-list", args=["churn"]) == "/p/churn/settings/members/"
