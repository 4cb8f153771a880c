"""Single sign-on against a real provider: who is let in and who is not."""

import base64
import html
import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount, SocialApp
from django.test import Client

from mlportal.logs import formatter
from projects.models import ApiToken, Event, Group, GroupMapping, GroupMember, Session, User
from projects.services import accounts
from projects.services.oidc import client as oidc_client
from projects.services.oidc.refusals import SENTENCES
from projects.services.session_store import AUTHENTICATED
from tests.factories.projects import PASSWORD, actor, make_project, make_user
from tests.projects.sso.ways import address_there, ana, come_back, refused, sign_in, to_provider
from tests.projects.test_second_factor import code_now, give_factor
from tests.projects.test_sessions import grow_old, send

pytestmark = pytest.mark.django_db


# ---------------------------------------------------------------- the way there


def test_the_way_there_carries_state_nonce_and_pkce_and_only_our_addresses(provider):
    answer = Client(headers={"host": "localhost"}).post(
        "/sign-in/sso/?scope=admin&auth_params=prompt%3Dnone&process=connect", {"next": "/inbox/"}
    )
    where = urlsplit(address_there(answer))
    asked = {name: values[0] for name, values in parse_qs(where.query).items()}
    assert f"{where.scheme}://{where.netloc}" == provider.issuer
    assert asked["redirect_uri"] == "http://127.0.0.1:8000/sign-in/sso/return/"
    assert set(asked["scope"].split()) == {"openid", "profile", "email"}
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["nonce"]) >= 32
    assert len(asked["state"]) >= 16
    assert "prompt" not in asked


def test_it_takes_a_post_with_a_csrf_token_only(provider):
    assert Client().get("/sign-in/sso/").status_code == 405
    assert Client(enforce_csrf_checks=True).post("/sign-in/sso/").status_code == 403
    assert provider.seen == []


def test_without_a_provider_there_is_nothing(settings):
    settings.OIDC_ISSUER = ""
    assert Client().post("/sign-in/sso/").status_code == 404
    assert Client().get("/sign-in/sso/return/?code=1&state=2").status_code == 404
    assert "Sign in with" not in Client().get("/sign-in/").content.decode()


def test_an_application_in_the_database_counts_nothing(provider):
    SocialApp.objects.create(provider="openid_connect", provider_id="sso", client_id="other", secret="s", name="x")
    assert "client_id=portal" in to_provider(Client())


# ---------------------------------------------------------------- who is let in


def test_somebody_with_the_same_confirmed_address_is_linked_and_in(provider):
    user = make_user("ana")
    ana(provider, email="Ana@Example.org")
    client, answer = sign_in(provider, next="/account/tokens/")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account/tokens/")
    assert client.get("/account/").status_code == 200
    row = SocialAccount.objects.get()
    assert (row.user, row.uid, row.extra_data) == (user, "ana-1", {})
    assert set(Event.objects.values_list("verb", flat=True)) == {"user.linked", "user.signed_in"}
    assert Event.objects.get(verb="user.signed_in").data == {"method": "sso"}
    assert Session.objects.get().method == "sso"


def test_whoever_is_linked_comes_in_again_whatever_the_address_is_then(provider):
    user = make_user("ana")
    ana(provider)
    sign_in(provider)
    ana(provider, email="married@example.org", email_verified=False)
    client, _ = sign_in(provider)
    assert client.get("/account/").status_code == 200
    assert SocialAccount.objects.get().user == user
    assert User.objects.get(pk=user.pk).email == "ana@example.org"


def test_signing_in_changes_the_session_key(provider):
    make_user("ana")
    ana(provider)
    client = Client()
    there = to_provider(client)
    before = client.cookies["mlportal_session"].value
    come_back(client, provider.agree(there, "ana-1"))
    assert client.cookies["mlportal_session"].value != before
    assert Session.objects.count() == 1


