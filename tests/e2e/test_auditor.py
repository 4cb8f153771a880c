"""The auditor's journey: what decided on 12 March, and who allowed it, in three clicks."""

import contextlib
import csv
import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Error, expect

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def auditor(sign_in):
    """A manager's window; two versions were in production, the first until the afternoon of 12 March."""
    return sign_in("audit-manager")


@pytest.fixture
def clicks(auditor):
    """Counts every click that a person makes on a page, over all pages."""
    made: list[str] = []
    with contextlib.suppress(Error):
        auditor.context.expose_function("countClick", lambda what: made.append(what))  # noqa: PLW0108 - it marks what it is given
    auditor.context.add_init_script(
        "addEventListener('click', (e) => e.isTrusted && e.detail && countClick(e.target.textContent.trim()), true)"
    )
    return made


def downloaded(page, act) -> zipfile.ZipFile:
    with page.expect_download() as held:
        act()
    return zipfile.ZipFile(io.BytesIO(Path(held.value.path()).read_bytes()))


def test_from_the_model_to_the_evidence_in_three_clicks(auditor, clicks):
    page = auditor.page
    auditor.go("/p/audit/models/churn/")
    page.get_by_label("As of").click()
    page.get_by_label("As of").fill("2026-03-12")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("As it was on 12 March 2026")).to_be_visible()
    expect(page.get_by_role("rowheader", name=re.compile(r"^Promotion \d+$")).first).to_be_visible()
    archive = downloaded(page, page.get_by_role("button", name="Export evidence").click)
    assert len(clicks) == 3, clicks
    found = json.loads(archive.read("evidence.json"))
    assert [row["answering"] for row in found["production"]] == ["churn v1", "churn v2"]
    rows = list(csv.DictReader(io.StringIO(archive.read("evidence.csv").decode())))
    assert {row["decided_by"] for row in rows} == {"audit-manager"}
    page.get_by_role("link", name="Back to now").click()
    expect(page).to_have_url(f"{auditor.url}/p/audit/models/churn/")


def test_the_pages_of_the_auditor_have_no_barrier(auditor):
    auditor.expected = {422}
    for name, path in {
        "audit": "settings/audit/", "audit-wrong": "settings/audit/?since=soon",
        "past-ask": "settings/audit/production/", "past": "settings/audit/production/?as_of=2026-03-12",
        "past-model": "models/churn/?as_of=2026-03-12T14:00", "model": "models/churn/",
    }.items():  # fmt: skip
        auditor.go(f"/p/audit/{path}")
        auditor.look(name)
    assert auditor.trouble == []
