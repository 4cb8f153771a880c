"""The client of the provider: django-allauth's, with our door to the network, our addresses and our checks.

allauth brings state, PKCE, discovery and the exchange of the code. What differs here: the application comes from the
settings and never from the database, addresses are those of ``BASE_URL`` and not of the ``Host`` header, nothing in
the query of a page reaches the provider, redirects are not followed, and the ID token is always checked in full.
"""

import time
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from mlportal.lib import http
from projects.services.oidc.refusals import ProviderFault

PROVIDER = "sso"
CACHE_SECONDS = 600
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_known: dict[str, tuple[float, dict[str, Any]]] = {}  # address -> until when, what was read there


def is_on() -> bool:
    """Whether this installation has a provider."""
    return bool(settings.OIDC_ISSUER and settings.OIDC_CLIENT_ID)


class Adapter(DefaultSocialAccountAdapter):
    """What allauth asks the installation."""

    def list_apps(self, request: HttpRequest, provider: Any = None, client_id: Any = None) -> list[SocialApp]:
        """Give the one application of the settings; rows of the database count nothing."""
        del request, provider, client_id
        if not is_on():
            return []
        app = SocialApp(
            provider="openid_connect", provider_id=PROVIDER, name=settings.OIDC_NAME,
            client_id=settings.OIDC_CLIENT_ID, secret=settings.OIDC_CLIENT_SECRET,
        )  # fmt: skip
        app.settings = {"server_url": _discovery(), "oauth_pkce_enabled": True, "scope": settings.OIDC_SCOPES}
        return [app]

    def get_requests_session(self) -> requests.Session:
        """Give a session that goes through the portal's one door and follows no redirect."""
        session = requests.Session()
        session.trust_env = False
        session.max_redirects = 0
        for scheme in ("http://", "https://"):
            session.mount(scheme, Door())
        return session


class Door(BaseAdapter):
    """Carries calls of ``requests`` over `mlportal.lib.http`; the issuer's own host may be private."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send one call."""
        del args, kwargs
        url, body = str(request.url), cast("str | bytes | None", request.body)
        if urlsplit(settings.OIDC_ISSUER).scheme == "https" and not url.startswith("https://"):
            raise requests.ConnectionError("the provider names an address without TLS")
        try:
            reply = http.ask(
                str(request.method), url, body=body.encode() if isinstance(body, str) else body,
                headers={name: str(value) for name, value in request.headers.items()},
                allow=[_host(), *settings.OUTBOUND_ALLOW],
            )  # fmt: skip
        except (http.Refused, http.Failed) as error:
            raise requests.ConnectionError(str(error)) from error
        response = requests.Response()
        response.status_code, response._content = reply.status, reply.body
        response.headers = CaseInsensitiveDict(reply.headers)
        response.url, response.request, response.encoding = url, request, "utf-8"
        return response

    def close(self) -> None:
        """Nothing is kept open."""


class Client(OpenIDConnectOAuth2Adapter):
    """One exchange with the provider."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request, PROVIDER)

    @property
    def openid_config(self) -> dict[str, Any]:
        """What the provider says of itself, read at most every ten minutes."""
        found = self.read(_discovery())
        if found.get("issuer") != settings.OIDC_ISSUER:
            raise ProviderFault("wrong_issuer", f"it calls itself {str(found.get('issuer'))[:100]!r}")
        if missing := [name for name in NEEDED if not isinstance(found.get(name), str)]:
            raise ProviderFault("bad_discovery", f"its description lacks {missing[0]}")
        scheme = urlsplit(settings.OIDC_ISSUER).scheme
        if urlsplit(found["authorization_endpoint"]).scheme not in ("https", scheme):
            raise ProviderFault("bad_discovery", "people are not sent to an address without TLS")
        return found

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        """Where the provider sends people back to: an address of the settings."""
        del request, app
        return f"{settings.BASE_URL}{reverse('projects:sso-return')}"

    def read(self, url: str, *, fresh: bool = False) -> dict[str, Any]:
        """Read a JSON object of the provider, kept for ten minutes."""
        until, kept = _known.get(url, (0.0, {}))
        if not fresh and until > time.monotonic():
            return kept
        with Adapter().get_requests_session() as session:
            answer = session.get(url, allow_redirects=False)
        if answer.status_code != 200:
            raise ProviderFault("unreachable", f"it answered {answer.status_code}")
        found = answer.json()
        if not isinstance(found, dict):
            raise ProviderFault("bad_discovery", "its description is no object")
        _known[url] = (time.monotonic() + CACHE_SECONDS, found)
        return found

    def keys(self, *, fresh: bool = False) -> list[dict[str, Any]]:
        """Public keys of the provider."""
        found = self.read(self.openid_config["jwks_uri"], fresh=fresh).get("keys")
        return [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []

    def profile(self, access_token: str) -> dict[str, Any]:
        """Claims of the user-info endpoint, empty when there is none."""
        url = self.openid_config.get("userinfo_endpoint")
        if not isinstance(url, str):
            return {}
        with Adapter().get_requests_session() as session:
            answer = session.get(url, headers={"Authorization": f"Bearer {access_token}"}, allow_redirects=False)
        if answer.status_code != 200:  # without it groups would seem to be gone
            raise ProviderFault("unreachable", f"user info answered {answer.status_code}")
        found = answer.json()
        return found if isinstance(found, dict) else {}


def provider(request: HttpRequest) -> OpenIDConnectProvider:
    """Return allauth's provider with our client in it."""
    made = OpenIDConnectProvider(request, app=Adapter(request).list_apps(request)[0])
    made.get_oauth2_adapter = Client
    return made


def forget() -> None:
    """Read the provider's description and keys again."""
    _known.clear()


def _discovery() -> str:
    return f"{settings.OIDC_ISSUER.rstrip('/')}/.well-known/openid-configuration"


def _host() -> str:
    parts = urlsplit(settings.OIDC_ISSUER)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
