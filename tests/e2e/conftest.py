"""One portal for the browser tests that only look: filled once, seen by the person who holds every role."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.e2e.browser import Person, launch
from tests.factories.projects import PASSWORD
from tests.portal.running import ROOT, Portal

expect.set_options(timeout=60_000)  # other work may share the machine


@dataclass(frozen=True)
class Stage:
    """A filled portal and the words that address what is in it."""

    portal: Portal
    values: dict[str, str]


def filled(portal: Portal) -> Stage:
    """Fill a portal before it starts, so that its workers do not take what the stage does itself."""
    portal.folder.mkdir(exist_ok=True)
    made = portal.command("migrate")
    assert made.returncode == 0, made.stdout + made.stderr
    environment = portal.environment | {"DJANGO_SETTINGS_MODULE": "mlportal.settings"}
    command = [sys.executable, "-m", "tests.e2e.stage"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Stage(portal, json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="package")
def stage(tmp_path_factory) -> Iterator[Stage]:
    """The portal of all tests here that change nothing others look at."""
    portal = Portal(tmp_path_factory.mktemp("stage") / "p")
    found = filled(portal)
    portal.start()
    try:
        portal.wait_ready()
        yield found
    finally:
        portal.stop()


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    """One browser a file: two of Playwright's loops cannot run in one thread."""
    with sync_playwright() as playwright:
        found = launch(playwright)
        yield found
        found.close()


@pytest.fixture(scope="module")
def everyone(stage, chrome) -> Person:
    """A signed-in window of the person who may do everything."""
    person = Person(chrome, stage.portal.url)
    person.sign_in("everyone", PASSWORD)
    return person


@pytest.fixture
def person(everyone) -> Iterator[Person]:
    """The same window; what its console and the server complained of fails the test."""
    yield everyone
    trouble, everyone.trouble = everyone.trouble, []
    assert trouble == [], "\n".join(trouble)
