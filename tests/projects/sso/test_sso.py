"""Single sign-on against a real provider: who is let in, who is not, and what a provider that lies gets."""

import base64
import html
import json
import re
import time
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount, SocialApp
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from mlportal.logs import formatter
from projects.models import ApiToken, Event, Group, GroupMapping, GroupMember, Session, User
from projects.services import accounts
from projects.services.oidc import client as oidc_client
from projects.services.oidc.refusals import SENTENCES
from projects.services.session_store import AUTHENTICATED
from tests.factories.projects import PASSWORD, actor, make_project, make_user
from tests.projects.test_second_factor import code_now, give_factor
from tests.projects.test_sessions import grow_old, send

pytestmark = pytest.mark.django_db
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def address_there(answer) -> str:
    """Where the page between sends the browser."""
    assert answer.status_code == 200, answer.content.decode()[:2000]
    return html.unescape(re.search(r'content="0;url=([^"]+)"', answer.content.decode())[1])


def to_provider(client: Client, **fields: str) -> str:
    return address_there(send(client, "/sign-in/sso/", fields))


def come_back(client: Client, location: str):
    parts = urlsplit(location)
    return client.get(f"{parts.path}?{parts.query}")


def sign_in(provider, sub: str = "ana-1", client: Client | None = None, **fields: str):
    client = client or Client()
    answer = come_back(client, provider.agree(to_provider(client, **fields), sub))
    return client, answer


def ana(provider, **claims: object) -> None:
    provider.person("ana-1", **{"email": "ana@example.org", "email_verified": True, **claims})


def refused(answer, why: str, status: int = 403) -> None:
    assert answer.status_code == status, answer.content.decode()[:1500]
    assert html.escape(SENTENCES[why], quote=True) in answer.content.decode()
    event = Event.objects.filter(verb="user.sign_in_failed").latest("seq")
    assert event.data["why"] == why
    assert not Session.objects.exclude(user=None).exists()


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


# ---------------------------------------------------------------- a provider that fails or lies


def test_a_person_who_cancels(provider):
    client = Client()
    state = parse_qs(urlsplit(to_provider(client)).query)["state"][0]
    refused(client.get(f"/sign-in/sso/return/?error=access_denied&state={state}"), "cancelled")
    state = parse_qs(urlsplit(to_provider(client)).query)["state"][0]
    refused(client.get(f"/sign-in/sso/return/?error=%3Cscript%3E&state={state}"), "provider_error")


def test_a_way_back_that_was_not_begun_here_or_was_used(provider):
    make_user("ana")
    ana(provider)
    client = Client()
    back = provider.agree(to_provider(client), "ana-1")
    refused(come_back(Client(), back), "lost_state")
    refused(Client().get("/sign-in/sso/return/"), "lost_state")
    assert come_back(client, back).status_code == 303
    Session.objects.all().delete()
    refused(come_back(client, back), "lost_state")


def test_a_code_of_another_browser(provider):
    make_user("ana")
    ana(provider)
    mine, theirs = Client(), Client()
    stolen = parse_qs(urlsplit(provider.agree(to_provider(theirs), "ana-1")).query)["code"][0]
    state = parse_qs(urlsplit(to_provider(mine)).query)["state"][0]
    refused(mine.get(f"/sign-in/sso/return/?code={stolen}&state={state}"), "wrong_nonce", 502)


def test_a_provider_that_is_down(provider):
    provider.down = True
    refused(send(Client(), "/sign-in/sso/", {}), "unreachable", 502)
    provider.down = False
    client = Client()
    back = provider.agree(to_provider(client), "ana-1")
    provider.down = True
    answer = come_back(client, back)
    assert answer.status_code == 502
    assert Client().get("/sign-in/").status_code == 200, "signing in with a password stays"


