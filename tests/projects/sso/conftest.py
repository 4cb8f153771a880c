"""The provider of all tests here, and a portal that trusts it."""

import pytest

from projects.services.oidc import client
from tests.projects.sso.provider import Provider, running


@pytest.fixture(scope="session")
def provider_process():
    with running() as provider:
        yield provider


@pytest.fixture
def provider(provider_process: Provider, settings):
    settings.OIDC_ISSUER = provider_process.issuer
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = "portal", "not-a-real-secret"
    settings.OIDC_NAME = "Example ID"
    provider_process.tamper, provider_process.down = None, False
    provider_process.seen.clear()
    client.forget()
    yield provider_process
    client.forget()
