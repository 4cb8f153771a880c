"""Sessions: what is kept of them, the list, ending them, time-outs, and proving again who one is."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import Client
from django.utils import timezone

from mlportal.lib.errors import Forbidden, Invalid, Missing, TooMany
from projects.models import ApiToken, Event, Session
from projects.services import accounts, devices, sessions, stepup, tokens
from projects.services.session_store import AUTHENTICATED, kept
from projects.views.step_up import FIELD
from tests.factories.projects import PASSWORD, actor, make_project, make_token, make_user

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def signed_in(name: str, **headers: str) -> Client:
    client = Client(headers=headers)
    answer = client.post("/sign-in/", {"username": name, "password": PASSWORD})
    assert answer.status_code == 303
    return client


def send(client: Client, path: str, values: dict[str, object]):
    """Post as a page's form does."""
    return client.post(path, urlencode(values, doseq=True), content_type="application/x-www-form-urlencoded")


def cookie(client: Client) -> str:
    return client.cookies["mlportal_session"].value


def grow_old(client: Client, minutes: float) -> None:
    """The person proved who they are so many minutes ago."""
    session = client.session
    session[AUTHENTICATED] = (timezone.now() - timedelta(minutes=minutes)).timestamp()
    session.save()


def test_the_table_holds_no_key_that_a_cookie_could_carry():
    make_user("ana")
    client = signed_in("ana")
    row = Session.objects.get()
    assert cookie(client) not in (row.session_key, row.handle)
    assert row.session_key == kept(cookie(client))
    thief = Client()
    thief.cookies["mlportal_session"] = row.session_key
    assert thief.get("/account/").status_code == 302


def test_signing_in_changes_the_key_and_keeps_no_row_of_the_key_before():
    ana = make_user("ana")
    client = Client()
    session = client.session
    session["anything"] = 1
    session.save()
    before = session.session_key
    client.cookies["mlportal_session"] = before
    client.post("/sign-in/", {"username": "ana", "password": PASSWORD})
    assert cookie(client) != before
    assert [row.user for row in Session.objects.all()] == [ana]


def test_a_row_tells_device_and_address():
    make_user("ana")
    signed_in("ana", user_agent=FIREFOX)
    row = Session.objects.get()
    assert (devices.words(row.agent), row.address) == ("Firefox on Linux", "127.0.0.1")


def test_the_page_lists_own_sessions_and_ends_one():
    make_user("ana"), make_user("bob")
    here, there, others = signed_in("ana", user_agent=FIREFOX), signed_in("ana"), signed_in("bob")
    page = here.get("/account/sessions/")
    assert page.content.decode().count("this one") == 1
    away = Session.objects.get(session_key=kept(cookie(there)))
    foreign = Session.objects.get(session_key=kept(cookie(others)))
    assert foreign.handle not in page.content.decode()
    assert here.post(f"/account/sessions/{foreign.handle}/end/").status_code == 404
    assert here.post(f"/account/sessions/{away.handle}/end/").status_code == 303
    assert there.get("/account/").status_code == 302
    assert here.get("/account/").status_code == others.get("/account/").status_code == 200
    assert Event.objects.filter(verb="session.ended").count() == 1


def test_all_others_end_and_this_one_stays():
    make_user("ana")
    here, there, elsewhere = (signed_in("ana") for _ in range(3))
    assert here.post("/account/sessions/others/end/").status_code == 303
    assert [each.get("/account/").status_code for each in (here, there, elsewhere)] == [200, 302, 302]
    assert Event.objects.get(verb="session.others_ended").data["sessions"] == 2


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_asks_as_often_for_one_session_as_for_three(count, django_assert_num_queries):
    make_user("ana")
    clients = [signed_in("ana") for _ in range(count)]
    clients[0].get("/account/sessions/")
    with django_assert_num_queries(4):
        clients[0].get("/account/sessions/")


def test_a_site_administrator_ends_somebodys_sessions():
    make_user("root", is_site_admin=True), make_user("ana")
    admin, ana = signed_in("root"), signed_in("ana")
    assert ana.post("/admin/users/root/sessions/").status_code == 403
    assert admin.post("/admin/users/ana/sessions/").status_code == 303
    assert ana.get("/account/").status_code == 302
    assert admin.get("/account/").status_code == 200