def test_an_internal_address_that_the_provider_names_is_not_called(provider, settings):
    def lie(path: str, body: bytes) -> bytes:
        if "openid-configuration" in path:
            return json.dumps(
                {**json.loads(body), "token_endpoint": f"http://127.0.0.1:{provider.port}/token"}
            ).encode()
        return body

    provider.tamper = lie
    client = Client()
    refused(come_back(client, provider.agree(to_provider(client), "ana-1")), "unreachable", 502)
    settings.OUTBOUND_ALLOW = []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda config: {**config, "issuer": "https://evil.example"}, "wrong_issuer"),
        (lambda config: {name: value for name, value in config.items() if name != "jwks_uri"}, "bad_discovery"),
        (lambda config: ["no object"], "bad_discovery"),
        (lambda config: {**config, "authorization_endpoint": "javascript:alert(1)"}, "bad_discovery"),
    ],
)
def test_a_description_that_cannot_be_trusted(provider, change, why):
    provider.tamper = lambda path, body: (
        json.dumps(change(json.loads(body))).encode() if "openid-configuration" in path else body
    )
    refused(send(Client(), "/sign-in/sso/", {}), why, 502)


def resigned(provider, change, *, header: dict[str, str] | None = None, key=KEY, algorithm: str = "RS256"):
    """Answers of the token endpoint with another token in them."""

    def tamper(path: str, body: bytes) -> bytes:
        if path != "/oauth2/token":
            return body
        answer = json.loads(body)
        claims = jwt.decode(answer["id_token"], options={"verify_signature": False})
        answer["id_token"] = jwt.encode(change(claims), key, algorithm, headers=header)
        return json.dumps(answer).encode()

    return tamper


def same(claims: dict) -> dict:
    return claims


def test_a_token_signed_by_somebody_else(provider):
    make_user("ana")
    ana(provider)
    provider.tamper = resigned(provider, same)
    refused(sign_in(provider)[1], "bad_token", 502)
    provider.tamper = resigned(provider, same, header={"kid": "unknown"})
    refused(sign_in(provider)[1], "bad_token", 502)


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_that_is_not_signed_with_a_public_key(provider, algorithm):
    make_user("ana")
    ana(provider)
    key = "" if algorithm == "none" else "not-a-real-secret-but-long-enough-for-hs256"
    provider.tamper = resigned(provider, same, key=key or None, algorithm=algorithm)
    refused(sign_in(provider)[1], "bad_token", 502)


@pytest.fixture
def liar(provider):
    """A provider whose published key is one that the test signs with."""
    make_user("ana")
    ana(provider)
    numbers = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    keys = json.dumps({"keys": [{**numbers, "kid": "mine", "use": "sig", "alg": "RS256"}]}).encode()

    def lie(change) -> None:
        tokens = resigned(provider, change, header={"kid": "mine"})
        provider.tamper = lambda path, body: keys if path == "/jwks" else tokens(path, body)

    provider.lie = lie
    return provider


def test_the_liar_who_does_not_lie_is_believed(liar):
    liar.lie(same)
    assert sign_in(liar)[1].status_code == 303


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"aud": "another"}, "bad_token"),
        ({"aud": ["portal", "another"]}, "bad_token"),
        ({"azp": "another"}, "bad_token"),
        ({"exp": int(time.time()) - 3600}, "bad_token"),
        ({"iat": int(time.time()) + 3600}, "bad_token"),
        ({"exp": None}, "bad_token"),
        ({"iss": "https://evil.example"}, "bad_token"),
        ({"sub": ""}, "bad_token"),
        ({"sub": None}, "bad_token"),
        ({"sub": "x" * 300}, "bad_token"),
        ({"nonce": "another"}, "wrong_nonce"),
        ({"nonce": None}, "wrong_nonce"),
    ],
)
def test_a_token_with_a_wrong_claim(liar, change, why):
    liar.lie(lambda claims: {name: value for name, value in {**claims, **change}.items() if value is not None})
    refused(sign_in(liar)[1], why, 502)


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b'{"access_token": "a"}', b'{"access_token": "a", "id_token": 7}']
)
def test_an_answer_of_another_shape(provider, answer):
    provider.tamper = lambda path, body: answer if path == "/oauth2/token" else body
    assert sign_in(provider)[1].status_code == 502
    provider.tamper = lambda path, body: answer if path == "/jwks" else body
    assert sign_in(provider)[1].status_code == 502


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
