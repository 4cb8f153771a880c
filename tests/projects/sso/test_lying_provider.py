"""Single sign-on with a provider that fails or lies: nobody is let in, and the page says why."""

import json
import time
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from projects.models import Session
from tests.factories.projects import make_user
from tests.projects.sso.ways import ana, come_back, refused, sign_in, to_provider
from tests.projects.test_sessions import send

pytestmark = pytest.mark.django_db
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


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