@pytest.mark.parametrize("change", ["password", "reset", "deactivate"])
def test_a_new_password_and_a_closed_account_end_sessions(change):
    root, ana = make_user("root", is_site_admin=True), make_user("ana")
    client = signed_in("ana")
    if change == "password":
        accounts.change_password(actor(ana), old=PASSWORD, new="another long sentence")
    elif change == "reset":
        accounts.reset_password(actor(root), user=ana)
    else:
        accounts.deactivate(actor(root), user=ana)
    assert not Session.objects.filter(user=ana).exists()
    assert client.get("/account/").status_code == 302


def test_a_session_ends_a_fixed_time_after_the_sign_in_however_busy_it_is(settings):
    make_user("ana")
    client = signed_in("ana")
    row = Session.objects.get()
    session = client.session
    session["busy"] = 1
    session.save()
    assert Session.objects.get().expire_date == row.expire_date
    assert row.expire_date - row.started_at == timedelta(seconds=settings.SESSION_COOKIE_AGE)
    Session.objects.update(expire_date=timezone.now())
    assert client.get("/account/").status_code == 302
    assert sessions.forget_ended() == 1


@pytest.mark.parametrize(("admin", "minutes", "status"), [(True, 29, 200), (True, 31, 302), (False, 31, 200)])
def test_an_idle_session_of_an_administrator_ends(admin, minutes, status):
    ana = make_user("ana", is_site_admin=admin)
    client = signed_in("ana")
    Session.objects.update(seen_at=timezone.now() - timedelta(minutes=minutes))
    assert client.get("/account/").status_code == status
    assert Session.objects.filter(user=ana).exists() is (status == 200)
    assert Event.objects.filter(verb="session.idle").count() == (status == 302)


def test_what_a_page_asks_by_itself_keeps_no_session_awake():
    make_user("ana", is_site_admin=True)
    client = signed_in("ana")
    long_ago = timezone.now() - timedelta(minutes=20)
    Session.objects.update(seen_at=long_ago)
    client.get("/shell/")
    assert Session.objects.get().seen_at == long_ago
    client.get("/account/")
    assert Session.objects.get().seen_at > long_ago


# ---------------------------------------------------------------- over the API


def test_the_api_lists_and_ends_sessions(client):
    ana, bob = make_user("ana"), make_user("bob")
    signed_in("bob"), signed_in("ana"), signed_in("ana")
    reads, admin = ({"authorization": f"Bearer {make_token(ana, None, [scope])}"} for scope in ("read", "admin"))
    found = client.get("/api/v1/account/sessions/", headers=reads).json()["results"]
    assert len(found) == 2
    assert set(found[0]) == {"id", "device", "address", "method", "started_at", "last_seen_at", "expire_date"}
    one = f"/api/v1/account/sessions/{found[0]['id']}/"
    assert client.delete(one, headers=reads).status_code == 403
    assert client.delete(one, headers=admin).status_code == 204
    assert client.delete(one, headers=admin).status_code == 404
    foreign = Session.objects.get(user=bob).handle
    assert client.delete(f"/api/v1/account/sessions/{foreign}/", headers=admin).status_code == 404
    assert client.delete("/api/v1/account/sessions/", headers=admin).json() == {"ended": 1}
    assert client.delete("/api/v1/users/bob/sessions/", headers=admin).status_code == 403
    root = {"authorization": f"Bearer {make_token(make_user('root', is_site_admin=True), None, ['admin'])}"}
    assert client.delete("/api/v1/users/bob/sessions/", headers=root).json() == {"ended": 1}


# ---------------------------------------------------------------- proving again who one is


def test_a_fresh_session_is_recent_and_an_old_one_is_not():
    ana = make_user("ana")
    stepup.require_recent(actor(ana))
    stale = actor(ana)
    object.__setattr__(stale, "authenticated_at", timezone.now() - timedelta(minutes=11))
    with pytest.raises(Forbidden) as refused:
        stepup.require_recent(stale)
    assert refused.value.code == "step_up_required"


def test_it_can_be_switched_off(settings):
    settings.STEP_UP_MINUTES = 0
    stale = actor(make_user("ana"))
    object.__setattr__(stale, "authenticated_at", None)
    stepup.require_recent(stale)