@pytest.mark.parametrize("wish", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_the_way_back_leads_nowhere_else(provider, wish):
    make_user("ana")
    ana(provider)
    assert sign_in(provider, next=wish)[1].headers["Location"] == "/"


def test_an_account_is_made_only_where_that_is_switched_on(provider, settings):
    ana(provider, name="Ana A", preferred_username="ana@example.org")
    refused(sign_in(provider)[1], "no_account")
    assert not User.objects.exists()
    make_user("ana", email="another@example.org")
    settings.OIDC_CREATE = True
    client, answer = sign_in(provider)
    assert answer.status_code == 303
    made = User.objects.get(email="ana@example.org")
    assert (made.username, made.display_name, made.has_usable_password()) == ("ana-2", "Ana A", False)
    assert client.get("/account/").status_code == 200


def test_groups_come_and_go_with_the_claim(provider, settings):
    settings.OIDC_GROUPS_CLAIM = "groups"
    user, root = make_user("ana"), make_user("root", is_site_admin=True)
    from projects.services import groups

    made = groups.create(actor(root), name="scientists")
    groups.map_name(actor(root), provider="sso", external_name="/ml/science", group=made)
    ana(provider, groups=["/ml/science", "/else", 7])
    sign_in(provider)
    assert GroupMember.objects.filter(user=user, group=made, valid_to=None).exists()
    ana(provider, groups="no list")
    sign_in(provider)
    assert not GroupMember.objects.filter(user=user, valid_to=None).exists()
    assert Group.objects.count() == GroupMapping.objects.count() == 1


def test_groups_stay_while_the_provider_cannot_be_asked_for_them(provider, settings):
    settings.OIDC_GROUPS_CLAIM = "groups"
    make_user("ana")
    ana(provider)
    provider.tamper = lambda path, body: b"no JSON" if path == "/userinfo" else body
    refused(sign_in(provider)[1], "unreachable", 502)


def test_a_second_factor_is_asked_after_the_provider_too(provider):
    give_factor(make_user("ana"))
    ana(provider)
    client, answer = sign_in(provider, next="/inbox/")
    assert answer.headers["Location"] == "/sign-in/code/"
    assert client.get("/account/").status_code == 302
    assert client.post("/sign-in/code/", {"code": code_now()}).headers["Location"] == "/inbox/"
    assert Event.objects.get(verb="user.signed_in").data == {"method": "sso, app"}


# ---------------------------------------------------------------- who is not


def test_an_address_that_the_provider_has_not_verified(provider):
    make_user("ana")
    for claim in (False, None, "false", 1):
        ana(provider, email_verified=claim)
        refused(sign_in(provider)[1], "unverified")
    provider.person("ana-1", name="Ana")
    refused(sign_in(provider)[1], "no_email")
    assert not SocialAccount.objects.exists()


def test_an_address_that_its_owner_typed_here_is_not_believed(provider):
    mallory = make_user("mallory")
    by = actor(mallory)
    fields = {"display_name": "", "theme": "", "density": "compact", "time_zone": "UTC", "single_keys": True}
    accounts.edit_profile(by, email="ana@example.org", **fields)
    ana(provider)
    refused(sign_in(provider)[1], "unconfirmed")
    accounts.confirm_email(actor(make_user("root", is_site_admin=True)), user=mallory)
    assert sign_in(provider)[1].status_code == 303


def test_a_domain_that_is_not_let_in(provider, settings):
    settings.OIDC_DOMAINS = ["Corp.example"]
    make_user("ana")
    for address in ("ana@example.org", "ana@corp.example.org", "ana@evil-corp.example", "ana@corp.example@example.org"):
        ana(provider, email=address)
        refused(sign_in(provider)[1], "domain")
    User.objects.update(email="ana@corp.example")
    ana(provider, email="ana@CORP.example")
    assert sign_in(provider)[1].status_code == 303
    Session.objects.all().delete()
    ana(provider, email="ana@example.org")
    refused(sign_in(provider)[1], "domain")


def test_a_second_identity_with_the_same_address(provider):
    make_user("ana")
    ana(provider)
    sign_in(provider)
    Session.objects.all().delete()
    provider.person("ana-2", email="ana@example.org", email_verified=True)
    refused(sign_in(provider, "ana-2")[1], "clash")


@pytest.mark.parametrize("linked", [True, False])
def test_a_closed_account(provider, linked):
    user = make_user("ana")
    ana(provider)
    if linked:
        sign_in(provider)
        Session.objects.all().delete()
    User.objects.filter(pk=user.pk).update(is_active=False)
    refused(sign_in(provider)[1], "inactive")


def test_another_issuer_with_the_same_subject_is_another_person(provider):
    user = make_user("ana")
    SocialAccount.objects.create(user=user, provider="oidc-of-another-issuer", uid="ana-1")
    ana(provider, email="bob@example.org")
    refused(sign_in(provider)[1], "no_account")


def test_an_erased_person_leaves_no_link(provider):
    user = make_user("ana")
    ana(provider)
    sign_in(provider)
    root = actor(make_user("root", is_site_admin=True))
    accounts.deactivate(root, user=user)
    accounts.erase(root, user=user, reason="asked for it")
    assert not SocialAccount.objects.exists()


def test_nothing_secret_reaches_the_log_or_the_audit_log(provider, caplog):
    caplog.set_level("INFO")
    make_user("ana")
    ana(provider)
    client = Client()
    back = provider.agree(to_provider(client), "ana-1")
    code = parse_qs(urlsplit(back).query)["code"][0]
    come_back(client, back)
    provider.tamper = lambda path, body: b"{}" if path == "/oauth2/token" else body
    sign_in(provider)
    lines = "".join(formatter().format(record) for record in caplog.records)
    assert "/sign-in/sso/return/" in lines
    written = lines + "".join(str(event.entry()) for event in Event.objects.all())
    for secret in (code, "not-a-real-secret"):
        assert secret not in written


def test_signing_out_offers_to_end_the_session_at_the_provider_too(provider):
    make_user("ana")
    ana(provider)
    client, _ = sign_in(provider)
    page = client.post("/sign-out/")
    there = html.unescape(re.search(r'href="([^"]+end_session[^"]+)"', page.content.decode())[1])
    assert there.startswith(f"{provider.issuer}/oauth2/end_session?client_id=portal&post_logout_redirect_uri=")
    assert not Session.objects.exists()
    client, _ = sign_in(provider)
    provider.down = True
    oidc_client.forget()
    assert client.post("/sign-out/").headers["Location"] == "/sign-in/"
    assert not Session.objects.exists()


# ---------------------------------------------------------------- passwords off


def test_where_passwords_are_off_only_the_provider_lets_in(provider, settings, client):
    settings.LOCAL_PASSWORDS = False
    make_user("ana", role="scientist", project=make_project("churn"))
    ana(provider)
    page = client.get("/sign-in/").content.decode()
    assert 'name="password"' not in page
    assert "Sign in with Example ID" in page
    assert client.post("/sign-in/", {"username": "ana", "password": PASSWORD}).status_code == 422
    basic = {"authorization": "Basic " + base64.b64encode(f"ana:{PASSWORD}".encode()).decode()}
    assert client.get("/p/churn/api/2.0/mlflow/experiments/search?max_results=1", headers=basic).status_code == 401
    assert sign_in(provider)[0].get("/account/").status_code == 200


# ---------------------------------------------------------------- proving again


def test_a_sign_in_counts_as_recent_only_when_the_provider_says_when(provider):
    make_user("ana")
    for moment, recent in [(time.time(), True), (time.time() - 3600, False), (None, False), ("now", False)]:
        ana(provider, auth_time=moment and (int(moment) if isinstance(moment, float) else moment))
        client, _ = sign_in(provider)
        assert (time.time() - client.session[AUTHENTICATED] < 600) is recent


def test_the_form_that_waits_is_kept_over_the_way_to_the_provider(provider):
    project = make_project("churn")
    user = make_user("mona", role="manager", project=project)
    user.set_unusable_password()
    user.save()
    provider.person("mona-1", email="mona@example.org", email_verified=True, auth_time=None)
    client, _ = sign_in(provider, "mona-1")
    form = {"name": "ci", "project": "churn", "scopes": ["read", "approve"], "days": "90"}
    asked = send(client, "/account/tokens/", form)
    page = asked.content.decode()
    assert asked.status_code == 403
    assert "Sign in again with Example ID" in page
    assert 'name="step_up_proof"' not in page
    there = address_there(send(client, "/account/confirm/sso/", {**form, "step_up_path": "/account/tokens/"}))
    assert parse_qs(urlsplit(there).query)["prompt"] == ["login"]
    assert parse_qs(urlsplit(there).query)["max_age"] == ["0"]
    refused_ = come_back(client, provider.agree(there, "mona-1"))
    assert SENTENCES["not_recent"] in refused_.content.decode()
    provider.person("mona-1", email="mona@example.org", email_verified=True, auth_time=int(time.time()))
    there = address_there(send(client, "/account/confirm/sso/", {**form, "step_up_path": "/account/tokens/"}))
    done = come_back(client, provider.agree(there, "mona-1")).content.decode()
    assert 'action="/account/tokens/"' in done
    assert 'name="scopes" value="approve"' in done
    assert not ApiToken.objects.exists(), "nothing happens by a GET"
    assert send(client, "/account/tokens/", form).status_code == 201


def test_another_person_at_the_provider_proves_nothing(provider):
    make_user("ana"), make_user("bob")
    ana(provider)
    now = int(time.time())
    provider.person("bob-1", email="bob@example.org", email_verified=True, auth_time=now)
    client, _ = sign_in(provider)
    grow_old(client, 60)
    there = address_there(send(client, "/account/confirm/sso/", {"step_up_path": "https://evil.example/"}))
    answer = come_back(client, provider.agree(there, "bob-1"))
    assert SENTENCES["other_person"] in answer.content.decode()
    assert time.time() - client.session[AUTHENTICATED] > 600
    ana(provider, auth_time=now)
    there = address_there(send(client, "/account/confirm/sso/", {"step_up_path": "https://evil.example/", "a": "b"}))
    assert "evil.example" not in come_back(client, provider.agree(there, "ana-1")).content.decode()
