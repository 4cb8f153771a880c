"""The technical file in three clicks from the version, packed by a real worker, and the PDF in it."""

import contextlib
import io
import subprocess
import sys
import zipfile

import pytest
from playwright.sync_api import Error, expect, sync_playwright

from tests.e2e.browser import Person, launch
from tests.portal.running import ROOT, Portal

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
HISTORY = """
import django
django.setup()
from deployments.services import cards
from tests.factories.deployments import make_live, make_team
team = make_team()
version = make_live(team).current_revision.version
cards.write(team.scientist, version=version, texts={"limitations": "Weak for customers under 18."})
"""


@pytest.fixture(scope="module")
def manager(tmp_path_factory):
    """A manager's window on a portal with a version in production."""
    portal = Portal(tmp_path_factory.mktemp("papers") / "p")
    portal.folder.mkdir(exist_ok=True)
    assert portal.command("migrate").returncode == 0
    place = portal.environment | {"DJANGO_SETTINGS_MODULE": "mlportal.settings"}
    made = subprocess.run(
        [sys.executable, "-c", HISTORY], env=place, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    portal.start()
    with contextlib.ExitStack() as stack:
        stack.callback(portal.stop)
        portal.wait_ready()
        browser = launch(stack.enter_context(sync_playwright()))
        person = Person(browser, portal.url)
        person.sign_in("churn-manager", "correct horse battery")
        yield person
        with contextlib.suppress(Error):
            browser.close()


def test_a_technical_file_takes_three_clicks(manager):
    page, clicks = manager.page, 0

    def click(target):
        nonlocal clicks
        clicks += 1
        target.click()

    manager.go("/p/churn/models/churn/")
    click(page.get_by_role("link", name="v1", exact=True).first)
    click(page.get_by_role("link", name="technical file"))
    click(page.get_by_role("button", name="Export"))
    link = page.get_by_role("link", name="Download issue 1")
    expect(link).to_be_visible(timeout=60_000)
    assert clicks == 3
    answer = page.request.get(f"{manager.url}{link.get_attribute('href')}")
    files = zipfile.ZipFile(io.BytesIO(answer.body()))
    assert files.read("technical-file.pdf").startswith(b"%PDF-")
    assert "Weak for customers under 18." in files.read("technical-file.json").decode()
