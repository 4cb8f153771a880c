"""The technical file in three clicks from the version, packed by a real worker, and the PDF in it."""

import io
import zipfile

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def manager(sign_in):
    """A manager's window in a project with a version in production."""
    return sign_in("papers-manager")


def test_a_technical_file_takes_three_clicks(manager):
    page, clicks = manager.page, 0

    def click(target):
        nonlocal clicks
        clicks += 1
        target.click()

    manager.go("/p/papers/models/churn/")
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