def token_form(project, *scopes: str) -> dict[str, object]:
    return {"name": "ci", "project": project.slug, "scopes": list(scopes), "days": "90"}


def test_a_token_that_may_sign_asks_in_place_and_keeps_what_was_typed():
    project = make_project("churn")
    make_user("mona", role="manager", project=project)
    client = signed_in("mona")
    grow_old(client, 11)
    asked = send(client, "/account/tokens/", token_form(project, "read", "approve"))
    page = asked.content.decode()
    assert asked.status_code == 403
    assert 'name="scopes" value="approve"' in page
    assert 'name="scopes" value="read"' in page
    assert not ApiToken.objects.exists()
    wrong = send(client, "/account/tokens/", {**token_form(project, "read", "approve"), FIELD: "not it"})
    assert wrong.status_code == 422
    assert 'name="scopes" value="approve"' in wrong.content.decode()
    assert "not it" not in wrong.content.decode()
    before = cookie(client)
    made = send(client, "/account/tokens/", {**token_form(project, "read", "approve"), FIELD: PASSWORD})
    assert made.status_code == 201
    assert ApiToken.objects.get().scopes == ["read", "approve"]
    assert cookie(client) != before, "the key changes with the privilege"
    assert Session.objects.count() == 1
    assert not Event.objects.filter(verb="access.refused").exists()
    assert [Event.objects.filter(verb=f"user.{verb}").count() for verb in ("confirmed", "confirmation_failed")] == [
        1,
        1,
    ]


def test_the_proof_is_not_taken_without_the_csrf_token():
    make_user("ana")
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user("bob"))
    assert send(client, "/account/theme/", {"theme": "dark", FIELD: PASSWORD}).status_code == 403
    assert not Event.objects.filter(verb="user.confirmed").exists()


def test_a_token_that_only_reads_asks_nothing():
    project = make_project("churn")
    make_user("vic", role="viewer", project=project)
    client = signed_in("vic")
    grow_old(client, 60)
    assert send(client, "/account/tokens/", token_form(project, "read")).status_code == 201


def test_guessing_the_password_there_is_limited():
    ana = actor(make_user("ana"))
    for _ in range(10):
        with pytest.raises(Invalid):
            stepup.confirm(ana, proof="guess")
    with pytest.raises(TooMany):
        stepup.confirm(ana, proof=PASSWORD)


def test_a_token_is_exempt_and_gives_no_more_than_it_has():
    project = make_project("churn")
    make_user("mona", role="manager", project=project)
    token = ApiToken.objects.select_related("user", "project").get(
        name="test", pk=_pk(make_token(make_user("ada", role="admin", project=project), project, ["admin"]))
    )
    from projects.actor import Actor

    by = Actor.for_token(token)
    with pytest.raises(Forbidden) as refused:
        tokens.create(by, project=project, name="more", scopes=["approve"])
    assert refused.value.field == "scopes"
    assert tokens.create(by, project=project, name="same", scopes=["admin"]).token.pk


def _pk(secret: str) -> int:
    from projects.services import credentials

    return ApiToken.objects.get(sha256=credentials.fingerprint(secret)).pk


def test_another_mail_address_needs_a_proof_and_the_rest_of_the_profile_does_not():
    make_user("ana")
    client = signed_in("ana")
    grow_old(client, 11)
    same = {"display_name": "Ana", "email": "ana@example.org", "density": "compact", "time_zone": "UTC"}
    assert send(client, "/account/", same).status_code == 303
    assert send(client, "/account/", {**same, "email": "new@example.org"}).status_code == 403
    assert send(client, "/account/", {**same, "email": "new@example.org", FIELD: PASSWORD}).status_code == 303


def test_ending_a_session_that_is_gone_says_so():
    with pytest.raises(Missing):
        sessions.end(actor(make_user("ana")), handle="f" * 20)


def test_signing_out_removes_the_row_and_takes_no_get():
    make_user("ana")
    client = signed_in("ana")
    assert client.get("/sign-out/").status_code == 405
    assert Session.objects.count() == 1
    client.post("/sign-out/")
    assert not Session.objects.exists()


def test_the_cookie_is_closed_to_scripts_and_other_sites():
    make_user("ana")
    made = signed_in("ana").cookies["mlportal_session"]
    assert made["httponly"]
    assert made["samesite"] == "Lax"
    assert SESSION_KEY not in made.value
