"""One portal for the browser tests that only look: filled once, seen by the person who holds every role."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

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


def fill(portal: Portal) -> str:
    """Fill a portal before it starts, so that its workers do not take what the stage does itself; return the words."""
    environment = portal.environment | {"DJANGO_SETTINGS_MODULE": "mlportal.settings"}
    command = [sys.executable, "-m", "tests.e2e.stage"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def filled(portal: Portal, kept: Path) -> Stage:
    """Fill a portal, or copy what another process of this run filled."""
    if portal.database:
        return Stage(portal, json.loads(fill(portal)))
    data, words = kept / "data", kept / "words"
    kept.mkdir(exist_ok=True)
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if words.exists():
            shutil.copytree(data, portal.folder / "data", dirs_exist_ok=True)
        else:
            said = fill(portal)
            shutil.copytree(portal.folder / "data", data)
            words.write_text(said)
    return Stage(portal, json.loads(words.read_text()))


@pytest.fixture(scope="package")
def stage(tmp_path_factory) -> Iterator[Stage]:
    """The portal of all tests here that change nothing others look at."""
    portal = Portal(tmp_path_factory.mktemp("stage") / "p")
    found = filled(portal, Path(os.environ["MLPORTAL_DATA_DIR"]).parent / "stage")
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
def sign_in(stage, chrome) -> Callable[[str], Person]:
    """Open a window for somebody of a project beside the stage's (``neighbours.py``)."""

    def opened(name: str) -> Person:
        somebody = Person(chrome, stage.portal.url)
        somebody.sign_in(name, PASSWORD)
        return somebody

    return opened


@pytest.fixture(scope="module")
def everyone(sign_in) -> Person:
    """A signed-in window of the person who may do everything."""
    return sign_in("everyone")


@pytest.fixture
def person(everyone) -> Iterator[Person]:
    """The same window; what its console and the server complained of fails the test."""
    yield everyone
    trouble, everyone.trouble = everyone.trouble, []
    assert trouble == [], "\n".join(trouble)
