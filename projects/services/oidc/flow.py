"""One way to the provider and back."""

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse

from mlportal.lib import throttle
from mlportal.lib.peer import address_of
from projects.services.oidc import tokens
from projects.services.oidc.client import Client, provider
from projects.services.oidc.refusals import ProviderFault, SignInRefused

SIGN_IN, CONFIRM = "sign-in", "confirm"
WINDOW_SECONDS, STARTS = 15 * 60, 1000  # a whole company may come from one address


@dataclass(frozen=True)
class Back:
    """What came back, checked: why the person went, where they want to go, and who the provider says they are."""

    process: str
    next_page: str
    claims: dict[str, Any]


def leave(request: HttpRequest, *, process: str, next_page: str) -> str:
    """Return the address at the provider to go to; state, nonce and PKCE's secret stay in the session.

    Raises
    ------
    ProviderFault
        When the provider is away or its description is wrong.
    TooMany
        After too many tries from one address.
    """
    throttle.hit(f"sso:{address_of(request)}", limit=STARTS, seconds=WINDOW_SECONDS)
    nonce = secrets.token_urlsafe(24)
    asked = {"nonce": nonce}
    if process == CONFIRM:
        asked |= {"prompt": "login", "max_age": "0"}
    try:
        answer = provider(request).redirect(
            request, process, next_url=next_page, nonce=nonce, auth_params=asked, scope=settings.OIDC_SCOPES
        )
    except (OAuth2Error, requests.RequestException, ValueError) as error:
        raise ProviderFault("unreachable", type(error).__name__) from error
    return str(answer["Location"])


def come_back(request: HttpRequest) -> Back:
    """Check state, exchange the code, check the token.

    Raises
    ------
    SignInRefused, ProviderFault
        Saying at what it failed.
    """
    throttle.hit(f"sso:{address_of(request)}", limit=STARTS, seconds=WINDOW_SECONDS)
    here = provider(request)
    try:
        state = here.unstash_redirect_state(request, request.GET.get("state", ""))
    except PermissionDenied:
        raise SignInRefused("lost_state") from None
    if said := request.GET.get("error"):
        raise SignInRefused("cancelled" if said == "access_denied" else "provider_error", detail=said[:100])
    if request.GET.get("iss", settings.OIDC_ISSUER) != settings.OIDC_ISSUER:  # RFC 9207: an answer of another provider
        raise ProviderFault("wrong_issuer", "in the answer")
    try:
        claims = _claims(request, here, state)
    except requests.RequestException as error:
        raise ProviderFault("unreachable", type(error).__name__) from error
    except (OAuth2Error, ValueError, KeyError, TypeError) as error:  # an answer of another shape
        raise ProviderFault("no_token", type(error).__name__) from error
    return Back(state["process"], state.get("next", "/"), claims)


def sign_out_address(request: HttpRequest) -> str:
    """Return where a person ends their session at the provider too (RP-initiated logout); empty when unknown."""
    try:
        there = Client(request).openid_config.get("end_session_endpoint")
    except (ProviderFault, requests.RequestException, ValueError):
        return ""  # signing out here never hangs on the provider
    if not isinstance(there, str) or urlsplit(there).scheme not in ("https", urlsplit(settings.OIDC_ISSUER).scheme):
        return ""
    back = f"{settings.BASE_URL}{reverse('projects:sign-in')}"
    asked = urlencode({"client_id": settings.OIDC_CLIENT_ID, "post_logout_redirect_uri": back})
    return f"{there}{'&' if '?' in there else '?'}{asked}"


def _claims(request: HttpRequest, here: Any, state: dict[str, Any]) -> dict[str, Any]:
    if not request.GET.get("code"):
        raise SignInRefused("provider_error", detail="no code")
    client = Client(request)
    answer = client.get_access_token_data(
        request, here.app, client.get_client(request, here.app), pkce_code_verifier=state["pkce_code_verifier"]
    )
    claims = checked(client, answer.get("id_token"), nonce=state["nonce"])
    wanted = {"email", settings.OIDC_GROUPS_CLAIM} - {""}
    if wanted - claims.keys():
        more = client.profile(str(answer["access_token"]))
        if more.get("sub") == claims["sub"]:  # OpenID Connect Core 5.3.2
            claims = {**more, **claims}
    return claims


def checked(client: Client, token: Any, *, nonce: str) -> dict[str, Any]:
    """Return the claims of an ID token; unknown keys are looked up once more, because providers change them."""
    algorithm, name = tokens.key_id(token)
    key = tokens.pick(client.keys(), algorithm=algorithm, name=name)
    key = key or tokens.pick(client.keys(fresh=True), algorithm=algorithm, name=name)
    if key is None:
        raise ProviderFault("bad_token", "signed with a key the provider does not publish")
    return tokens.read(
        token, key=key, algorithm=algorithm, issuer=settings.OIDC_ISSUER, client_id=settings.OIDC_CLIENT_ID, nonce=nonce
    )
