"""Signing in with a real browser: the provider's own page between two of ours, a second factor, a proof in place."""

import re
import time

import pytest
from django.db import connections
from playwright.sync_api import expect, sync_playwright

from mlportal.lib import totp
from projects.models import Session
from projects.services.session_store import AUTHENTICATED, SessionStore
from tests.e2e.browser import Person, launch
from tests.factories.projects import PASSWORD, make_project, make_user

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def person(transactional_db, live_server, settings):
    settings.BASE_URL = live_server.url
    make_user("mona", role="manager", project=make_project("churn"))
    with sync_playwright() as playwright:
        browser = launch(playwright)
        person = Person(browser, live_server.url)
        yield person
        person.close()
        browser.close()
        connections.close_all()  # under Playwright's event loop the thread has connections of its own


def leave_open(person: Person, minutes: int) -> None:
    """The person proved who they are so many minutes ago."""
    key = next(each["value"] for each in person.context.cookies() if each["name"] == "mlportal_session")
    session = SessionStore(key)
    session[AUTHENTICATED] = time.time() - 60 * minutes
    session.save()


def test_through_the_providers_page_and_back(provider, person):
    provider.person("mona-1", email="mona@example.org", email_verified=True)
    page = person.page
    person.go("/sign-in/?next=/account/sessions/")
    person.look("sign-in with a provider")
    page.get_by_role("button", name="Sign in with Example ID").click()
    page.wait_for_url(f"{provider.issuer}/**")
    page.locator("input[name=sub]").fill("mona-1")
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"{person.url}/account/sessions/")
    expect(page.get_by_text("this one")).to_be_visible()
    assert Session.objects.get().user.username == "mona"
    trouble = [each for each in person.trouble if provider.issuer not in each]
    person.look("sessions")
    assert trouble == []
    assert [each for each in person.trouble if provider.issuer not in each] == []


def test_a_second_factor_is_set_up_and_a_proof_is_asked_in_place(person):
    page = person.page
    person.expected = {403, 422}
    person.sign_in("mona", PASSWORD)
    person.go("/account/second-factor/")
    person.look("second factor")
    key = re.sub(r"\s", "", page.locator("#key").inner_text())
    page.get_by_role("textbox", name="Code").fill(totp.code_at(key, int(time.time() // 30)))
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_role("heading", name="Keep these")).to_be_visible()
    codes = page.get_by_label("Recovery codes").inner_text().split()
    person.look("recovery codes")
    leave_open(person, 11)
    person.go("/account/tokens/")
    page.get_by_role("textbox", name="Name").fill("ci")
    page.get_by_label("approve", exact=False).check()
    page.get_by_role("button", name="Create token").click()
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    person.look("step-up")
    page.get_by_label("Password or code").fill(codes[0])
    page.get_by_role("button", name="Confirm and go on").click()
    expect(page.get_by_text("ci is ready")).to_be_visible()
    person.context.clear_cookies()
    person.go("/sign-in/")
    page.get_by_label("Name").fill("mona")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    person.look("second step")
    page.get_by_role("textbox", name="Code").fill(codes[1])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "sign-in" not in url)
    person.go("/account/second-factor/")
    expect(page.get_by_text("8 of 10 recovery codes are left.")).to_be_visible()
    person.look("second factor on")
    assert person.trouble == []
