"""Ways through a sign-in with the provider, as a browser goes them."""

import html
import re
from urllib.parse import urlsplit

from django.test import Client

from projects.models import Event, Session
from projects.services.oidc.refusals import SENTENCES
from tests.projects.test_sessions import send


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
